"""A candidate in shadow is asked everything, decides nothing, and tells where it disagrees."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.databases import Databases
from tests.policy_edits import look
from tests.realtime.conftest import Audience, eventually, serving
from tests.support import Caller, open_app
from tests.world import World
from v6srv.authz.shadow import FILE
from v6srv.authz.source.folder import SHADOW, read_files, write_files
from v6srv.service import setup

Opened = tuple[Flask, World, Caller, Path]


@pytest.fixture
def opened(databases: Databases, backend: str, tmp_path: Path) -> Iterator[Opened]:
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    with open_app(databases, backend, True, policies=folder, instance=tmp_path) as (app, world):
        yield app, world, Caller(app), folder


def _try_out(app: Flask, folder: Path, lines: str, without: str = "") -> None:
    """Let the live policy with these lines, and without one, run in shadow."""
    files = {name: text for name, text in read_files(folder).items() if "/" not in name}
    if without:
        kept = files["default_roles.csv"].splitlines(keepends=True)
        dropped = [line for line in kept if " ".join(line.split()) != without]
        assert len(dropped) == len(kept) - 1
        files["default_roles.csv"] = "".join(dropped)
    write_files(folder / SHADOW, {**files, "candidate.csv": lines})
    look(app.extensions["authz"].store)
    assert app.extensions["authz"].store.shadow_problems == ()
    assert app.extensions["authz"].store.shadow is not None


def _found(app: Flask) -> list[tuple[str, str, str, str, str]]:
    path = app.config["SETTINGS"].log_folder / FILE
    if not path.exists():
        return []
    names = ("principal", "operation", "resource", "about", "shadow")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [tuple(record[name] for name in names) for record in records]  # type: ignore[misc]


def test_the_same_policy_never_disagrees(opened: Opened) -> None:
    app, world, call, folder = opened
    _try_out(app, folder, "")
    for who in ("viewer", "researcher", "org_admin", "north_registry", "container", "nobody"):
        for path in ("/task", f"/task/{world.task.running}", "/node", "/user", "/organization"):
            call(who, "GET", path)
    call("root", "PATCH", f"/user/{world.user.nobody}", json={"roles": [world.role.viewer]})
    assert _found(app) == []
    assert call("root", "GET", "/policy").json["shadow"]["disagreements"] == 0


def test_what_it_would_deny_and_allow_is_told_once_and_not_obeyed(opened: Opened) -> None:
    app, world, call, folder = opened
    task = world.task.running
    viewer, nobody = f"user:{world.user.viewer}", f"user:{world.user.nobody}"
    _try_out(
        app,
        folder,
        f"p, role:viewer, task, global, view, r.obj.id == {task}, deny\n"
        f"p, {nobody}, task, global, view, r.obj.id == {task}, allow\n",
    )
    for _ in range(3):
        assert call("viewer", "GET", f"/task/{task}").status_code == 200
        assert task in [row["id"] for row in call("viewer", "GET", "/task").json]
        assert call("nobody", "GET", f"/task/{task}").status_code == 403
        assert call("nobody", "GET", "/task").status_code == 403
    assert sorted(_found(app)) == sorted(
        [
            (viewer, "view", "task", f"task:{task}", "deny"),
            (viewer, "view", "task", f"list with task:{task}", "deny"),
            (nobody, "view", "task", f"task:{task}", "allow"),
            (nobody, "view", "task", "any", "allow"),
        ]
    )
    shown = call("root", "GET", "/policy").json["shadow"]
    assert shown["disagreements"] == 4
    assert shown["version"] != call("root", "GET", "/policy").json["version"]


def test_a_file_that_cannot_be_written_is_a_problem_and_breaks_no_request(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    app, world, call, folder = opened
    _try_out(app, folder, "p, role:viewer, task, global, view, True, deny\n")
    path = app.config["SETTINGS"].log_folder / FILE
    path.mkdir(parents=True)
    for task in (world.task.running, world.task.finished):
        assert call("viewer", "GET", f"/task/{task}").status_code == 200
    assert call(None, "GET", "/health").json["problems"] == [f"{FILE} cannot be written"]
    assert "Traceback" not in caplog.text
    path.rmdir()
    assert call("viewer", "GET", f"/task/{world.task.failed}").status_code == 200
    assert "problems" not in call(None, "GET", "/health").json


def test_writing_and_handing_out_are_compared_too(opened: Opened) -> None:
    app, world, call, folder = opened
    _try_out(
        app,
        folder,
        "p, role:collab_admin, collaboration, global, edit, True, deny\n",
        without="p, role:org_admin, user, organization, create, True, allow",
    )
    body = {"name": "renamed"}
    path = f"/collaboration/{world.collab.registry}"
    assert call("collab_admin", "PATCH", path, json=body).status_code == 200
    rule = world.rule["user", "ORGANIZATION", "CREATE"]
    path = f"/role/{world.role.empty}/rule"
    for id in (world.rule["user", "ORGANIZATION", "EDIT"], rule):
        answer = call("org_admin", "DELETE", f"{path}/{id}")
        assert answer.status_code == 404  # it is not in there: who may not hand it out hears 403
    handed = [about for *_, about, _ in _found(app) if about.startswith("hand out")]
    assert handed == ["hand out user:organization:create"]
    role = {"name": "makers", "description": "", "rules": [rule]}
    assert call("org_admin", "POST", "/role", json=role).status_code == 201
    found = {(operation, resource, effect) for _, operation, resource, _, effect in _found(app)}
    assert ("edit", "collaboration", "deny") in found
    assert ("create", "role", "deny") in found


def test_sockets_are_compared(opened: Opened) -> None:
    app, world, call, folder = opened
    room = world.collab.registry
    _try_out(app, folder, "p, role:collab_admin, event, global, view, True, deny\n")
    with serving(app) as url:
        audience = Audience(url, call.token)
        try:
            ear = audience("collab_admin")
            eventually(lambda: any(row[2] == "event" for row in _found(app)), True)
            about = {row[3] for row in _found(app) if row[2] == "event"}
            assert f"collabs [{room}]" in about
            path = f"/result/{world.result['running', 'north']}"
            call("north_registry", "PATCH", path, json={"status": "active"})
            ear.wait("status_update")
        finally:
            audience.close()


def test_a_candidate_that_is_not_valid_is_told_and_harms_nobody(opened: Opened) -> None:
    app, _, call, folder = opened
    files = {name: text for name, text in read_files(folder).items() if "/" not in name}
    write_files(folder / SHADOW, {**files, "candidate.csv": "p, role:viewer, tsak\n"})
    look(app.extensions["authz"].store)
    assert call("viewer", "GET", "/task").status_code == 200
    [problem] = call(None, "GET", "/health").json["problems"]
    assert problem.startswith("policy in shadow: candidate.csv:1")
    shown = call("root", "GET", "/policy").json["shadow"]
    assert (shown["version"], len(shown["problems"])) == (None, 1)


def test_a_running_server_begins_and_ends_within_a_second(opened: Opened) -> None:
    app, _, call, folder = opened
    with serving(app):
        files = {name: text for name, text in read_files(folder).items() if "/" not in name}
        write_files(folder / SHADOW, files)
        read = lambda: call("root", "GET", "/policy").json["shadow"] is not None  # noqa: E731
        eventually(read, True)
        for path in (folder / SHADOW).iterdir():
            path.unlink()
        eventually(read, False)


def test_changed_lines_of_the_database_reach_the_candidate(opened: Opened) -> None:
    app, world, call, folder = opened
    _try_out(app, folder, "")
    rule = world.rule["port", "ORGANIZATION", "VIEW"]
    path = f"/role/{world.role.analysts}/rule/{rule}"
    before = call("analyst", "GET", "/port").status_code
    assert call("root", "POST", path).status_code == 201
    assert (before, call("analyst", "GET", "/port").status_code) == (403, 200)
    assert _found(app) == []
