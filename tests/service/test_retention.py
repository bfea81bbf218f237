"""Inputs, results and logs are deleted when they were kept for long enough, and nothing else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, select, text, update

from tests.api.test_policy_line_rest import add, line
from tests.api.test_task import order
from tests.databases import Databases
from tests.realtime.conftest import eventually, serving
from tests.support import Caller, counting, open_app
from tests.world import World
from v6srv import db
from v6srv.db import session, utcnow
from v6srv.model import Result, Run, Task
from v6srv.policy.audit import trail
from v6srv.realtime import server
from v6srv.service import retention

HOUR = timedelta(hours=1)


@pytest.fixture
def _opened(
    backend: str, databases: Databases, tmp_path: Any
) -> Iterator[tuple[Flask, World | None]]:
    logs = {"directories": {"log": tmp_path / "log"}}
    with open_app(databases, backend, True, **logs) as opened:
        yield opened


@pytest.fixture(autouse=True)
def recent(app: Flask, world: World) -> None:
    """What the world has was made, and has ended, just now: tests say what is older."""
    with app.app_context(), db.transaction():
        session.execute(update(Task).values(created_at=utcnow()))
        session.execute(
            update(Result).values(finished_at=utcnow()).where(Result.finished_at < utcnow())
        )


@pytest.fixture
def empty(app: Flask) -> Callable[..., tuple[int, int]]:
    """Delete what is due with this setting; how many tasks and results."""

    def run(days: int | None = None, **more: Any) -> tuple[int, int]:
        with app.app_context():
            done = retention.empty_due(app.extensions["authz"], days, **more)
        return done.tasks, done.results

    return run


@pytest.fixture
def age(app: Flask) -> Callable[..., None]:
    """Move a task, and what has ended of it, so many days into the past."""

    def move(task_id: int, days: float, **values: Any) -> None:
        then = utcnow() - timedelta(days=days)
        with app.app_context(), db.transaction():
            made = {"created_at": then - HOUR, **values}
            session.execute(update(Task).where(Task.id == task_id).values(made))
            ended = Result.task_id == task_id, Result.finished_at.is_not(None)
            session.execute(update(Result).where(*ended).values(finished_at=then))

    return move


@pytest.fixture
def data(app: Flask) -> Callable[[int], set[Any]]:
    """Everything that is kept of the results of a task."""

    def read(task_id: int) -> set[Any]:
        with app.app_context():
            columns = Result.input, Result.result, Result.log
            rows = session.execute(select(*columns).where(Result.task_id == task_id)).all()
            return {value for row in rows for value in row} - {None}

    return read


@pytest.mark.parametrize(
    ("setting", "asked", "ended_days_ago", "gone"),
    [
        (None, None, 9000, False),  # for ever, unless somebody says otherwise
        (30, None, 29.9, False),
        (30, None, 30.1, True),
        (None, 7, 6.9, False),
        (None, 7, 7.1, True),
        (30, 7, 7.1, True),
        (30, 7, 6.9, False),
        (30, 90, 30.1, True),  # a task asks for less, not for more
        (30, 90, 29.9, False),
    ],
)
def test_data_goes_so_many_days_after_the_end(
    world: World, age: Any, empty: Any, data: Any, setting, asked, ended_days_ago, gone
):
    age(world.task.finished, ended_days_ago, keep_days=asked)
    assert empty(setting) == ((1, 2) if gone else (0, 0))
    assert data(world.task.finished) == (set() if gone else {"aW5wdXQ=", "cmVzdWx0", "done"})
    assert empty(setting) == (0, 0)
    assert data(world.task.killed)


def test_what_stays_and_how_clients_see_it(world: World, call: Caller, age: Any, empty: Any):
    """Who, when and how it ended; the keys that clients read are there, and null."""
    path = f"/task/{world.task.finished}"
    before = call("researcher", "GET", path).json
    age(world.task.finished, 31)
    rows = call("researcher", "GET", f"{path}/result").json
    empty(30)
    after = call("researcher", "GET", f"{path}/result").json
    gone = {"input": None, "result": None, "log": None}
    assert after == [{**row, **gone} for row in rows]
    times = {"created_at": 0, "finished_at": 0}
    assert {**call("researcher", "GET", path).json, **times} == {**before, **times}
    assert call("north_registry", "GET", "/result", query={"state": "open"}).status_code == 200


def test_nothing_goes_while_something_of_the_run_is_open(
    world: World, app: Flask, age: Any, empty: Any, data: Any
):
    """A subtask that has ended is kept for its parent, and a parent while a subtask runs."""
    for task in (world.task.running, world.task.subtask):
        age(task, 400)
    with app.app_context(), db.transaction():
        ended = {"finished_at": utcnow() - timedelta(days=400), "result": "cmVzdWx0"}
        session.execute(update(Result).where(Result.task_id == world.task.subtask).values(ended))
    assert empty(30) == (0, 0)
    assert "cmVzdWx0" in data(world.task.subtask)
    with app.app_context(), db.transaction():
        ended = {"finished_at": utcnow() - timedelta(days=29)}
        session.execute(update(Result).where(Result.task_id == world.task.running).values(ended))
    assert empty(30) == (0, 0)  # the run has ended with its last result
    age(world.task.running, 31)
    assert empty(30) == (2, 3)


def test_clocks_of_nodes_do_not_shorten_it(
    world: World, app: Flask, age: Any, empty: Any, data: Any
):
    """A node says when its run has ended: not before the task was made, to be sure."""
    long_ago = {"finished_at": utcnow() - timedelta(days=9000)}
    with app.app_context(), db.transaction():
        session.execute(
            update(Result).where(Result.task_id == world.task.finished).values(long_ago)
        )
    assert empty(30) == (0, 0)
    age(world.task.finished, 31, created_at=None)  # of a 3.x server that did not note it
    assert empty(30) == (1, 2)


def test_a_clock_that_is_set_back_brings_nothing_back(
    world: World, app: Flask, age: Any, empty: Any
):
    """What was emptied is so for good, even if it is not due any more."""
    age(world.task.finished, 31)
    assert empty(30) == (1, 2)
    age(world.task.finished, -10)
    assert empty(30) == (0, 0)
    age(world.task.killed, -10)
    assert empty(1) == (0, 0)


def test_a_node_that_confirms_a_kill_late_brings_no_log_back(
    world: World, call: Caller, app: Flask, age: Any, empty: Any, data: Any
):
    """A finished result is final but for that log (S12)."""
    age(world.task.killed, 31)
    empty(30)
    path = f"/result/{world.result['killed', 'west']}"
    report = {"status": "killed by user", "log": "row 1: Jane"}
    assert call("west_trial", "PATCH", path, json=report).status_code == 200
    assert data(world.task.killed) == set()
    late = {"status": "completed", "result": "cmVzdWx0"}
    assert call("west_trial", "PATCH", path, json=late).status_code == 400


# --- what tasks ask for


@pytest.mark.parametrize("keep_days", [0, -1, 3651, 1.5, "soon", True, [7]])
def test_a_number_that_is_no_time_is_refused(world: World, call: Caller, keep_days: Any):
    answer = call("researcher", "POST", "/task", json=order(world, "north", keep_days=keep_days))
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)


@pytest.mark.parametrize("keep_days", [None, 1, 3650])
def test_a_task_says_how_long_it_is_kept_and_answers_are_those_of_3x(
    world: World, call: Caller, app: Flask, keep_days: int | None
):
    plain = call("researcher", "POST", "/task", json=order(world, "north")).json
    answer = call("researcher", "POST", "/task", json=order(world, "north", keep_days=keep_days))
    assert answer.status_code == 201
    assert answer.json.keys() == plain.keys()
    with app.app_context():
        assert session.get(Task, answer.json["id"]).keep_days == keep_days


@pytest.mark.parametrize(
    ("of_parent", "asked", "kept"), [(7, None, 7), (7, 3, 3), (7, 30, 7), (None, 5, 5)]
)
def test_a_subtask_is_kept_no_longer_than_its_parent(
    world: World, call: Caller, app: Flask, of_parent, asked, kept
):
    with app.app_context(), db.transaction():
        session.execute(
            update(Task).where(Task.id == world.task.running).values(keep_days=of_parent)
        )
    body = order(world, "south", keep_days=asked)
    made = call("container", "POST", "/task", json=body)
    with app.app_context():
        assert session.get(Task, made.json["id"]).keep_days == kept


# --- under policy


def test_a_line_can_limit_what_tasks_ask_for(world: World, call: Caller):
    """Here: who asks, asks for a week or a month."""
    add(call, line("kind:user", "task", "create", "!(r.obj.keep_days in (None, 7, 30))"))
    for keep_days, status in ((6, 403), (7, 201), (None, 201)):
        body = order(world, "north", keep_days=keep_days)
        assert call("researcher", "POST", "/task", json=body).status_code == status, keep_days


@pytest.mark.parametrize("condition", ["True", "r.obj.id == {id}", "{collab} in r.obj.collabs"])
def test_a_line_holds_data(
    world: World, call: Caller, app: Flask, age: Any, empty: Any, data: Any, condition: str
):
    """From the moment on that it is stored, whichever process has heard of it."""
    age(world.task.finished, 31)
    age(world.task.killed, 31)
    held = condition.format(id=world.task.finished, collab=world.collab.registry)
    changes = "meets(r.sub.changes, ('cleanup_at',))"
    made = add(call, line("kind:user", "task", "edit", f"{changes} && ({held})"))
    assert empty(30) == ((0, 0) if held == "True" else (1, 1))
    assert data(world.task.finished)
    with app.app_context():
        shown = {one.id: one.held for one in retention.preview(app.extensions["authz"], 30)}
    assert shown[world.task.finished] is True
    assert call("root", "DELETE", f"/policy/line/{made['id']}").status_code == 200
    assert empty(30) == ((2, 3) if held == "True" else (1, 2))


def test_nobody_else_empties_a_task_by_being_allowed_to_edit_it(world: World, call: Caller):
    """There is no way to it in REST: this is about the words of the line."""
    assert call("root", "PATCH", f"/task/{world.task.finished}", json={}).status_code == 405


def test_each_deletion_is_in_the_decision_log(
    world: World, app: Flask, age: Any, empty: Any, tmp_path: Any
):
    """Although no allowance is sampled here: which task, how many results, why."""
    age(world.task.finished, 31, keep_days=14)
    empty(30)
    files = app.extensions["authz"].decisions.series.files()
    wanted = trail.Wanted("user:0", "task", "edit", "allow", world.task.finished)
    [record] = trail.query(files, wanted)
    assert record["reason"] == "retention: 2 results emptied, the task asked for 14 days"
    assert record["changes"] == ["cleanup_at"]
    assert trail.verify(files, None, None).faults == []


# --- many, and at once


def _many(app: Flask, tasks: int, results: int, days: float) -> list[int]:
    """So many tasks of so many results, which ended so long ago."""
    then = utcnow() - timedelta(days=days)
    with app.app_context(), db.transaction():
        start = (session.scalar(select(Task.id).order_by(Task.id.desc()).limit(1)) or 0) + 1
        ids = list(range(start, start + tasks))
        run = session.scalar(select(Run.id).order_by(Run.id.desc()).limit(1)) + 1
        runs = [run + number for number in range(tasks)]
        session.execute(insert(Run), [{"id": id} for id in runs])
        session.execute(
            insert(Task),
            [
                {"id": id, "run_id": run, "name": "old", "created_at": then - HOUR}
                for id, run in zip(ids, runs, strict=True)
            ],
        )
        full = {"input": "aW4=", "result": "b3V0", "finished_at": then, "status": "completed"}
        session.execute(
            insert(Result), [{"task_id": id, **full} for id in ids for _ in range(results)]
        )
    return ids


def test_transactions_are_short_and_queries_do_not_grow(app: Flask, monkeypatch, empty: Any):
    monkeypatch.setattr(retention, "AT_ONCE", 10)
    asked = []
    for tasks in (1, 3):
        _many(app, tasks, 25, 31)
        with app.app_context(), counting() as statements:
            assert empty(30) == (tasks, 25 * tasks)
        asked.append(len(statements))
        emptied = [one for one in statements if one.startswith("UPDATE result")]
        assert len(emptied) == 3 * tasks
    first, third = asked
    each = (third - first) // 2
    assert third - first == 2 * each
    assert each <= 3 * 6 + 4, statements


def test_what_is_due_is_found_by_an_index(app: Flask, backend: str):
    """Whatever was emptied before, and whatever is not due for long."""
    _many(app, 3000, 1, 5)
    with app.app_context(), db.transaction():
        session.execute(
            update(Task).where(Task.name == "old", Task.id % 3 != 0).values(cleanup_at=utcnow())
        )
    if backend == "postgresql":
        with app.app_context(), db.transaction():
            session.execute(text("ANALYZE task"))
            session.execute(text("ANALYZE result"))
    explain = "EXPLAIN QUERY PLAN " if backend == "sqlite" else "EXPLAIN "
    plans = []

    def note(_connection, cursor, statement, parameters, *_):
        if statement.startswith("SELECT task.id") and "LIMIT" in statement:
            with app.extensions["planned"].connect() as other:
                driver = other.connection.cursor()
                driver.execute(explain + statement, parameters)
                plans.append("\n".join(str(row) for row in driver.fetchall()))

    with app.app_context():
        engine = session.get_bind()
        app.extensions["planned"] = engine
        event.listen(engine, "after_cursor_execute", note)
        try:
            retention.empty_due(app.extensions["authz"], 30)
        finally:
            event.remove(engine, "after_cursor_execute", note)
    assert len(plans) == 3
    for plan in plans:
        assert "ix_task_keep_days_created_at" in plan, plan


def test_several_processes_do_not_fight(app: Flask):
    """Each task is emptied once, and counted once."""
    ids = _many(app, 40, 3, 31)

    def work(_: int) -> tuple[int, int]:
        with app.app_context():
            done = retention.empty_due(app.extensions["authz"], 30)
            return done.tasks, done.results

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    assert sum(tasks for tasks, _ in done) == len(ids)
    assert sum(results for _, results in done) == 3 * len(ids)


def test_a_running_server_looks_again_and_again(
    app: Flask, world: World, age: Any, data: Any, monkeypatch
):
    monkeypatch.setattr(server, "EMPTY_EVERY_S", 0.1)
    age(world.task.finished, 8, keep_days=7)
    with serving(app):
        eventually(lambda: data(world.task.finished), set())
        assert data(world.task.killed)
        age(world.task.killed, 8, keep_days=7)  # becomes due meanwhile
        eventually(lambda: data(world.task.killed), set())


def test_it_ends_when_the_process_is_to_end(app: Flask, monkeypatch, empty: Any):
    """In the middle of a task; the next goes on there."""
    monkeypatch.setattr(retention, "AT_ONCE", 10)
    _many(app, 1, 35, 31)
    turns = iter([True, True, False])
    assert empty(30, go_on=lambda: next(turns, False)) == (0, 10)
    assert empty(30) == (1, 25)


KILLED = """
import os, signal, sys
from v6srv import db
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.live import PolicyStore
from v6srv.service import retention

db.connect(sys.argv[1])
retention.AT_ONCE = 10
real, calls = retention._witness, []
def kill_within_a_transaction(*arguments):
    calls.append(1)
    real(*arguments)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
retention._witness = kill_within_a_transaction
retention.empty_due(Authorizer(PolicyStore(__import__("pathlib").Path(sys.argv[2]))), 30)
"""


def test_a_process_that_is_killed_in_the_middle_leaves_no_harm(
    app: Flask, empty: Any, monkeypatch, databases: Databases
):
    """What was stored is emptied, the rest as it was; whoever comes next goes on."""
    monkeypatch.setattr(retention, "AT_ONCE", 10)
    [id] = _many(app, 1, 25, 31)
    settings = app.config["SETTINGS"]
    command = [sys.executable, "-c", KILLED, settings.uri, str(settings.policies)]
    ended = subprocess.run(command, env=os.environ, check=False)
    assert ended.returncode == -signal.SIGKILL
    with app.app_context():
        full = select(Result.id).where(Result.task_id == id, Result.input.is_not(None))
        assert len(session.scalars(full).all()) == 15
        assert session.get(Task, id).cleanup_at is None
    assert empty(30) == (1, 15)
    with app.app_context():
        assert session.get(Task, id).cleanup_at is not None
