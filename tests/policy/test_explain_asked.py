"""Asking why: the command and the endpoint, and what they say to bad questions."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.cli.main import cli
from v6srv.model import Role

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


# --- the command


@pytest.fixture
def run(app: Flask, world: World) -> Callable[..., Result]:
    """`v6srv policy explain` with the database and the policies of the application."""
    settings = app.config["SETTINGS"]
    variables = {
        "V6SRV_CONFIG": None,
        "V6SRV_DATABASE_URL": settings.uri,
        "V6SRV_INSTANCE": str(settings.instance),
    }

    def invoke(*arguments: str) -> Result:
        return CliRunner(env=variables).invoke(cli, ["policy", "explain", *arguments])

    return invoke


def test_the_command_says_it_in_words(world: World, run: Callable[..., Result]) -> None:
    north, running, waiting = world.org.north, world.task.running, world.task.waiting
    viewer = f"user:{world.user.viewer}"
    granted = run(viewer, "view", f"task:{running}")
    assert granted.exit_code == 0, granted.output
    assert granted.output.startswith(f"ALLOWED  {viewer} may view task:{running}: allowed by ")
    refused = run(viewer, "view", f"task:{waiting}").output
    assert refused.startswith(f"DENIED  {viewer} may not view task:{waiting}: what lets ")
    assert f"organization {north} is not among {{{world.org.south}, {world.org.west}}}" in refused
    assert "To allow this: grant view task with scope global" in refused
    assert "Root (role:root)" in refused
    assert f"p, {viewer}, task, global, view, True, allow" in refused
    root = run(f"user:{world.user.second_root}", "create", f"task:{waiting}").output
    assert "To allow this: take away what forbids it: default_roles.csv:" in root
    nodes = run(viewer, "view", f"organization:{world.org.east}", "--resource", "node").output
    assert f"{viewer} may not view node on organization:{world.org.east}" in nodes


@SQLITE
def test_the_command_takes_what_does_not_exist(world: World, run: Callable[..., Result]) -> None:
    researcher = json.dumps({"org": world.org.north, "roles": ["researcher"]})
    row = f'task:{{"orgs": [{world.org.north}]}}'
    found = json.loads(run("create", row, "--as", researcher, "--format", "json").stdout)
    assert found["allowed"] is True
    assert found["principal"]["collabs"] == [world.collab.registry]
    assert found["facts"]["orgs"] == [world.org.north]
    nobody, viewer = f"user:{world.user.nobody}", '{"roles": ["viewer"]}'
    assert run(nobody, "view", row, "--as", viewer).output.startswith(f"ALLOWED  {nobody}")
    assert run("view", "policy", "--as", viewer).output.startswith("DENIED  user:0")
    id = next(rule.id for rule in db.session.query(Role) if rule.slug == "viewer")
    for words in ("role:viewer", "viewer", f"role:{id}", f"{id}", f'{{"roles": ["{id}"]}}'):
        found = json.loads(run("view", "role", "--as", words, "--format", "json").stdout)
        assert found["principal"]["roles"] == ["role:viewer"], words


@SQLITE
def test_the_command_says_for_which_rows(world: World, run: Callable[..., Result]) -> None:
    """And advises to take away no line that leaves some rows."""
    north = world.org.north
    lines = run("create", "task", "--as", f"researcher,org:{north}").output.splitlines()
    asked = "user:0 may create task"
    rows = f"in collaborations of organization {north} and where no node refuses user:0"
    assert lines[0] == f"ALLOWED  {asked}: {rows}"
    assert not [line for line in lines if line.startswith("row ")]
    denial = next(line for line in lines if line.endswith("deny"))
    reason = lines[lines.index(denial) + 1].strip()
    assert reason == f"matches some rows: not in collaborations of organization {north}"
    viewer = run("create", "task", "--as", f"viewer,org:{north}").output
    assert viewer.startswith("DENIED  user:0 may not create task: nothing grants")
    assert "grant create task with scope organization" in viewer
    assert "take away" not in viewer


@SQLITE
@pytest.mark.parametrize(
    ("question", "expected", "code"),
    [
        (("view", "policy", "--as", "root"), "allow", 0),
        (("view", "policy", "--as", "root"), "deny", 1),
        (("view", "policy", "--as", "viewer"), "deny", 0),
        (("create", "task", "--as", "viewer"), "allow", 1),
        (("view", "policy", "--as", "no-such-role"), "deny", 2),
        (("user:1", "view", "task:99999"), "deny", 2),
    ],
)
def test_what_is_expected_gives_the_exit_code(
    world: World, run: Callable[..., Result], question: tuple[str, ...], expected: str, code: int
) -> None:
    found = run(*question, "--expect", expected)
    assert found.exit_code == code, found.output


@SQLITE
def test_the_command_asks_at_any_time(app: Flask, world: World, run: Callable[..., Result]) -> None:
    added = app.config["SETTINGS"].policies / "visitor.csv"
    who, row = f"user:{world.user.nobody}", f"task:{world.task.running}"
    added.write_text(f"p, {who}, task, global, view, True, allow, valid_until=2026-02-01\n")
    try:
        for at, effect in (("2026-02-01", "ALLOWED"), ("2026-02-02", "DENIED")):
            found = run(who, "view", row, "--at", at)
            assert found.output.startswith(effect)
            assert f"at {at} 00:00:00 UTC" in found.output
    finally:
        added.unlink()


@SQLITE
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["user:1", "view"], 2, "PRINCIPAL OPERATION ROW"),
        (["user:99999", "view", "task:1"], 1, "There is no user:99999"),
        (["usr:1", "view", "task:1"], 1, "'usr:1' is not user:<id>"),
        (["user:1", "look", "task:1"], 1, "unknown operation 'look'"),
        (["user:1", "view", "taks:1"], 1, "unknown resource 'taks', did you mean task?"),
        (["user:1", "view", "task:999999"], 1, "Task id=999999 is not found!"),
        (["user:1", "view", "task:1", "--at", "noon"], 1, "'noon' is no date or time"),
        (["user:1", "edit", "node:2", "--changes", "nmae"], 1, "did you mean name?"),
        (["user:1", "view", "room:collaboration_1", "--resource", "task"], 1, "a room is of"),
        (["view", "task:1", "--as", "{"], 1, "the principal is not valid JSON"),
        (["view", "task:1", "--as", "viewr"], 1, "did you mean viewer?"),
        (["view", "task:1", "--as", "user:1"], 1, "'user:1' is no part of a principal"),
        (["view", "task:1", "--as", "org:x"], 1, "'org:x' is not org:<id>"),
        (["view", "task:1", "--as", f"role:{'9' * 5000}"], 1, "there is no role"),
        (["view", "task:1", "--as", " , "], 1, "the principal is not described"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_question(
    run: Callable[..., Result], arguments: list[str], code: int, message: str
) -> None:
    found = run(*arguments)
    assert found.exit_code == code
    assert message in found.output
    assert "Traceback" not in found.output


# --- over REST


def test_rest_says_what_the_command_says(
    world: World, call: Caller, run: Callable[..., Result]
) -> None:
    query = {"principal": f"user:{world.user.viewer}", "operation": "view", "resource": "task"}
    task = world.task.waiting
    answer = call("root", "GET", "/policy/explain", query={**query, "id": task})
    assert answer.status_code == 200
    told = run(query["principal"], "view", f"task:{task}", "--format", "json").stdout
    assert {**answer.json, "at": None} == {**json.loads(told), "at": None}


def test_rest_is_for_those_who_may_view_the_policy(world: World, call: Caller) -> None:
    query = {"principal": "user:1", "operation": "view", "resource": "task"}
    for who, status in (("root", 200), ("collab_admin", 403), ("north_registry", 403), (None, 401)):
        assert call(who, "GET", "/policy/explain", query=query).status_code == status
    rules = [world.rule["policy", "GLOBAL", "VIEW"]]
    auditor = f"/user/{world.user.nobody}"
    assert call("root", "PATCH", auditor, json={"rules": rules}).status_code == 200
    assert call("nobody", "GET", "/policy/explain", query=query).status_code == 200


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ({"as": '{"roles": ["root"]}', "resource": "policy"}, True),
        ({"as": '{"roles": ["viewer"], "org": 2}', "row": '{"orgs": [2]}'}, True),
        ({"as": '{"roles": ["viewer"], "org": 2}', "row": '{"orgs": [3]}'}, False),
        ({"as": '{"roles": ["viewer"], "org": 2}', "on": "organization", "id": "2"}, False),
        (
            {
                "as": '{"roles": ["viewer"], "org": 2}',
                "resource": "node",
                "on": "organization",
                "id": "2",
            },
            True,
        ),
        (
            {
                "as": '{"roles": ["viewer"], "org": 2}',
                "resource": "event",
                "room": "collaboration_1_organization_2",
            },
            True,
        ),
    ],
)
@SQLITE
def test_rest_takes_every_form_of_question(
    world: World, call: Caller, query: dict[str, str], allowed: bool
) -> None:
    asked = {"operation": "view", "resource": "task", **query}
    if asked.get("on") == "organization" and asked["resource"] == "task":
        asked["operation"] = "delete"
    answer = call("root", "GET", "/policy/explain", query=asked)
    assert answer.status_code == 200, answer.json
    assert answer.json["allowed"] is allowed


@SQLITE
@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ({"principal": "user:99999"}, 404, "There is no user:99999"),
        ({"principal": f"user:{10**30}"}, 404, "There is no user:"),
        ({"id": "999999"}, 404, "Task id=999999 is not found!"),
        ({"id": str(2**31)}, 400, ""),
        ({"id": "x"}, 400, ""),
        ({"principal": "x"}, 400, "is not user:<id>"),
        ({"principal": ""}, 400, "Nobody is named"),
        ({"operation": "look"}, 400, ""),
        ({"resource": "tasks"}, 400, ""),
        ({"resource": "event", "id": "1"}, 400, "event has no rows of its own"),
        ({"row": "{}", "id": "1"}, 400, "Name one row"),
        ({"on": "node"}, 400, "Name one row"),
        ({"row": "[]"}, 400, "the row must be a JSON object"),
        ({"row": '{"imagee": "x"}'}, 400, "did you mean image?"),
        ({"row": '{"image": 3}'}, 400, "image must be text or null"),
        ({"row": '{"image": "\\ud800"}'}, 400, "image must be text or null"),
        ({"row": '{"orgs": [100000000000000000000]}'}, 400, "orgs must be a list"),
        ({"as": '{"roles": ["viewr"]}'}, 400, "did you mean viewer?"),
        ({"as": '{"rules": [9999]}'}, 400, "there is no rule 9999"),
        ({"as": '{"org": 1e999}'}, 400, "org must be a whole number"),
        ({"as": "[" * 2_500}, 400, "the principal is not valid JSON"),
        ({"room": "collaboration_1"}, 400, "a room is of the resource event"),
        ({"resource": "event", "room": "all"}, 400, "'all' is not a room"),
        ({"id": "1", "changes": "imge"}, 400, "did you mean image?"),
        ({"at": "0001-01-01T00:00:00+23:00"}, 400, "is no date or time"),
        ({"at": "\x00"}, 400, ""),
    ],
)
def test_rest_refuses_bad_questions(
    world: World, call: Caller, query: dict[str, str], status: int, message: str
) -> None:
    asked = {"principal": "user:1", "operation": "view", "resource": "task", **query}
    answer = call("root", "GET", "/policy/explain", query=asked)
    assert answer.status_code == status, answer.json
    assert isinstance(answer.json["msg"], str)
    assert message in answer.text.encode().decode("unicode_escape")
