"""What is written of decisions, and what is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.databases import Databases
from tests.policy_edits import take_up
from tests.support import Caller, open_app
from tests.world import World
from v6srv.authz.facts import room_facts
from v6srv.identity import principals
from v6srv.policy.audit import trail
from v6srv.vocabulary import Operation, Resource


@pytest.fixture
def every(databases: Databases, tmp_path: Path, backend: str) -> Iterator[tuple[Caller, World]]:
    """An application that writes every decision, to a log of its own."""
    settings: dict[str, Any] = {"decision_log": {"sample": 1}, "directories": {"log": tmp_path}}
    with open_app(databases, backend, with_world=True, **settings) as (app, world):
        assert world is not None
        yield Caller(app), world


def _denied(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 403, answer.text
    body: dict[str, Any] = answer.json
    return body


def _line(call: Caller, origin: str) -> str:
    lines = call.app.extensions["authz"].policy.lines
    return next(str(line) for line in lines if line.origin == origin)


def _written(call: Caller) -> list[dict[str, Any]]:
    series = call.app.extensions["authz"].decisions.series
    return list(trail.forwards(series.files()))


def test_an_allowance_names_the_lines_that_gave_it(every: tuple[Caller, World]) -> None:
    call, world = every
    for who, path in (
        ("viewer", f"/task/{world.task.running}"),
        ("viewer", f"/user/{world.user.viewer}"),  # of its own, and of its organization
        ("viewer", f"/user/{world.user.nobody}"),  # of its organization only
        ("viewer", "/user"),  # lists pass over the scope own
        ("root", f"/task/{world.task.running}"),
    ):
        assert call(who, "GET", path).status_code == 200
    policy = call.app.extensions["authz"].policy
    text = {line.origin: str(line) for line in policy.lines}
    shown = [[", ".join(text[o].split(", ")[1:5]) for o in r["lines"]] for r in _written(call)]
    own, team = "role:everyone, user, own, view", "role:viewer, user, organization, view"
    assert shown == [
        ["role:viewer, task, organization, view"],
        [own, team],
        [team],
        [team],
        ["role:root, *, global, *"],
    ]
    assert {record["effect"] for record in _written(call)} == {"allow"}


def test_a_denial_of_one_row_names_the_line_that_denies_it(every: tuple[Caller, World]) -> None:
    call, world = every
    mine = {"roles": [world.role.viewer]}
    _denied(call("org_admin", "PATCH", f"/user/{world.user.org_admin}", json=mine))
    *_, record = _written(call)
    [origin] = record["lines"]
    assert "meets(r.sub.changes" in _line(call, origin)
    assert (record["changes"], record["effect"]) == (["roles"], "deny")


def test_nothing_that_the_caller_sent_is_written(every: tuple[Caller, World]) -> None:
    call, world = every
    body = {
        "name": "SECRET1",
        "image": "SECRET2",
        "collaboration_id": world.collab.trial,
        "organizations": [{"id": world.org.south, "input": "SECRET3"}],
    }
    _denied(call("researcher", "POST", "/task", json=body))
    _denied(call("viewer", "PATCH", f"/user/{world.user.nobody}", json={"password": "SECRET4"}))
    call("researcher", "GET", "/task", query={"name": "SECRET5"})
    [path] = call.app.extensions["authz"].decisions.series.files()
    text = path.read_text()
    assert "SECRET" not in text
    assert call.token("viewer") not in text


def test_without_the_log_refusals_still_have_an_id(databases: Databases, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "decision_log": {"enabled": False},
        "directories": {"log": tmp_path},
    }
    with open_app(databases, "sqlite", with_world=True, **settings) as (app, world):
        assert world is not None
        call = Caller(app)
        id = _denied(call("viewer", "GET", f"/task/{world.task.waiting}"))["decision_id"]
        assert call("root", "GET", f"/policy/decision/{id}").status_code == 404
        assert not list(tmp_path.rglob("*.jsonl"))


def test_a_log_that_cannot_be_written_breaks_no_request(
    databases: Databases, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("not a folder")
    settings: dict[str, Any] = {"decision_log": {"sample": 1}, "directories": {"log": blocked}}
    with open_app(databases, "sqlite", with_world=True, **settings) as (app, world):
        assert world is not None
        call = Caller(app)
        assert call("viewer", "GET", f"/task/{world.task.running}").status_code == 200
        assert "decision_id" in _denied(call("viewer", "GET", f"/task/{world.task.waiting}"))
        assert app.extensions["authz"].decisions.problem is not None
        health = call(None, "GET", "/health")
        assert (health.status_code, health.json) == (
            200,
            {"database": True, "problems": ["decision log: cannot be written"]},
        )
        blocked.unlink()
        assert call("viewer", "GET", f"/task/{world.task.running}").status_code == 200
        assert call(None, "GET", "/health").json == {"database": True}


# --- rooms


def test_rooms_are_written_once_for_the_same_reasons(every: tuple[Caller, World]) -> None:
    """Every review decides every room of everybody again."""
    call, world = every
    authz = call.app.extensions["authz"]
    with call.app.app_context():
        viewer = principals.named(f"user:{world.user.viewer}").principal
        for _ in range(3):
            for room in (
                room_facts(world.collab.registry),
                room_facts(world.collab.registry, world.org.north),
                room_facts(world.collab.trial),  # of others: as what a list leaves out
            ):
                authz.decide_facts(viewer, Resource.EVENT, Operation.VIEW, room)
    written = [(record["facts"]["org"], record["effect"]) for record in _written(call)]
    assert written == [(None, "deny"), (world.org.north, "allow")]


def test_a_room_is_written_again_when_its_reasons_change(
    every: tuple[Caller, World], tmp_path: Path
) -> None:
    call, world = every
    authz = call.app.extensions["authz"]
    room = room_facts(world.collab.registry)
    with call.app.app_context():
        viewer = principals.named(f"user:{world.user.viewer}").principal
        authz.decide_facts(viewer, Resource.EVENT, Operation.VIEW, room)
        _add(
            authz,
            tmp_path / "policies",
            "p, role:viewer, event, collaboration, view, True, allow\n",
        )
        authz.decide_facts(viewer, Resource.EVENT, Operation.VIEW, room)
    assert [record["effect"] for record in _written(call)] == ["deny", "allow"]


def _add(authz: Any, folder: Path, text: str) -> None:
    folder.mkdir()
    for path in authz.store.folder.glob("*.c*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "more.csv").write_text(text)
    authz.store.folder = folder
    assert take_up(authz.store), authz.store.problem
