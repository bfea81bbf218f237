"""What /user of 4.x shows (rest.md 1, 2 and 3.9 of the 4.x contract)."""

import pytest

from tests.api.shared import opened_once
from tests.api4.shared import data
from tests.contract.routes import BY_KIND
from tests.world import USERS

_opened = opened_once

NORTH = [name for name, (org, _) in USERS.items() if org == "north"]
SOUTH = [name for name, (org, _) in USERS.items() if org == "south"]


def listed(answer):
    return sorted(row["username"] for row in data(answer))


def test_the_form_is_that_of_the_contract(call4, world):
    id = world.user.viewer
    one = call4("root", "GET", f"/user/{id}").json
    last_seen = one.pop("last_seen")
    assert last_seen is None or "+" not in last_seen
    assert one == {
        "id": id,
        "type": "user",
        "username": "viewer",
        "firstname": "Viewer",
        "lastname": "Example",
        "email": "viewer@north.example",
        "status": None,
        "ip": None,
        "organization": {
            "id": world.org.north,
            "link": f"/v4/api/organization/{world.org.north}",
            "methods": ["GET", "PATCH", "DELETE"],
        },
        "roles": f"/v4/api/role?user_id={id}",
        "rules": f"/v4/api/rule?user_id={id}",
    }
    [row] = data(call4("root", "GET", "/user", query={"username": "viewer"}))
    assert row.keys() == one.keys() | {"last_seen"}


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", [*USERS, "root"]),
        ("viewer", NORTH),
        ("extra", NORTH),
        ("south_admin", SOUTH),
        ("east_viewer", ["east_viewer", "east_admin"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    answer = call4(who, "GET", "/user", query={"per_page": 9999})
    assert listed(answer) == sorted(seen)


@pytest.mark.parametrize("who", ["nobody", "analyst"])
def test_everybody_finds_the_own_account_by_its_name(call4, world, who):
    assert call4(who, "GET", "/user").status_code == 403
    assert call4(who, "GET", "/user", query={"username": "viewer"}).status_code == 403
    assert listed(call4(who, "GET", "/user", query={"username": who})) == [who]
    assert call4(who, "GET", f"/user/{getattr(world.user, who)}").status_code == 200


@pytest.mark.parametrize("kind", ["N", "C"])
def test_users_are_for_users(call4, world, kind):
    for path in ("/user", f"/user/{world.user.viewer}"):
        assert call4(BY_KIND[kind], "GET", path).status_code == 403


def test_filters_narrow_the_list(call4, world):
    def ask(**query):
        return listed(call4("root", "GET", "/user", query=query | {"per_page": 9999}))

    assert ask(username="south%") == ["south_admin", "south_researcher", "south_viewer"]
    assert ask(firstname="Viewer") == ["viewer"]
    assert ask(lastname="nobody") == []
    assert ask(email="%@east.example") == ["east_admin", "east_viewer"]
    assert ask(organization_id=world.org.west) == ["west_researcher"]
    assert ask(collaboration_id=world.collab.trial) == sorted([*SOUTH, "west_researcher"])
    assert ask(role_id=world.role.analysts) == ["analyst"]
    assert ask(rule_id=world.rule["task", "GLOBAL", "VIEW"]) == ["extra"]
    assert ask(last_seen_from="2999-01-01") == []


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("viewer", {"organization_id": "north"}, 200),
        ("viewer", {"organization_id": "south"}, 403),
        ("viewer", {"collaboration_id": "registry"}, 200),
        ("viewer", {"collaboration_id": "trial"}, 403),
        ("collab_admin", {"collaboration_id": "trial"}, 200),
    ],
)
def test_whose_users_one_may_ask_for(call4, world, who, query, status):
    [(name, of)] = query.items()
    id = getattr(world.org if name == "organization_id" else world.collab, of)
    assert call4(who, "GET", "/user", query={name: id}).status_code == status


@pytest.mark.parametrize("name", ["organization_id", "collaboration_id"])
def test_what_is_unknown_is_told_only_to_those_who_may_view_all(call4, world, name):
    assert call4("root", "GET", "/user", query={name: 9999}).status_code == 400
    assert call4("viewer", "GET", "/user", query={name: 9999}).status_code == 403


# --- permissions


def _rules(call4, who, user_id):
    query = {"user_id": user_id, "no_pagination": 1}
    return [row["id"] for row in data(call4(who, "GET", "/rule", query=query))]


def test_permissions_are_shown_when_asked_for(call4, world):
    for who, roles, rules in (
        ("analyst", [world.role.analysts], 3),
        ("extra", [], 2),
        ("nobody", [], 0),
        ("second_root", [world.role.root], 86),
    ):
        id = getattr(world.user, who)
        answer = call4(who, "GET", f"/user/{id}", query={"include_permissions": "true"})
        shown = answer.json["permissions"]
        assert shown.keys() == {"roles", "rules", "orgs_in_collabs"}
        assert (shown["roles"], len(shown["rules"])) == (roles, rules)
        assert shown["rules"] == _rules(call4, who, id)


@pytest.mark.parametrize(
    ("who", "user", "seen"),
    [
        ("viewer", "viewer", ["north", "south"]),
        ("root", "viewer", ["north", "south"]),
        ("root", "south_viewer", ["north", "south", "west"]),
        ("viewer", "org_admin", ["north", "south"]),
        ("east_viewer", "east_viewer", []),
        ("nobody", "nobody", []),  # may view no organization
    ],
)
def test_with_whom_a_user_works_together(call4, world, who, user, seen):
    path = f"/user/{getattr(world.user, user)}"
    shown = call4(who, "GET", path, query={"include_permissions": 1}).json["permissions"]
    assert shown["orgs_in_collabs"] == [getattr(world.org, name) for name in seen]


def test_permissions_are_not_shown_otherwise(call4, world):
    path = f"/user/{world.user.viewer}"
    for query in ({}, {"include_permissions": "False"}, {"include_permissions": ""}):
        assert "permissions" not in call4("viewer", "GET", path, query=query).json
