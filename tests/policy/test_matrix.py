"""What each role grants, what commands and endpoints show of it, and the policy as a file."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from tests.databases import Databases
from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World
from v6srv.authz import clock
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.rules import DECLARED
from v6srv.authz.source.adapter import database_lines
from v6srv.authz.source.load import build, declared_grants
from v6srv.cli.main import cli
from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import CasbinRule
from v6srv.policy.publish import export
from v6srv.policy.who.matrix import Reach, Row, cell_text, matrix
from v6srv.vocabulary import Operation, Resource, Scope

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
Cells = dict[tuple[Resource, Operation], Reach]


def add_line(authz: Authorizer, *values: str, ptype: str = "p", **more: Any) -> None:
    fields = {f"v{at}": value for at, value in enumerate(values)}
    session.add(CasbinRule(ptype=ptype, **fields, **more))
    session.commit()
    assert take_up(authz.store), authz.store.problem


def cells(rows: list[Row]) -> dict[str, Cells]:
    return {
        row.holder.subject: {(cell.resource, cell.operation): cell for cell in row.cells}
        for row in rows
    }


# --- the matrix


@SQLITE
def test_each_role_reaches_as_far_as_its_widest_rule(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        found = cells(matrix(authz.policy))
    compared = 0
    for slug, grants in declared_grants(authz.store.folder).items():
        row = found[f"role:{slug}"]
        declared = {rule.resource for rule in DECLARED} if slug != "root" else set()
        for resource in declared:
            for operation in Operation:
                scopes = [s for r, s, o in grants if (r, o) == (resource, operation)]
                widest = max(scopes, key=tuple(Scope).index, default=None)
                assert row[resource, operation].scope == widest, (slug, resource, operation)
                compared += 1
    assert compared == 6 * 44
    assert {cell.scope for cell in found["role:root"].values()} == {Scope.GLOBAL}


@SQLITE
def test_custom_roles_and_kinds_are_part_of_it(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        rows = matrix(authz.policy)
    by_subject = {row.holder.subject: row for row in rows}
    assert list(by_subject)[:4] == ["kind:user", "kind:node", "kind:container", "role:root"]
    assert "role:everyone" in by_subject
    analysts = by_subject[f"role:{world.role.analysts}"]
    assert (analysts.holder.name, analysts.holder.organization_id) == ("analysts", world.org.north)
    granted = {(c.resource, c.operation): c.scope for c in analysts.cells if not c.nothing}
    assert granted == {
        (Resource.TASK, Operation.VIEW): Scope.ORGANIZATION,
        (Resource.TASK, Operation.CREATE): Scope.ORGANIZATION,
        (Resource.RESULT, Operation.VIEW): Scope.ORGANIZATION,
    }
    empty = by_subject[f"role:{world.role.empty}"]
    assert all(cell.nothing for cell in empty.cells)
    assert by_subject["role:org_admin"].holder.inherits == ("role:researcher", "role:viewer")
    user = {(c.resource, c.operation): c for c in by_subject["kind:user"].cells}
    assert user[Resource.TASK, Operation.CREATE].denials
    assert user[Resource.USER, Operation.VIEW].scope == Scope.OWN


@SQLITE
def test_cells_mark_conditions_and_denials(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    role = f"role:{world.role.empty}"
    with app.app_context():
        add_line(authz, role, "task", "own", "view", "True", "allow")
        add_line(authz, role, "task", "global", "view", "r.obj.database == 'x'", "allow")
        add_line(authz, role, "task", "own", "edit", "True", "allow", valid_until=long_ago)
        add_line(authz, role, "task", "global", "delete", "True", "allow")
        add_line(authz, role, "task", "organization", "delete", "True", "deny")
        add_line(authz, role, "node", "global", "view", "True", "allow")
        add_line(authz, role, "node", "global", "view", "True", "deny")
        add_line(authz, role, "port", "global", "view", "True", "allow")
        add_line(authz, role, "port", "own", "view", "r.obj.run == 1", "allow")
        [row] = matrix(authz.policy, [str(world.role.empty)])
    found = {(cell.resource, cell.operation): cell for cell in row.cells}
    texts = {key: cell_text(cell) for key, cell in found.items()}
    assert texts[Resource.TASK, Operation.VIEW] == "own global?"
    assert texts[Resource.TASK, Operation.EDIT] == "own?"
    assert texts[Resource.TASK, Operation.DELETE] == "global !"
    assert texts[Resource.NODE, Operation.VIEW] == "!!"
    assert texts[Resource.PORT, Operation.VIEW] == "global"  # the condition widens nothing
    assert texts[Resource.ROLE, Operation.VIEW] == "-"
    assert found[Resource.NODE, Operation.VIEW].nothing
    [limited] = found[Resource.TASK, Operation.VIEW].conditional
    assert limited.condition == "r.obj.database == 'x'"
    assert limited.origin.startswith("db:casbin_rule:")


@SQLITE
def test_roles_and_resources_can_be_picked(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        rows = matrix(authz.policy, ["viewer", "kind:node"], [Resource.TASK])
        assert [row.holder.subject for row in rows] == ["kind:node", "role:viewer"]
        assert [cell.operation for cell in rows[0].cells] == list(Operation)
        with pytest.raises(Invalid, match="did you mean role:viewer"):
            matrix(authz.policy, ["veiwer"])


# --- the policy as a file


def same(first: Enforcer, second: Enforcer) -> bool:
    """Whether two policies have the same lines, in the same order."""
    return [str(line) for line in first.lines] == [str(line) for line in second.lines]


def test_an_exported_policy_is_the_same_policy(
    app: Flask, world: World, tmp_path: Path, backend: str
) -> None:
    authz: Authorizer = app.extensions["authz"]
    noon = datetime(2030, 2, 3, 12, 30, 15, tzinfo=UTC)
    with app.app_context():
        add_line(authz, "org:2", "task", "global", "view", "r.obj.image in ('a,  b', 'c')", "allow")
        add_line(authz, "org:2", "node", "global", "view", "True", "deny", valid_from=noon)
        add_line(
            authz, "user:1", "node", "own", "edit", "(r.obj.id == 1 ||\nr.obj.id == 2)", "allow",
            valid_from=noon, valid_until=noon.replace(year=2031),
        )  # fmt: skip
        add_line(authz, f"user:{world.user.nobody}", f"role:{world.role.helpers}", ptype="g")
        text = "\n".join(export.as_csv(authz.policy))
        policy = authz.policy
    shutil.copy(authz.store.folder / "model.conf", tmp_path)
    (tmp_path / "all.csv").write_text(text)
    again = build(tmp_path)
    assert len(again.lines) == len(policy.lines)
    assert [line.valid_until for line in again.lines] == [line.valid_until for line in policy.lines]
    assert again.moments == policy.moments
    flat = [str(line).replace("\n", " ") for line in policy.lines]
    assert [str(line) for line in again.lines] == flat
    assert "timeMatch" not in text
    assert "p, org:2, node, global, view, True, deny, valid_from=2030-02-03 12:30:15" in text
    # Read and exported once more, nothing has changed: limits are not merged twice.
    bare = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in export.as_csv(again) if not line.startswith("#")] == bare


@SQLITE
def test_an_export_repeats_no_line(app: Flask, world: World, tmp_path: Path) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        analysts = f"role:{world.role.analysts}"
        add_line(authz, analysts, "task", "organization", "view", "True", "allow")
        assert same(authz.policy, build(authz.store.folder, database_lines()))
        text = "\n".join(export.as_csv(authz.policy))
    shutil.copy(authz.store.folder / "model.conf", tmp_path)
    (tmp_path / "all.csv").write_text(text)
    assert len(build(tmp_path).lines) == len(authz.policy.lines) - 1


@SQLITE
def test_json_holds_everything(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        until = datetime(2030, 1, 1, tzinfo=UTC)
        add_line(authz, "org:2", "task", "own", "view", "True", "allow", valid_until=until)
        with clock.stopped(datetime(2029, 12, 31, tzinfo=UTC)):
            before = export.as_data(authz.policy)
        with clock.stopped(until):
            after = export.as_data(authz.policy)
    assert before["policy"] == authz.policy.version
    assert "[matchers]" in before["model"]
    assert len(before["lines"]) == len(authz.policy.lines)
    line = before["lines"][-1]
    assert line.pop("origin").startswith("db:casbin_rule:")
    assert line == {
        "ptype": "p",
        "sub": "org:2",
        "res": "task",
        "scope": "own",
        "act": "view",
        "cond": "True",
        "eft": "allow",
        "valid_from": None,
        "valid_until": "2030-01-01T00:00:00+00:00",
        "in_force": True,
    }
    assert after["lines"][-1]["in_force"] is False
    assert before["lines"][0]["member"] == "global"
    assert before["lines"][0]["origin"].startswith("default_roles.csv:")


# --- endpoints


@SQLITE
def test_the_endpoints_answer_who_may_view_the_policy(world: World, call: Caller) -> None:
    task = world.task.running
    found = call("root", "GET", "/policy/who-can", query=f"operation=view&resource=task&id={task}")
    assert found.status_code == 200
    ways = {way["held"]: way for way in found.json["ways"]}
    assert {one["name"] for one in ways["role:viewer"]["principals"]} == {"viewer", "south_viewer"}
    assert found.json["thing"] == f"task:{task}"
    can = call(
        "root", "GET", "/policy/can", query=f"principal=user:{world.user.viewer}&rows=1&limit=2"
    )
    assert can.status_code == 200
    tasks = next(
        one
        for one in can.json["abilities"]
        if (one["reach"]["resource"], one["reach"]["operation"]) == ("task", "view")
    )
    assert tasks["reach"]["scope"] == "organization"
    assert tasks["rows"]["total"] == 4
    assert len(tasks["rows"]["ids"]) == 2
    made_up = {"as": json.dumps({"roles": ["root"]}), "resource": "policy"}
    root = call("root", "GET", "/policy/can", query=made_up)
    assert {one["reach"]["scope"] for one in root.json["abilities"]} == {"global"}
    grid = call("root", "GET", "/policy/matrix", query="role=viewer,researcher&resource=task")
    assert [row["holder"]["subject"] for row in grid.json["roles"]] == [
        "role:viewer",
        "role:researcher",
    ]
    assert [cell["scope"] for cell in grid.json["roles"][0]["cells"]] == [
        "organization",
        None,
        None,
        None,
    ]


@SQLITE
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("who-can", "operation=view&resource=policy", 200),
        ("who-can", "operation=view&resource=event&room=collaboration_1", 200),
        ("who-can", "operation=view&resource=node&on=organization&id=2", 200),
        ("who-can", 'operation=view&resource=task&row={"orgs":[2]}', 200),
        ("who-can", "operation=view&resource=task&id=1&at=2020-01-01", 200),
        ("who-can", "resource=task&id=1", 400),
        ("who-can", "operation=look&resource=task&id=1", 400),
        ("who-can", "operation=view&resource=task&id=x", 400),
        ("who-can", "operation=view&resource=task&id=999", 404),
        ("who-can", "operation=view&resource=task&row=[]", 400),
        ("who-can", 'operation=view&resource=task&row={"orgz":[2]}', 400),
        ("who-can", "operation=view&resource=task&on=nothing&id=1", 400),
        ("who-can", "operation=view&resource=task&on=node", 400),
        ("who-can", "operation=view&resource=task&room=collaboration_1", 400),
        ("who-can", "operation=view&resource=task&id=1&at=tomorrow", 400),
        ("can", "", 400),
        ("can", "principal=somebody", 400),
        ("can", "principal=user:9999", 404),
        ("can", "principal=user:1&resource=record", 400),
        ("can", "principal=user:1&rows=1&limit=-1", 400),
        ("can", "as=x", 400),
        ("matrix", "", 200),
        ("matrix", "role=nothing", 400),
        ("matrix", "resource=record", 400),
    ],
)
def test_what_cannot_be_answered_is_refused(
    world: World, call: Caller, path: str, query: str, status: int
) -> None:
    answer = call("root", "GET", f"/policy/{path}", query=query)
    assert answer.status_code == status
    if status != 200:
        assert isinstance(answer.json["msg"], str)
    denied = call("collab_admin", "GET", f"/policy/{path}", query=query)
    assert denied.status_code == 403


# --- commands


@pytest.fixture
def run(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run a command of an instance with the small world."""
    uri, made = databases.copy("sqlite", with_world=True)
    assert made is not None
    settings = databases.settings(uri)
    variables = {
        "V6SRV_URI": uri,
        "V6SRV_INSTANCE": str(tmp_path),
        "V6SRV_POLICIES": str(settings.policies),
    }

    def invoke(*arguments: str, **more: str) -> Result:
        return CliRunner(env={**variables, **more}).invoke(cli, ["policy", *arguments])

    invoke.world = made  # type: ignore[attr-defined]
    return invoke


