"""What a request asks to change is a fact of policies: limits on fields are lines, not code."""

from pathlib import Path

import pytest
from flask import Flask

from tests.api.test_policy_line_rest import add, line
from tests.policy_edits import take_up
from tests.support import Caller, counting
from tests.world import ORGANIZATIONS, World

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
@pytest.mark.parametrize("body", [{"ip": "10.0.0.9"}, {"clear_ip": True}])
def test_a_denial_on_the_address_of_nodes_holds_for_both_ways_to_change_it(
    world: World, call: Caller, body: dict[str, object]
) -> None:
    add(call, line("role:org_admin", "node", "edit", "meets(r.sub.changes, ('ip',))"))
    path = f"/node/{world.node.north_registry}"
    assert call("org_admin", "PATCH", path, json=body).status_code == 403
    assert call("org_admin", "PATCH", path, json={"name": "other"}).status_code == 200


@SQLITE
def test_a_denial_speaks_of_a_row_as_it_will_stand_and_of_its_caller_as_before(
    world: World, call: Caller
) -> None:
    """Nobody makes the own organization a member, nor takes it out."""
    joins = "r.sub.org in r.obj.orgs && !meets(r.sub.collabs, r.obj.collabs)"
    leaves = "meets(r.sub.collabs, r.obj.collabs) && !(r.sub.org in r.obj.orgs)"
    for condition in (joins, f"r.sub.org != None && {leaves}"):
        add(call, line("kind:user", "collaboration", "edit", condition))
    trial, registry = (f"/collaboration/{id}" for id in (world.collab.trial, world.collab.registry))
    north, south, west, east = (getattr(world.org, name) for name in ORGANIZATIONS)
    for path, members, status in (
        (trial, [north, south, west], 403),
        (trial, [south, west, east], 200),
        (registry, [south], 403),
        (registry, [north], 200),
    ):
        answer = call("collab_admin", "PATCH", path, json={"organization_ids": members})
        assert answer.status_code == status, answer.json


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
    other = {"roles": [], "rules": [world.rule["task", "GLOBAL", "VIEW"]]}[field]
    now = call("root", "GET", path).json[field] or []
    assert call("second_root", "PATCH", path, json={field: other}).status_code == 403
    same = {field: [one["id"] for one in now]}
    assert call("second_root", "PATCH", path, json=same).status_code == 200  # no change
    assert call("root", "PATCH", path, json={field: other}).status_code == 200


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


@SQLITE
def test_what_is_certain_of_a_body_is_not_asked_again(world: World, call: Caller) -> None:
    """Could it be, what the body asks, and as it stands: no fourth question if that was written."""
    subject, only = f"user:{world.user.nobody}", "within(r.sub.changes, ('name',))"
    add(call, line(subject, "collaboration", "edit", only, effect="allow"))
    path = f"/collaboration/{world.collab.registry}"
    with counting() as statements:
        answer = call("nobody", "PATCH", path, json={"name": "another"})
    assert answer.status_code == 200, answer.json
    asked = [one for one in statements if one.startswith("SELECT collaboration.")]
    assert len(asked) == 3, asked
    both = {"name": "a third", "organization_ids": [world.org.north]}
    assert call("nobody", "PATCH", path, json=both).status_code == 403
    assert call("root", "GET", path).json["name"] == "another"
