"""`retention`: what goes and when, and deleting it now."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import select, update

from tests.databases import Databases
from tests.support import open_app
from tests.world import World
from v6srv import db
from v6srv.cli.main import cli
from v6srv.db import session, utcnow
from v6srv.model import CasbinRule, Task
from v6srv.model import Result as Row


@pytest.fixture
def run(tmp_path: Path, app: Flask) -> Callable[..., Result]:
    settings = app.config["SETTINGS"]
    environment = {
        "V6SRV_DATABASE_URL": settings.uri,
        "V6SRV_INSTANCE": str(settings.instance),
        "V6SRV_DIRECTORIES__LOG": str(tmp_path),
        "COLUMNS": "120",
    }
    engine = session.get_bind()

    def invoke(*arguments: str, days: int | None = None) -> Result:
        more = {"V6SRV_RUNS_DATA_CLEANUP_DAYS": str(days or "")}
        done = CliRunner(env={**environment, **more}).invoke(cli, ["retention", *arguments])
        session.remove()
        session.configure(bind=engine)  # the command has one of its own
        return done

    return invoke


@pytest.fixture
def _opened(backend: str, databases: Databases) -> Iterator[tuple[Flask, World | None]]:
    with open_app(databases, backend, True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def ages(app: Flask, world: World) -> None:
    """One ended 31 days ago, one 28; all else is new or open."""
    with app.app_context(), db.transaction():
        session.execute(update(Task).values(created_at=utcnow()))
        for task, days in ((world.task.finished, 31), (world.task.killed, 28)):
            then = utcnow() - timedelta(days=days)
            session.execute(update(Task).where(Task.id == task).values(created_at=then))
            session.execute(update(Row).where(Row.task_id == task).values(finished_at=then))


def test_nothing_goes_by_default(run: Callable[..., Result]) -> None:
    done = run("preview")
    assert done.exit_code == 0, done.output
    assert "Data is kept for ever, unless tasks say less" in done.output
    assert "Nothing goes within 30 days" in done.output
    assert "0 tasks were emptied" in run("run").output


def test_what_goes_when(run: Callable[..., Result], world: World) -> None:
    done = run("preview", "--days", "7", days=30)
    assert "Data is kept for 30 days" in done.output
    rows = [line.split("│")[1:-1] for line in done.output.splitlines() if line.startswith("│")]
    found = [[cell.strip() for cell in row] for row in rows]
    day = f"{utcnow() + timedelta(days=2):%Y-%m-%d}"
    assert found == [
        ["now", "1", "2", "40", str(world.task.finished)],
        [day, "1", "1", "12", str(world.task.killed)],
    ]
    assert run("preview", "--days", "7", "--keep", "30").output == done.output
    assert day not in run("preview", "--days", "1", days=30).output


def test_for_scripts_each_task(run: Callable[..., Result], world: World, app: Flask) -> None:
    with app.app_context(), db.transaction():
        held = f"r.obj.id == {world.task.killed} && meets(r.sub.changes, ('cleanup_at',))"
        values = ("kind:user", "task", "global", "edit", held, "deny")
        columns = {f"v{index}": value for index, value in enumerate(values)}
        session.add(CasbinRule(ptype="p", **columns))
    found = json.loads(run("preview", "--format", "json", days=7).output)
    assert found["runs_data_cleanup_days"] == 7
    shown = [(one["id"], one["results"], one["held"]) for one in found["tasks"]]
    assert shown == [(world.task.finished, 2, False), (world.task.killed, 1, True)]
    assert "not: the policy holds it" in run("preview", days=7).output


def test_deleting_now(run: Callable[..., Result], world: World, app: Flask, tmp_path: Path) -> None:
    assert "1 tasks were emptied, 2 results" in run("run", days=30).output
    with app.app_context():
        query = select(Row.input).where(Row.task_id == world.task.finished)
        assert session.scalars(query).all() == [None, None]
    written = "".join(path.read_text() for path in tmp_path.rglob("*.jsonl"))
    assert "retention: 2 results emptied" in written


@pytest.mark.parametrize("arguments", [["--days", "-1"], ["--keep", "0"], ["--days", "x"]])
def test_numbers_that_are_no_time(run: Callable[..., Any], arguments: list[str]) -> None:
    assert run("preview", *arguments).exit_code == 2


def test_a_setting_that_is_no_time(run: Callable[..., Any]) -> None:
    done = run("preview", days=-3)
    assert done.exit_code == 1
    assert "runs_data_cleanup_days" in done.output
