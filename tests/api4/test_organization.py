"""What /organization of 4.x shows (rest.md 1, 2 and 3.2 of the 4.x contract)."""

import pytest

from tests.api.shared import opened_once
from tests.api4.shared import data, names

_opened = opened_once

ALL = ["root", "north", "south", "west", "east"]


def test_the_form_is_that_of_the_contract(call4, world):
    id = world.org.north
    assert call4("root", "GET", f"/organization/{id}").json == {
        "id": id,
        "name": "north",
        "domain": "north.example",
        "address1": "Harbour Road 12",
        "address2": None,
        "zipcode": "10115",
        "country": "Germany",
        "public_key": "bm9ydGg=",
        "collaborations": f"/v4/api/collaboration?organization_id={id}",
        "nodes": f"/v4/api/node?organization_id={id}",
        "users": f"/v4/api/user?organization_id={id}",
        "tasks": f"/v4/api/task?init_org_id={id}",
        "runs": f"/v4/api/run?organization_id={id}",
        "studies": f"/v4/api/study?organization_id={id}",
    }
    listed = data(call4("root", "GET", "/organization", query={"name": "north"}))
    assert listed == [call4("root", "GET", f"/organization/{id}").json]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ALL),
        ("viewer", ["north", "south"]),
        ("south_viewer", ["north", "south", "west"]),
        ("east_viewer", ["east"]),
        ("container", ["north", "south"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    assert names(call4(who, "GET", "/organization")) == sorted(seen)


def test_a_node_reads_a_bare_list(call4, world):
    """It walks over the answer when it looks up who may start tasks (clients.md 4, row 9)."""
    answer = call4("north_registry", "GET", "/organization", query={"name": "south"})
    assert [row["name"] for row in answer.json] == ["south"]
    assert answer.headers["total-count"] == "1"


@pytest.mark.parametrize("who", ["nobody", "extra", "analyst"])
def test_without_a_view_rule_the_list_is_refused(call4, world, who):
    assert call4(who, "GET", "/organization").status_code == 403


def test_filters_narrow_the_list(call4, world):
    def listed(**query):
        return names(call4("root", "GET", "/organization", query=query))

    assert listed(name="%th") == ["north", "south"]
    assert listed(country="Denmark") == ["south"]
    assert listed(collaboration_id=world.collab.trial) == ["south", "west"]
    assert listed(ids=[world.org.west, world.org.east]) == ["east", "west"]
    assert listed(ids=world.org.west) == ["west"]
    assert listed(ids=[world.org.west], name="%th") == []


@pytest.mark.parametrize(
    ("who", "collab", "status"),
    [
        ("root", "trial", 200),
        ("viewer", "registry", 200),
        ("viewer", "trial", 403),  # asks for more than it may view
        ("south_viewer", "trial", 200),
        ("container", "registry", 200),
        ("container", "trial", 403),
        ("north_registry", "trial", 403),
    ],
)
def test_the_members_of_a_collaboration_are_for_those_who_may_view_them(
    call4, world, who, collab, status
):
    query = {"collaboration_id": getattr(world.collab, collab)}
    assert call4(who, "GET", "/organization", query=query).status_code == status


def test_an_unknown_collaboration_is_told_only_to_those_who_may_view_all(call4, world):
    query = {"collaboration_id": 9999}
    assert call4("root", "GET", "/organization", query=query).status_code == 400
    assert call4("viewer", "GET", "/organization", query=query).status_code == 403


def test_pages(call4, world):
    first = call4("root", "GET", "/organization", query={"per_page": 2, "sort": "name"})
    assert [row["name"] for row in first.json["data"]] == ["east", "north"]
    assert first.headers["total-count"] == "5"
    seen, next_page = [], first.json["links"]["self"]
    while next_page:
        page = call4("root", "GET", next_page.removeprefix("/v4/api"))
        seen += [row["name"] for row in page.json["data"]]
        next_page = page.json["links"].get("next")
    assert seen == sorted(ALL)
