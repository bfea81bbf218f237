"""What a request asks to change is a fact of policies: limits on fields are lines, not code."""

from pathlib import Path

import pytest
from flask import Flask

from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ip": "10.0.0.1"}, 200),
        ({"clear_ip": True}, 200),
        ({"ip": "10.0.0.1", "name": None, "unknown": 1}, 200),
        ({"name": "other"}, 403),
        ({"ip": "10.0.0.1", "name": "other"}, 403),
        ({"collaboration_id": 2}, 403),
    ],
)
def test_a_node_changes_only_its_own_address(
    world: World, call: Caller, body: dict[str, object], status: int
) -> None:
    path = f"/node/{world.node.north_registry}"
    before = call("root", "GET", path).get_json()
    assert call("north_registry", "PATCH", path, json=body).status_code == status
    after = call("root", "GET", path).get_json()
    assert after["name"] == before["name"]
    if status == 403:
        assert after["ip"] == before["ip"]
    other = f"/node/{world.node.south_trial}"
    assert call("south_registry", "PATCH", other, json={"ip": "10.0.0.1"}).status_code == 403


@SQLITE
@pytest.mark.parametrize(
    ("body", "status"), [({"public_key": "aGk="}, 200), ({"name": "x"}, 403), ({}, 200)]
)
def test_a_node_changes_only_the_key_of_its_organization(
    world: World, call: Caller, body: dict[str, object], status: int
) -> None:
    path = f"/organization/{world.org.north}"
    assert call("north_registry", "PATCH", path, json=body).status_code == status


@SQLITE
@pytest.mark.parametrize("field", ["roles", "rules"])
def test_nobody_changes_the_own_roles_and_rules(world: World, call: Caller, field: str) -> None:
    path = f"/user/{world.user.second_root}"
    assert call("second_root", "PATCH", path, json={field: []}).status_code == 403
    assert call("root", "PATCH", path, json={field: []}).status_code == 200


@SQLITE
def test_an_admin_may_lift_or_add_such_a_limit_in_a_file(
    app: Flask, world: World, call: Caller, tmp_path: Path
) -> None:
    store = app.extensions["authz"].store
    for path in store.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    store.folder = tmp_path
    (tmp_path / "local.csv").write_text(
        "p, role:viewer, user, global, edit, meets(r.sub.changes, ('email',)), deny\n"
    )
    assert take_up(store)
    path = f"/user/{world.user.viewer}"
    assert call("viewer", "PATCH", path, json={"email": "new@north.example"}).status_code == 403
    assert call("viewer", "PATCH", path, json={"firstname": "V"}).status_code == 200
