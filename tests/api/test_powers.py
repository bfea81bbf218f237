"""Who has power over whom is lines of the policy; the contract's words stay (permissions.md 5.2)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.policy_edits import take_up
from tests.support import Caller, open_app
from tests.world import World
from v6srv import db
from v6srv.model import NodeConfig
from v6srv.service import setup

Opened = tuple[World, Caller]
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

MORE_POWERFUL = "This user has permissions that you do not have!"
NOT_HELD = "You cannot put a rule into a role, or take it out, that you don't hold!"
RULE = ("task", "GLOBAL", "VIEW")


def _default(name: str) -> str:
    return f"Role {name} is a default role and cannot be changed or deleted!"


def _lacks(rule: str) -> str:
    return f"You don't have the rule {rule} that you want to assign or take away!"


REFUSED: tuple[tuple[str, str, str, dict[str, Any] | None, int, str], ...] = (
    ("org_admin", "PATCH", "/user/{user.viewer}", {"username": "vera"}, 400,
     "You cannot change the username of another user!"),
    ("org_admin", "PATCH", "/user/{user.extra}", {"email": "x@north.example"}, 403, MORE_POWERFUL),
    ("org_admin", "DELETE", "/user/{user.extra}", None, 403, MORE_POWERFUL),
    ("org_admin", "PATCH", "/user/{user.extra}", {"rules": []}, 403,
     _lacks("(task, GLOBAL, VIEW)")),
    ("root", "PATCH", "/user/{user.viewer}", {"roles": ["{role.helpers}"]}, 403,
     "Role id={role.helpers} belongs to another organization than the user!"),
    ("root", "PATCH", "/role/{role.viewer}", {"description": "x"}, 400, _default("Viewer")),
    ("root", "PATCH", "/role/{role.viewer}", {}, 400, _default("Viewer")),
    ("root", "DELETE", "/role/{role.viewer}", None, 400, _default("Viewer")),
    ("root", "POST", "/role/{role.viewer}/rule/1", None, 400, _default("Viewer")),
    ("root", "DELETE", "/role/{role.viewer}/rule/1", None, 400, _default("Viewer")),
    ("org_admin", "POST", "/role/{role.empty}/rule/1", None, 403, NOT_HELD),
    ("org_admin", "DELETE", "/role/{role.empty}/rule/1", None, 403, NOT_HELD),
)  # fmt: skip


def _named(world: World, text: str) -> str:
    return text.format(user=world.user, role=world.role)


@pytest.mark.parametrize(("who", "method", "path", "body", "status", "message"), REFUSED)
@SQLITE
def test_it_is_said_in_the_words_of_the_contract(
    call: Caller,
    world: World,
    who: str,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    status: int,
    message: str,
) -> None:
    if body and "roles" in body:
        body = {"roles": [int(_named(world, one)) for one in body["roles"]]}
    answer = call(who, method, _named(world, path), json=body)
    assert (answer.status_code, answer.json["msg"]) == (status, _named(world, message))
    assert ("decision_id" in answer.json) is (status == 403)


@SQLITE
def test_who_may_not_change_a_role_does_not_hear_what_it_is(call: Caller, world: World) -> None:
    for method, path in (("DELETE", world.role.viewer), ("PATCH", world.role.analysts)):
        answer = call("researcher", method, f"/role/{path}", json={"name": "x"})
        assert (answer.status_code, answer.json["msg"][:8]) == (403, "You lack")


@SQLITE
def test_what_is_kept_has_to_be_held_too(call: Caller, world: World) -> None:
    """Also where nothing changes (permissions.md 5.2)."""
    for user, same in (
        (world.user.second_root, {"roles": [world.role.root]}),
        (world.user.extra, {"rules": [world.rule[RULE]]}),
    ):
        answer = call("org_admin", "PATCH", f"/user/{user}", json=same)
        assert answer.status_code == 403
        assert answer.json["msg"].startswith("You don't have the rule (")
        assert call("root", "PATCH", f"/user/{user}", json=same).status_code == 200


@SQLITE
def test_rights_are_not_taken_from_a_role_that_holds_more(call: Caller, world: World) -> None:
    strong, held = world.rule[RULE], world.rule["task", "ORGANIZATION", "VIEW"]
    path = f"/role/{world.role.analysts}"
    assert call("root", "POST", f"{path}/rule/{strong}").status_code == 201
    words = "This role has rules that you do not hold!"
    other = world.rule["user", "ORGANIZATION", "VIEW"]
    for method, where, body in (
        ("PATCH", path, {"rules": []}),
        ("PATCH", path, {"rules": [held]}),
        ("POST", f"{path}/rule/{other}", None),
        ("DELETE", f"{path}/rule/{held}", None),
        ("DELETE", path, None),
    ):
        answer = call("org_admin", method, where, json=body)
        assert (answer.status_code, answer.json["msg"]) == (403, words), (method, where)
    assert call("org_admin", "PATCH", path, json={"name": "renamed"}).status_code == 200
    assert call("root", "DELETE", f"{path}/rule/{strong}").status_code == 200
    assert call("org_admin", "PATCH", path, json={"rules": []}).status_code == 200


@SQLITE
def test_other_rights_of_who_holds_more_can_be_moved(call: Caller, world: World) -> None:
    """The extra rule of this user is nobody's business who changes the roles."""
    body = {"roles": [world.role.analysts]}
    answer = call("org_admin", "PATCH", f"/user/{world.user.extra}", json=body)
    assert answer.status_code == 200


