"""What /organization shows and refuses (rest.md 3.4, permissions.md 4.2)."""

import pytest

from tests.api.shared import names, opened_once
from tests.support import database_digest

_opened = opened_once


ALL = ["root", "north", "south", "west", "east"]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", ALL),
        ("collab_admin", ALL),
        ("viewer", ["north", "south"]),  # the own one and its partner
        ("south_viewer", ["north", "south", "west"]),
        ("east_viewer", ["east"]),  # partner of nobody
        ("north_registry", ["north", "south"]),
        ("container", ["north", "south"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call, world, who, seen):
    assert names(call(who, "GET", "/organization")) == sorted(seen)


@pytest.mark.parametrize("who", ["nobody", "extra", "analyst"])
def test_without_a_view_rule_the_list_is_refused(call, world, who):
    assert call(who, "GET", "/organization").status_code == 403


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "%th"}, ["north", "south"]),
        ({"name": "nor"}, []),  # no wildcards of its own
        ({"country": "Denmark"}, ["south"]),
        ({"country": "Den%"}, []),  # exact
        ({"name": "%th", "country": "Germany"}, ["north"]),
        ({"unknown": "x"}, ALL),
    ],
)
def test_filters_narrow_the_list(call, world, query, seen):
    assert names(call("root", "GET", "/organization", query=query)) == sorted(seen)


def test_the_members_of_a_collaboration(call, world):
    query = {"collaboration_id": world.collab.trial}
    assert names(call("root", "GET", "/organization", query=query)) == ["south", "west"]
    # Who is not in it does not learn who is, not even of a partner.
    assert names(call("viewer", "GET", "/organization", query=query)) == []


@pytest.mark.parametrize("bad", ["x", "1.5", ""])
def test_a_collaboration_that_is_no_number_is_refused(call, world, bad):
    answer = call("root", "GET", "/organization", query={"collaboration_id": bad})
    assert answer.status_code == 400
    assert answer.json["msg"].startswith("collaboration_id: ")


@pytest.mark.parametrize(
    ("who", "org", "status"),
    [
        ("root", "west", 200),
        ("viewer", "north", 200),
        ("viewer", "south", 200),  # a partner
        ("viewer", "west", 403),
        ("south_viewer", "west", 200),
        ("east_viewer", "north", 403),
        ("north_registry", "south", 200),
        ("north_registry", "west", 403),
        ("container", "south", 200),
        ("container", "west", 403),
        ("nobody", "north", 403),
    ],
)
def test_one_organization(call, world, who, org, status):
    answer = call(who, "GET", f"/organization/{getattr(world.org, org)}")
    assert answer.status_code == status


def test_an_unknown_id_is_told_only_to_those_who_may_view_all(call, world):
    assert call("root", "GET", "/organization/9999").status_code == 404
    assert call("viewer", "GET", "/organization/9999").status_code == 403


@pytest.mark.parametrize(
    "who", ["viewer", "org_admin", "collab_admin", "north_registry", "container"]
)
def test_only_who_may_create_creates(call, world, who):
    assert call(who, "POST", "/organization", json={"name": "new"}).status_code == 403


@pytest.mark.parametrize("key", ["not base64!", "YQ", "\N{SNOWMAN}", 5])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_key_that_is_not_base64_is_refused(call, world, method, key):
    call("root", "GET", "/organization")
    before = database_digest()
    path = f"/organization/{world.org.north}" if method == "PATCH" else "/organization"
    answer = call("root", method, path, json={"name": "changed", "public_key": key})
    assert answer.status_code == 400
    assert "public_key" in answer.json["errors"]
    assert database_digest() == before


@pytest.mark.parametrize(
    ("who", "org", "seen"),
    [
        ("root", "south", ["registry", "trial"]),
        ("viewer", "north", ["registry"]),
        ("viewer", "south", None),  # partners are refused
        ("north_registry", "north", ["registry"]),
        ("north_registry", "south", None),
        ("container", "north", None),
        ("nobody", "north", None),
        ("east_admin", "east", []),
    ],
)
def test_the_collaborations_of_an_organization(call, world, who, org, seen):
    path = f"/organization/{getattr(world.org, org)}/collaboration"
    answer = call(who, "GET", path, query={"page": 1, "per_page": 1, "include": "metadata"})
    assert answer.status_code == (403 if seen is None else 200)
    if seen is not None:
        assert names(answer) == seen  # bare and whole, whatever the page
        assert "total-count" not in answer.headers


@pytest.mark.parametrize(
    ("who", "org", "seen"),
    [
        ("root", "south", ["south_registry", "south_trial"]),
        ("viewer", "north", ["north_registry"]),
        ("viewer", "south", None),
        ("south_trial", "south", ["south_trial"]),  # ADR 44
        ("container", "north", None),
    ],
)
def test_the_nodes_of_an_organization(call, world, who, org, seen):
    answer = call(who, "GET", f"/organization/{getattr(world.org, org)}/node")
    assert answer.status_code == (403 if seen is None else 200)
    if seen is not None:
        assert names(answer) == seen