def test_who_can_in_every_format(run: Callable[..., Result]) -> None:
    world: World = run.world  # type: ignore[attr-defined]
    task = f"task:{world.task.running}"
    text = run("who-can", "view", task)
    assert text.exit_code == 0, text.output
    first = text.output.splitlines()[0]
    assert first.endswith(f"may view {task}")
    assert "2 nodes" in first
    assert "role:viewer (Viewer): 2" in text.output
    found = json.loads(run("who-can", "view", task, "--format", "json").output)
    rows = list(csv.DictReader(io.StringIO(run("who-can", "view", task, "--format", "csv").output)))
    assert {row["subject"] for row in rows} == {
        one["subject"] for way in found["ways"] for one in way["principals"]
    }
    assert (
        run("who-can", "view", f"organization:{world.org.north}", "--resource", "node").exit_code
        == 0
    )
    made_up = run("who-can", "edit", "task:{}", "--format", "json")
    assert json.loads(made_up.output)["users"] == 2  # those with the role root


def test_nobody_ends_with_1(run: Callable[..., Result]) -> None:
    world: World = run.world  # type: ignore[attr-defined]
    outside = f'task:{{"orgs": [{world.org.west}]}}'
    assert run("who-can", "create", outside).exit_code == 0
    result = run("who-can", "create", 'task:{"orgs": []}')  # forbidden to all users, root included
    assert result.exit_code == 1
    assert result.output.startswith("Nobody may create task:")


