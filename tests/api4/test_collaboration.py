"""What /collaboration of 4.x shows (rest.md 1, 2 and 3.3 of the 4.x contract)."""

import pytest

from tests.api.shared import opened_once
from tests.api4.shared import data, names

_opened = opened_once

ALL = ["nothing", "registry", "trial"]


def test_the_form_is_that_of_the_contract(call4, world):
    id = world.collab.registry
    assert call4("root", "GET", f"/collaboration/{id}").json == {
        "id": id,
        "name": "registry",
        "encrypted": False,
        "organizations": f"/v4/api/organization?collaboration_id={id}",
        "nodes": f"/v4/api/node?collaboration_id={id}",
        "tasks": f"/v4/api/task?collaboration_id={id}",
        "studies": f"/v4/api/study?collaboration_id={id}",
        "algorithm_stores": f"/v4/api/algorithmstore?collaboration_id={id}",
    }
    listed = data(call4("root", "GET", "/collaboration", query={"name": "registry"}))
    assert listed == [call4("root", "GET", f"/collaboration/{id}").json]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ALL),
        ("collab_admin", ALL),
        ("viewer", ["registry"]),
        ("south_viewer", ["registry", "trial"]),
        ("east_viewer", []),
        ("north_registry", ["registry"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    assert names(call4(who, "GET", "/collaboration")) == seen


@pytest.mark.parametrize("who", ["nobody", "analyst", "container"])
def test_the_list_is_not_for_all(call4, world, who):
    assert call4(who, "GET", "/collaboration").status_code == 403


def test_algorithms_see_one(call4, world):
    assert call4("container", "GET", f"/collaboration/{world.collab.registry}").status_code == 200
    assert call4("container", "GET", f"/collaboration/{world.collab.trial}").status_code == 403


def test_filters_narrow_the_list(call4, world):
    def listed(**query):
        return names(call4("root", "GET", "/collaboration", query=query))

    assert listed(name="%tr%") == ["registry", "trial"]
    assert listed(encrypted="true") == ["trial"]
    assert listed(encrypted="False") == ["nothing", "registry"]
    assert listed(organization_id=world.org.west) == ["nothing", "trial"]
    assert listed(organization_id=world.org.west, encrypted=1) == ["trial"]


@pytest.mark.parametrize(
    ("who", "org", "status"),
    [
        ("root", "west", 200),
        ("viewer", "north", 200),
        ("viewer", "south", 403),  # another organization's are for those who may view all
        ("north_registry", "north", 200),
        ("north_registry", "south", 403),
    ],
)
def test_whose_collaborations_one_may_ask_for(call4, world, who, org, status):
    query = {"organization_id": getattr(world.org, org)}
    assert call4(who, "GET", "/collaboration", query=query).status_code == status


def test_an_unknown_organization_is_told_only_to_those_who_may_view_all(call4, world):
    query = {"organization_id": 9999}
    assert call4("root", "GET", "/collaboration", query=query).status_code == 400
    assert call4("viewer", "GET", "/collaboration", query=query).status_code == 403
