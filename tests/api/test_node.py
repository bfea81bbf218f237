"""What /node shows and refuses (rest.md 3.3, permissions.md 4.1)."""

import pytest

from tests.api.shared import names, opened_once
from tests.support import database_digest

_opened = opened_once


ALL = ["north_registry", "south_registry", "south_trial", "west_trial"]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ALL),
        ("collab_admin", ALL),
        ("viewer", ["north_registry"]),
        ("south_viewer", ["south_registry", "south_trial"]),
        ("south_trial", ["south_trial"]),
        ("east_viewer", []),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call, world, who, seen):
    assert names(call(who, "GET", "/node")) == seen


@pytest.mark.parametrize("who", ["nobody", "container"])
def test_others_are_refused(call, world, who):
    assert call(who, "GET", "/node").status_code == 403


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "%registry"}, ["north_registry", "south_registry"]),
        ({"status": "online"}, ["north_registry", "west_trial"]),
        ({"status": "offline"}, ["south_registry"]),
        ({"ip": "10.0.0.7"}, ["north_registry", "west_trial"]),
        ({"ip": "10.%"}, []),
        ({"api_key": "x"}, ALL),
    ],
)
def test_filters_narrow_the_list(call, world, query, seen):
    assert names(call("root", "GET", "/node", query=query)) == seen


@pytest.mark.parametrize(
    ("who", "node", "status"),
    [
        ("root", "west_trial", 200),
        ("viewer", "north_registry", 200),
        ("viewer", "south_registry", 403),
        ("north_registry", "north_registry", 200),
        ("north_registry", "south_registry", 403),
        ("south_trial", "south_registry", 403),
        ("container", "north_registry", 200),
        ("container", "south_registry", 403),
        ("container:running@south_registry", "south_trial", 403),  # not the node it runs on
        ("nobody", "north_registry", 403),
    ],
)
def test_one_node(call, world, who, node, status):
    answer = call(who, "GET", f"/node/{getattr(world.node, node)}")
    assert answer.status_code == status
    if status == 200:
        assert answer.json["type"] == "node"
        assert "api_key" not in answer.json


@pytest.mark.parametrize(
    ("who", "collab", "org", "status"),
    [
        ("root", "registry", "south", 400),  # has one already
        ("root", "registry", "west", 400),  # no member
        ("root", None, "west", 404),
        ("root", "registry", None, 400),
        ("org_admin", "registry", "south", 403),
        ("org_admin", "registry", None, 403),  # as for one that exists
        ("org_admin", "registry", "north", 400),
        ("org_admin", "trial", "north", 403),  # cannot be told from
        ("org_admin", None, "north", 403),  # one that does not exist
        ("viewer", "registry", "north", 403),
        ("north_registry", "registry", "north", 403),
    ],
)
def test_a_node_where_it_cannot_be_is_not_stored(call, world, who, collab, org, status):
    call(who, "GET", "/node")
    before = database_digest()
    body = {
        "collaboration_id": getattr(world.collab, collab) if collab else 9999,
        "organization_id": getattr(world.org, org) if org else 9999,
    }
    assert call(who, "POST", "/node", json=body).status_code == status
    assert database_digest() == before


@pytest.mark.parametrize(
    "body", [{}, {"collaboration_id": None}, {"collaboration_id": "x"}, {"collaboration_id": [1]}]
)
def test_a_bad_body_names_the_field(call, world, body):
    answer = call("root", "POST", "/node", json=body)
    assert answer.status_code == 400
    assert answer.json["msg"].startswith("collaboration_id: ")
    assert list(answer.json["message"]) == ["collaboration_id"]


@pytest.mark.parametrize(
    ("who", "changes", "status"),
    [
        ("root", {"organization_id": 9999}, 404),
        ("root", {"collaboration_id": 9999}, 404),
        ("root", {"collaboration_id": "trial"}, 400),  # no member there
        ("root", {"organization_id": "south"}, 400),  # has a node here
        ("root", {"organization_id": "west"}, 400),  # no member here
        ("root", {"organization_id": "south", "collaboration_id": "trial"}, 400),
        ("root", {"collaboration_id": "x"}, 400),
        ("root", {"clear_ip": "perhaps"}, 400),
        ("org_admin", {"organization_id": "west"}, 403),
        ("org_admin", {"organization_id": 9999}, 403),
        ("org_admin", {"collaboration_id": "trial"}, 403),
        ("org_admin", {"collaboration_id": 9999}, 403),
    ],
)
def test_a_move_that_is_refused_stores_nothing(call, world, who, changes, status):
    """Q-04"""
    call(who, "GET", "/node")
    before = database_digest()
    places = {"organization_id": world.org, "collaboration_id": world.collab}
    body = {
        "name": "moved",
        **{name: getattr(places.get(name), str(value), value) for name, value in changes.items()},
    }
    path = f"/node/{world.node.north_registry}"
    assert call(who, "PATCH", path, json=body).status_code == status
    assert database_digest() == before
