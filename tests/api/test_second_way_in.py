"""A change is decided by what it changes, whichever endpoint it comes through."""

import pytest
from sqlalchemy import delete, select

from tests.api.test_hashing import NEW_USER
from tests.api.test_policy_line_rest import add, line
from v6srv import db, passwords
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.model import Node, Permission, RoleRule, Rule, User


def _collaboration_of(app, node):
    with app.app_context():
        return db.session.scalar(select(Node.collaboration_id).where(Node.id == node))


def test_a_node_is_not_moved_out_of_a_collaboration_that_one_may_not_edit(app, call, world):
    one = f"r.obj.id == {world.collab.nothing}"
    researcher = f"user:{world.user.west_researcher}"
    add(call, line(researcher, "collaboration", "edit", one, effect="allow"))
    path, node = f"/collaboration/{world.collab.nothing}/node", world.node.west_trial
    answer = call("west_researcher", "POST", path, json={"id": node})
    assert answer.status_code == 403
    assert _collaboration_of(app, node) == world.collab.trial
    assert call("root", "POST", path, json={"id": node}).status_code == 201
    assert _collaboration_of(app, node) == world.collab.nothing


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_denial_on_where_a_node_is_holds_for_who_edits_collaborations(app, call, world, method):
    node = world.node.west_trial
    path = f"/collaboration/{world.collab.nothing if method == 'POST' else world.collab.trial}/node"
    add(call, line("kind:user", "node", "edit", "meets(r.sub.changes, ('collaboration_id',))"))
    assert call("collab_admin", method, path, json={"id": node}).status_code == 403
    assert _collaboration_of(app, node) == world.collab.trial
    [denial] = call("root", "GET", "/policy/line").json
    assert call("root", "DELETE", f"/policy/line/{denial['id']}").status_code == 200
    assert call("collab_admin", method, path, json={"id": node}).status_code < 300
    assert _collaboration_of(app, node) == (world.collab.nothing if method == "POST" else None)


@pytest.mark.parametrize("method", ["PATCH", "POST", "DELETE"])
def test_a_denial_on_members_holds_for_every_way_to_change_them(app, call, world, method):
    denial = "meets(r.sub.changes, ('organization_ids',))"
    add(call, line("role:collab_admin", "collaboration", "edit", denial))
    path = f"/collaboration/{world.collab.registry}"
    north, west = world.org.north, world.org.west
    if method == "PATCH":
        answer = call("collab_admin", method, path, json={"organization_ids": [north, west]})
    else:
        organization = west if method == "POST" else north
        answer = call("collab_admin", method, f"{path}/organization", json={"id": organization})
    assert answer.status_code == 403
    shown = call("root", "GET", path).json["organizations"]
    assert sorted(one["id"] for one in shown) == sorted([north, world.org.south])
    assert call("collab_admin", "PATCH", path, json={"name": "renamed"}).status_code == 200


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_denial_on_rules_holds_for_every_way_to_change_them(app, call, world, method):
    add(call, line("role:org_admin", "role", "edit", "meets(r.sub.changes, ('rules',))"))
    role = world.role.analysts
    with app.app_context():
        held = set(db.session.scalars(select(RoleRule.c.rule_id).where(RoleRule.c.role_id == role)))
        viewed = select(Rule.id).where(Rule.name == "task", Rule.operation == "VIEW")
        rule = db.session.scalars(viewed.where(Rule.id.not_in(held))).first()
    if method == "PATCH":
        answer = call("org_admin", method, f"/role/{role}", json={"rules": [rule]})
    else:
        answer = call("org_admin", method, f"/role/{role}/rule/{rule}")
    assert answer.status_code == 403, answer.text
    with app.app_context():
        now = set(db.session.scalars(select(RoleRule.c.rule_id).where(RoleRule.c.role_id == role)))
    assert now == held


def test_a_right_that_is_taken_away_while_a_password_is_hashed_is_gone(
    app, call, world, monkeypatch
):
    seal = passwords.seal

    def sealed_meanwhile(text):
        with as_server(ServerWrite.COMMAND), db.transaction() as sess:
            sess.execute(delete(Permission).where(Permission.c.user_id == world.user.org_admin))
        return seal(text)

    monkeypatch.setattr(passwords, "seal", sealed_meanwhile)
    answer = call("org_admin", "POST", "/user", json=NEW_USER)
    assert answer.status_code == 403
    with app.app_context():
        assert db.session.scalar(select(User).where(User.username == NEW_USER["username"])) is None


def test_who_may_not_create_users_costs_no_hash(call, world, monkeypatch):
    monkeypatch.setattr(passwords, "seal", lambda text: pytest.fail("it was hashed"))
    assert call("viewer", "POST", "/user", json=NEW_USER).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"username": "root"},
        {"email": "researcher@north.example"},
        {"roles": [1]},
        {"roles": [99999]},
        {"rules": [99999]},
        {"username": ""},
    ],
)
def test_who_may_not_change_a_field_learns_nothing_by_what_is_wrong_with_it(call, world, body):
    """Everybody may change the own password; nothing else is said about anything else."""
    answer = call("nobody", "PATCH", f"/user/{world.user.nobody}", json=body)
    assert answer.status_code == 403
    assert answer.json["msg"] == "You lack the permission to do that!"
    assert answer.json["decision_id"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("organization", ["west", "north", None])
def test_who_may_only_rename_a_collaboration_learns_nothing_of_its_members(
    call, world, method, organization
):
    only = "within(r.sub.changes, ('name',))"
    nobody = f"user:{world.user.nobody}"
    add(call, line(nobody, "collaboration", "edit", only, effect="allow"))
    path = f"/collaboration/{world.collab.trial}"
    assert call("nobody", "PATCH", path, json={"name": "renamed"}).status_code == 200
    id = getattr(world.org, organization) if organization else 99999
    answer = call("nobody", method, f"{path}/organization", json={"id": id})
    assert answer.status_code == 403
    node = call("nobody", method, f"{path}/node", json={"id": world.node.west_trial})
    assert node.status_code == 403


def test_a_denial_on_where_a_node_is_holds_when_its_organization_leaves(app, call, world):
    add(call, line("kind:user", "node", "edit", "meets(r.sub.changes, ('collaboration_id',))"))
    path = f"/collaboration/{world.collab.trial}/organization"
    assert call("root", "DELETE", path, json={"id": world.org.west}).status_code == 403
    assert _collaboration_of(app, world.node.west_trial) == world.collab.trial
