"""What /role and /rule of 4.x show (rest.md 1, 2 and 3.9 of the 4.x contract)."""

import csv
from pathlib import Path

import pytest

from tests.api.shared import opened_once
from tests.api4.shared import data, names
from tests.contract.routes import BY_KIND

_opened = opened_once

DEFAULT = ["Collaboration Admin", "Organization Admin", "Researcher", "Root", "Viewer"]
FIXED = ["container", "node"]


def test_the_form_of_a_role(call4, world):
    id = world.role.analysts
    assert call4("root", "GET", f"/role/{id}").json == {
        "id": id,
        "name": "analysts",
        "description": "What analysts may do",
        "is_default_role": False,
        "organization": {
            "id": world.org.north,
            "link": f"/v4/api/organization/{world.org.north}",
            "methods": ["GET", "PATCH", "DELETE"],
        },
        "rules": f"/v4/api/rule?role_id={id}",
        "users": f"/v4/api/user?role_id={id}",
    }
    default = call4("root", "GET", f"/role/{world.role.viewer}").json
    assert (default["is_default_role"], default["organization"]) == (True, None)
    assert call4("root", "GET", "/role", query={"name": "analysts"}).json["data"] == [
        call4("root", "GET", f"/role/{id}").json
    ]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", [*DEFAULT, *FIXED, "analysts", "empty", "helpers"]),
        ("viewer", [*DEFAULT, *FIXED, "analysts", "empty"]),
        ("south_viewer", [*DEFAULT, *FIXED, "helpers"]),
        ("analyst", ["analysts"]),  # its own
        ("nobody", []),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    answer = call4(who, "GET", "/role", query={"per_page": 9999})
    assert names(answer) == sorted(seen)


@pytest.mark.parametrize("kind", ["N", "C"])
def test_roles_and_rules_are_for_users(call4, world, kind):
    for path in ("/role", f"/role/{world.role.viewer}", "/rule", "/rule/1"):
        assert call4(BY_KIND[kind], "GET", path).status_code == 403


def test_filters_narrow_the_list(call4, world):
    def ask(**query):
        return names(call4("root", "GET", "/role", query=query | {"per_page": 9999}))

    assert ask(name=["ana%", "help%"]) == ["analysts", "helpers"]
    assert ask(description="%analysts%") == ["analysts"]
    assert ask(organization_id=world.org.north) == ["analysts", "empty"]
    assert ask(organization_id=[world.org.north, world.org.south]) == [
        "analysts",
        "empty",
        "helpers",
    ]
    assert ask(organization_id=world.org.south, include_root="True") == sorted(
        [*DEFAULT, *FIXED, "helpers"]
    )
    assert ask(collaboration_id=world.collab.trial) == ["helpers"]
    assert ask(collaboration_id=world.collab.registry) == ["analysts", "empty", "helpers"]
    assert ask(user_id=world.user.analyst) == ["analysts"]
    assert "helpers" in ask(rule_id=world.rule["user", "ORGANIZATION", "EDIT"])


@pytest.mark.parametrize(
    ("who", "query", "status"),
    [
        ("viewer", {"organization_id": ["north"]}, 200),
        ("viewer", {"organization_id": ["north", "south"]}, 403),
        ("viewer", {"collaboration_id": ["registry"]}, 200),
        ("viewer", {"collaboration_id": ["trial"]}, 403),
        ("root", {"organization_id": ["nowhere"]}, 400),
        ("viewer", {"organization_id": ["nowhere"]}, 403),
    ],
)
def test_whose_roles_one_may_ask_for(call4, world, who, query, status):
    [(name, of)] = query.items()
    where = world.org if name == "organization_id" else world.collab
    ids = [getattr(where, each, 9999) for each in of]
    assert call4(who, "GET", "/role", query={name: ids}).status_code == status


# --- rules


def _contract():
    path = Path(__file__).parents[1] / "contract" / "rules-v4.csv"
    with path.open(newline="") as file:
        return {(row["resource"], row["operation"], row["scope"]) for row in csv.DictReader(file)}


def _key(row):
    return row["name"], row["operation"], row["scope"]


def _all(call4, who="viewer", **query):
    return data(call4(who, "GET", "/rule", query=query | {"no_pagination": 1}))


def test_the_rules_are_those_of_the_contract(call4, world):
    answer = call4("viewer", "GET", "/rule", query={"no_pagination": "1"})
    found = data(answer)
    assert {_key(row) for row in found} == _contract()
    assert len(found) == 86 == int(answer.headers["total-count"])
    assert "next" not in answer.json["links"]
    one = found[0]
    assert one.keys() == {"id", "name", "operation", "scope", "description", "users"}
    assert one["users"] == f"/v4/api/user?rule_id={one['id']}"
    assert call4("nobody", "GET", f"/rule/{one['id']}").json == one


def test_rules_have_pages_otherwise(call4, world):
    for query in ({}, {"no_pagination": "0"}):
        answer = call4("viewer", "GET", "/rule", query=query)
        assert len(data(answer)) == 10
        assert answer.json["links"]["next"]
    answer = call4("viewer", "GET", "/rule", query={"no_pagination": "x"})
    assert answer.status_code == 400


def test_filters_of_rules(call4, world):
    assert {_key(row) for row in _all(call4, name="run")} == {
        ("run", "VIEW", scope) for scope in ("GLOBAL", "COLLABORATION", "ORGANIZATION", "OWN")
    }
    assert {_key(row) for row in _all(call4, name="event", operation="SEND")} == {
        ("event", "SEND", scope) for scope in ("GLOBAL", "COLLABORATION", "ORGANIZATION")
    }
    assert {row["name"] for row in _all(call4, scope="OWN")} == {"user", "task", "run"}
    assert _all(call4, name="result") == _all(call4, operation="view") == []
    assert {_key(row) for row in _all(call4, role_id=world.role.analysts)} == {
        ("task", "VIEW", "COLLABORATION"),
        ("task", "CREATE", "COLLABORATION"),
        ("run", "VIEW", "COLLABORATION"),
    }


def test_the_rules_of_a_user_are_those_of_roles_and_its_own(call4, world):
    assert {_key(row) for row in _all(call4, "extra", user_id=world.user.extra)} == {
        ("user", "VIEW", "ORGANIZATION"),
        ("task", "VIEW", "GLOBAL"),
    }
    assert len(_all(call4, "analyst", user_id=world.user.analyst)) == 3
    assert len(_all(call4, user_id=world.user.second_root)) == 86
    assert _all(call4, "nobody", user_id=world.user.nobody) == []


@pytest.mark.parametrize(
    ("who", "of", "status"),
    [("viewer", "south_viewer", 403), ("nobody", "viewer", 403), ("root", "gone", 400)],
)
def test_whose_rules_one_may_ask_for(call4, world, who, of, status):
    query = {"user_id": getattr(world.user, of, 9999)}
    assert call4(who, "GET", "/rule", query=query).status_code == status


def test_an_unknown_rule(call4, world):
    assert call4("viewer", "GET", "/rule/9999").status_code == 404