# --- lines that are taken out


@pytest.fixture
def lifted(databases: Databases, backend: str, tmp_path: Path) -> Iterator[tuple[World, Caller]]:
    """A server whose admin has taken the denials out that ask who has power over whom."""
    folder = tmp_path / "policies"
    setup.install_policies(folder)
    file = folder / "default_roles.csv"
    words = (".lacks", "'username'", "foreign_roles", "r.obj.default", "r.obj.refused")
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(word in line for word in words)]
    assert len(lines) - len(kept) == 15
    with open_app(databases, backend, True, policies=folder, instance=tmp_path) as (app, world):
        file.write_text("".join(kept))
        assert take_up(app.extensions["authz"].store)
        assert world is not None
        yield world, Caller(app)


@SQLITE
def test_an_admin_may_take_such_lines_out(lifted: tuple[World, Caller]) -> None:
    world, call = lifted
    for who, method, path, body, _, _ in REFUSED:
        if body and "roles" in body:
            body = {"roles": [int(_named(world, one)) for one in body["roles"]]}
        if path.endswith("rule/1") or (method, path) == ("DELETE", "/user/{user.extra}"):
            continue
        answer = call(who, method, _named(world, path), json=body)
        assert answer.status_code == 200, (who, method, path, answer.json)
    answer = call("org_admin", "POST", f"/role/{world.role.empty}/rule/1")
    assert answer.status_code == 201
    assert call("org_admin", "DELETE", f"/user/{world.user.extra}").status_code == 200


def _to_a_closed_node(call: Caller, world: World, who: str) -> Any:
    """The answer to a task for a node that takes tasks of somebody else only."""
    with call.app.app_context():
        shared = NodeConfig(node_id=world.node.south_registry, key="allowed_users", value="vera")
        db.session.add(shared)
        db.session.commit()
    targets = [{"id": world.org.south, "input": "x"}]
    body = {"name": "n", "image": "i", "collaboration_id": world.collab.registry}
    return call(who, "POST", "/task", json={**body, "organizations": targets})


@SQLITE
def test_who_may_create_no_task_is_not_told_what_nodes_share(call: Caller, world: World) -> None:
    assert _to_a_closed_node(call, world, "viewer").status_code == 403
    answer = _to_a_closed_node(call, world, "researcher")
    assert answer.status_code == 400
    assert "does not allow you to create tasks" in answer.json["msg"]


@SQLITE
def test_an_admin_may_leave_that_to_the_nodes(lifted: tuple[World, Caller]) -> None:
    world, call = lifted
    assert _to_a_closed_node(call, world, "researcher").status_code == 201
