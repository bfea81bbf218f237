"""What /node stores (rest.md 3.3)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.shared import names
from v6srv import db
from v6srv.model import Node
from v6srv.service import nodes


def test_filters_by_place_and_time(call, world):
    def listed(**query):
        return names(call("root", "GET", "/node", query=query))

    call("north_registry", "GET", "/node")  # is seen
    assert listed(organization_id=world.org.south) == ["south_registry", "south_trial"]
    assert listed(collaboration_id=world.collab.trial) == ["south_trial", "west_trial"]
    assert listed(last_seen_from="2024-01-01") == ["north_registry"]
    assert listed(last_seen_till="2024-01-01") == []
    assert listed(last_seen_from="2024-01-01T00:00:00Z", name="south%") == []
    for name in ("organization_id", "collaboration_id", "last_seen_from", "last_seen_till"):
        assert call("root", "GET", "/node", query={name: "x"}).status_code == 400


def new(world, collab="nothing", org="west", **more):
    return {
        "collaboration_id": getattr(world.collab, collab),
        "organization_id": getattr(world.org, org),
        **more,
    }


def test_a_new_node_can_log_in_with_the_key_that_is_shown_once(call, world):
    answer = call("root", "POST", "/node", json=new(world, name=None))
    assert answer.status_code == 201
    assert answer.json["name"] == "west - nothing Node"
    assert answer.json["config"] == []
    key = answer.json["api_key"]
    assert call(None, "POST", "/token/node", json={"api_key": key}).status_code == 200
    shown = call("root", "GET", f"/node/{answer.json['id']}").json
    assert shown == {name: value for name, value in answer.json.items() if name != "api_key"} | {
        "last_seen": shown["last_seen"]
    }


def test_without_an_organization_it_is_the_own_one(call, world):
    call("root", "DELETE", f"/node/{world.node.north_registry}")
    body = {"collaboration_id": world.collab.registry, "organization_id": None, "name": "mine"}
    answer = call("org_admin", "POST", "/node", json=body)
    assert answer.status_code == 201
    assert answer.json["organization"]["id"] == world.org.north
    assert answer.json["name"] == "mine"


def test_only_what_is_given_changes(call, world):
    """Q-20: null is not given"""
    path = f"/node/{world.node.north_registry}"
    before = call("org_admin", "GET", path).json
    body = {"name": None, "organization_id": None, "collaboration_id": None}
    assert call("org_admin", "PATCH", path, json=body).json == before
    renamed = call("org_admin", "PATCH", path, json={"name": "renamed"}).json
    assert renamed == {**before, "name": "renamed"}


def test_a_node_sets_and_clears_its_own_address_only(call, world):
    """Q-56"""
    own, other = f"/node/{world.node.south_trial}", f"/node/{world.node.south_registry}"
    assert call("south_trial", "PATCH", own, json={"ip": "10.76.0.5"}).json["ip"] == "10.76.0.5"
    both = {"ip": "10.76.0.6", "clear_ip": True}
    assert call("south_trial", "PATCH", own, json=both).json["ip"] == "10.76.0.6"
    assert call("south_trial", "PATCH", own, json={"clear_ip": False}).json["ip"] == "10.76.0.6"
    assert call("south_trial", "PATCH", own, json={"clear_ip": "True"}).json["ip"] is None
    assert call("south_trial", "PATCH", other, json={"ip": "10.76.0.5"}).status_code == 403
    for more in (
        {"name": "mine"},
        {"collaboration_id": world.collab.registry},
        {"organization_id": world.org.west},
    ):
        body = {"ip": "10.76.0.9", **more}
        assert call("south_trial", "PATCH", own, json=body).status_code == 403
    as_it_is = {"collaboration_id": world.collab.trial, "organization_id": world.org.south}
    assert call("south_trial", "PATCH", own, json=as_it_is).status_code == 200  # no change
    assert call("root", "GET", own).json["ip"] is None


@pytest.mark.parametrize(
    ("who", "node", "status"),
    [
        ("org_admin", "north_registry", 200),
        ("org_admin", "south_registry", 403),
        ("collab_admin", "south_registry", 403),  # edits nodes of the own organization only
        ("root", "south_registry", 200),
        ("viewer", "north_registry", 403),
        ("container", "north_registry", 403),
    ],
)
def test_who_may_change_a_node(call, world, who, node, status):
    path = f"/node/{getattr(world.node, node)}"
    assert call(who, "PATCH", path, json={"name": "new"}).status_code == status


def test_a_node_moves_where_its_organization_is_a_member(call, world):
    path = f"/node/{world.node.west_trial}"
    answer = call("root", "PATCH", path, json={"collaboration_id": world.collab.nothing})
    assert answer.json["collaboration"]["id"] == world.collab.nothing
    # At once, its collaboration is another one.
    assert call("west_trial", "GET", f"/collaboration/{world.collab.nothing}").status_code == 200


def test_a_node_moves_to_another_member(call, world):
    call("root", "DELETE", f"/node/{world.node.south_trial}")
    path = f"/node/{world.node.west_trial}"
    answer = call("root", "PATCH", path, json={"organization_id": world.org.south})
    assert answer.status_code == 200
    assert answer.json["organization"]["id"] == world.org.south


@pytest.mark.parametrize(
    ("who", "node", "status"),
    [
        ("root", "north_registry", 200),
        ("collab_admin", "west_trial", 200),
        ("org_admin", "north_registry", 403),  # permissions.md 5.4
        ("north_registry", "north_registry", 403),
    ],
)
def test_who_may_remove_a_node(call, world, who, node, status):
    path = f"/node/{getattr(world.node, node)}"
    answer = call(who, "DELETE", path)
    assert answer.status_code == status
    assert isinstance(answer.json["msg"], str)
    assert call("root", "GET", path).status_code == (404 if status == 200 else 200)


def test_a_node_that_is_gone_is_nobody(call, world):
    call("north_registry", "GET", "/node")
    call("root", "DELETE", f"/node/{world.node.north_registry}")
    assert call("north_registry", "GET", "/node").status_code == 401
    shown = call("root", "GET", f"/result/{world.result['running', 'north']}").json
    assert shown["node"] == {}


def test_a_member_is_not_taken_out_while_a_node_of_it_is_registered(app, call, world):
    west, nothing = world.org.west, world.collab.nothing
    call("root", "GET", "/rule")  # has a token
    with ThreadPoolExecutor(1) as others, app.app_context(), db.transaction() as sess:
        assert nodes.place(west, nothing).is_member
        sess.add(Node(name="late", organization_id=west, collaboration_id=nothing))
        sess.flush()
        path = f"/collaboration/{nothing}/organization"
        gone = others.submit(call, "root", "DELETE", path, json={"id": west})
        with pytest.raises(TimeoutError):
            gone.result(0.5)
    assert gone.result().status_code == 200
    [node] = call("root", "GET", "/node", query={"name": "late"}).json
    assert node["collaboration"] is None
