"""What /node of 4.x shows (rest.md 1, 2 and 3.5 of the 4.x contract)."""

import pytest

from tests.api.shared import opened_once
from tests.api4.shared import data, names

_opened = opened_once

ALL = ["north_registry", "south_registry", "south_trial", "west_trial"]


def test_the_form_is_that_of_the_contract(call4, world):
    id = world.node.north_registry
    call4("north_registry", "GET", f"/node/{id}")
    one = call4("root", "GET", f"/node/{id}").json
    seen = one.pop("last_seen")
    assert "+" not in seen
    assert one == {
        "id": id,
        "type": "node",
        "name": "north_registry",
        "status": "online",
        "ip": "10.0.0.7",
        "organization": {
            "id": world.org.north,
            "link": f"/v4/api/organization/{world.org.north}",
            "methods": ["GET", "PATCH", "DELETE"],
        },
        "collaboration": {
            "id": world.collab.registry,
            "link": f"/v4/api/collaboration/{world.collab.registry}",
            "methods": ["GET", "PATCH", "DELETE"],
        },
        "config": [{"key": "encryption", "value": "False"}],
    }


def test_a_node_that_never_was_there_is_offline(call, call4, world):
    path = f"/node/{world.node.south_trial}"
    assert call4("root", "GET", path).json["status"] == "offline"
    assert call("root", "GET", path).json["status"] is None  # as 3.x has it
    listed = names(call4("root", "GET", "/node", query={"status": "offline"}))
    assert listed == ["south_registry", "south_trial"]
    assert names(call4("root", "GET", "/node", query={"status": "online"})) == [
        "north_registry",
        "west_trial",
    ]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ALL),
        ("collab_admin", ALL),
        ("viewer", ["north_registry"]),
        ("south_viewer", ["south_registry", "south_trial"]),
        ("north_registry", ["north_registry"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    assert names(call4(who, "GET", "/node")) == seen


@pytest.mark.parametrize("who", ["nobody", "container"])
def test_the_list_is_not_for_all(call4, world, who):
    assert call4(who, "GET", "/node").status_code == 403


def test_filters_narrow_the_list(call4, world):
    def listed(**query):
        return names(call4("root", "GET", "/node", query=query))

    assert listed(name="south%") == ["south_registry", "south_trial"]
    assert listed(organization_id=world.org.south) == ["south_registry", "south_trial"]
    assert listed(collaboration_id=world.collab.trial) == ["south_trial", "west_trial"]
    assert listed(ip="10.0.0.7") == ["north_registry", "west_trial"]
    assert listed(last_seen_from="2999-01-01") == []


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("root", {"organization_id": "west"}, 200),
        ("viewer", {"organization_id": "north"}, 200),
        ("viewer", {"organization_id": "south"}, 403),
        ("viewer", {"collaboration_id": "registry"}, 200),
        ("viewer", {"collaboration_id": "trial"}, 403),
        ("north_registry", {"collaboration_id": "trial"}, 403),
    ],
)
def test_whose_nodes_one_may_ask_for(call4, world, who, query, status):
    [(name, of)] = query.items()
    id = getattr(world.org if name == "organization_id" else world.collab, of)
    assert call4(who, "GET", "/node", query={name: id}).status_code == status


@pytest.mark.parametrize("name", ["organization_id", "collaboration_id"])
def test_what_is_unknown_is_told_only_to_those_who_may_view_all(call4, world, name):
    assert call4("root", "GET", "/node", query={name: 9999}).status_code == 400
    assert call4("viewer", "GET", "/node", query={name: 9999}).status_code == 403


def test_every_row_of_a_page_is_whole(call4, world):
    for row in data(call4("root", "GET", "/node", query={"sort": "-name"})):
        path = row["collaboration"]["link"].removeprefix("/v4/api")
        assert call4("root", "GET", path).status_code == 200
        assert row["status"] in ("online", "offline")