@pytest.mark.parametrize(
    "arguments",
    [
        ("who-can", "look", "task:1"),
        ("who-can", "view", "tusk:1"),
        ("who-can", "view", "task:999"),
        ("who-can", "view", "task:1", "--at", "tomorrow"),
        ("can", "user:9999"),
        ("can", "somebody"),
        ("can",),
        ("can", "user:1", "--resource", "tusk"),
        ("matrix", "--role", "nothing"),
        ("export", "--name", "no-such-instance"),
    ],
)
def test_what_commands_cannot_answer_ends_with_2(
    run: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "[error] - " in result.output
    assert "Traceback" not in result.output


def test_can_in_every_format(run: Callable[..., Result]) -> None:
    world: World = run.world  # type: ignore[attr-defined]
    name = f"user:{world.user.viewer}"
    text = run("can", name, "--rows", "--limit", "1")
    assert text.exit_code == 0, text.output
    assert "role:viewer" in text.output.splitlines()[0]
    assert f"  view    organization  4 rows: {world.task.finished} ..." in text.output
    found = json.loads(run("can", name, "--format", "json", "--resource", "task").output)
    reach = found["abilities"][0]["reach"]
    assert (reach["operation"], reach["scope"]) == ("view", "organization")
    rows = list(csv.DictReader(io.StringIO(run("can", name, "--format", "csv").output)))
    scopes = {(row["resource"], row["operation"]): row["scope"] for row in rows}
    assert scopes["task", "view"] == "organization"
    assert scopes["user", "edit"] == "own"
    nothing = run("can", f"user:{world.user.nobody}", "--resource", "node")
    assert nothing.exit_code == 1
    assert "It may do nothing." in nothing.output
    made_up = run("can", "--as", '{"roles": ["researcher"]}', "--resource", "task")
    assert made_up.exit_code == 0
    assert "create  organization" in made_up.output


def test_matrix_in_every_format(run: Callable[..., Result]) -> None:
    world: World = run.world  # type: ignore[attr-defined]
    text = run("matrix")
    assert text.exit_code == 0, text.output
    assert max(map(len, text.output.splitlines())) <= 100
    assert f"{world.role.analysts}: analysts, of organization {world.org.north}" in text.output
    rows = list(csv.DictReader(io.StringIO(run("matrix", "--format", "csv").output)))
    viewer = next(row for row in rows if row["subject"] == "role:viewer")
    assert (viewer["task:view"], viewer["task:delete"], viewer["user:edit"]) == ("org", "-", "own")
    assert len(viewer) == 3 + len(Resource) * len(Operation)
    found = json.loads(run("matrix", "--format", "json").output)
    assert [row["holder"]["subject"] for row in found["roles"]] == [row["subject"] for row in rows]


def test_export_in_both_formats(run: Callable[..., Result], tmp_path: Path) -> None:
    text = run("export")
    assert text.exit_code == 0
    found = json.loads(run("export", "--format", "json").output)
    bare = [line for line in text.output.splitlines() if not line.startswith("#")]
    assert len(bare) == len(found["lines"])
    assert text.output.startswith(f"# Policy {found['policy']}\n# --- default_roles.csv\n")
