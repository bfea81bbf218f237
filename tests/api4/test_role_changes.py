"""How roles of 4.x come, change and go (rest.md 3.9 of the 4.x contract)."""

import pytest

from tests.api4.shared import data, refused
from tests.support import database_digest
from v6srv import db
from v6srv.model import Role


@pytest.fixture
def rule(call4, world):
    """The id of a rule by its words in 4.x: `rule("study", "VIEW", "ORGANIZATION")`."""
    rows = data(call4("root", "GET", "/rule", query={"no_pagination": 1}))
    known = {(row["name"], row["operation"], row["scope"]): row["id"] for row in rows}
    return lambda *words: known[words]


def rules_in(call4, role_id):
    query = {"role_id": role_id, "no_pagination": 1}
    return {row["id"] for row in data(call4("root", "GET", "/rule", query=query))}


def test_a_new_one(call4, world, rule):
    study = rule("study", "VIEW", "ORGANIZATION")
    body = {"name": "new", "rules": [study], "organization_id": None, "description": None}
    answer = call4("org_admin", "POST", "/role", json=body)
    assert answer.status_code == 201, answer.json
    made = answer.json
    assert (made["description"], made["is_default_role"]) == ("", False)
    assert made["organization"]["id"] == world.org.north
    assert rules_in(call4, made["id"]) == {study}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"name": "12", "rules": []}, ["name"]),
        ({"name": "x" * 129, "rules": []}, ["name"]),
        ({"rules": ["x"]}, ["name", "rules"]),
        ({"name": "new", "rules": None}, ["rules"]),
        ({"name": "new"}, ["rules"]),
    ],
)
def test_what_a_new_one_needs(call4, world, body, fields):
    call4("root", "GET", "/organization")
    before = database_digest()
    refused(call4("root", "POST", "/role", json=body), *fields)
    assert database_digest() == before


def test_names_are_not_unique(call4, world):
    assert call4("root", "POST", "/role", json={"name": "helpers", "rules": []}).status_code == 201
    answer = call4("root", "POST", "/role", json={"name": "Viewer", "rules": []})
    assert answer.status_code == 400  # that of a default role


def test_a_wider_rule_stands_in_for_a_narrower_one(call4, world, rule):
    def make(who, *words):
        body = {"name": "new", "rules": [rule(*words)]}
        return call4(who, "POST", "/role", json=body).status_code

    assert make("org_admin", "task", "VIEW", "COLLABORATION") == 201
    assert make("org_admin", "task", "VIEW", "OWN") == 201
    assert make("org_admin", "task", "VIEW", "GLOBAL") == 403
    assert make("collab_admin", "user", "VIEW", "COLLABORATION") == 201


def test_null_is_not_given(call4, world):
    """`role.update` of the 4.x client sends what was not given as null."""
    path = f"/role/{world.role.analysts}"
    before = rules_in(call4, world.role.analysts)
    body = {"name": None, "description": "other", "rules": None}
    answer = call4("root", "PATCH", path, json=body)
    assert (answer.status_code, answer.json["name"]) == (200, "analysts")
    assert answer.json["description"] == "other"
    assert rules_in(call4, world.role.analysts) == before


def test_changes(call4, world, rule):
    path = f"/role/{world.role.analysts}"
    wanted = {rule("study", "VIEW", "ORGANIZATION"), rule("run", "VIEW", "COLLABORATION")}
    answer = call4("root", "PATCH", path, json={"name": "others", "rules": [*wanted]})
    assert (answer.status_code, answer.json["name"]) == (200, "others")
    assert rules_in(call4, world.role.analysts) == wanted
    for name in ("", "12", "x" * 129):
        refused(call4("root", "PATCH", path, json={"name": name}), "name")
    for id in (world.org.north, world.org.south):
        refused(call4("root", "PATCH", path, json={"organization_id": id}), "organization_id")
    assert call4("south_admin", "PATCH", path, json={"name": "x"}).status_code == 403
    assert call4("viewer", "PATCH", path, json={"name": "x"}).status_code == 403


def test_what_3x_cannot_see_stays_when_it_changes_a_role(call, call4, world, rule):
    path = f"/role/{world.role.analysts}"
    study = rule("study", "VIEW", "ORGANIZATION")
    assert call4("root", "POST", f"{path}/rule/{study}").status_code == 201
    seen = world.rule["task", "ORGANIZATION", "VIEW"]
    assert call("root", "PATCH", path, json={"rules": [seen]}).status_code == 200
    assert rules_in(call4, world.role.analysts) == {study, seen}


def test_default_roles_stay(call4, world):
    path = f"/role/{world.role.viewer}"
    for answer in (
        call4("root", "PATCH", path, json={"description": "x"}),
        call4("root", "DELETE", path),
        call4("root", "DELETE", path, query={"delete_dependents": "true"}),
        call4("root", "POST", f"{path}/rule/1"),
    ):
        assert answer.status_code == 400
        assert "default role" in answer.json["msg"]
    assert db.session.get(Role, world.role.viewer) is not None


def test_rules_come_and_go_one_by_one(call4, world, rule):
    path = f"/role/{world.role.empty}/rule"
    study = rule("study", "VIEW", "ORGANIZATION")
    added = call4("org_admin", "POST", f"{path}/{study}")
    assert added.status_code == 201
    [shown] = added.json
    assert (shown["id"], shown["name"]) == (study, "study")
    removed = call4("org_admin", "DELETE", f"{path}/{study}")
    assert (removed.status_code, removed.json) == (200, [])
    assert call4("org_admin", "DELETE", f"{path}/{study}").status_code == 404
    wider = rule("user", "VIEW", "GLOBAL")
    assert call4("org_admin", "POST", f"{path}/{wider}").status_code == 403
    assert call4("viewer", "POST", f"{path}/{study}").status_code == 403
    assert call4("root", "GET", path).status_code == 404


def test_who_may_edit_a_role_takes_rules_out(call4, world, rule):
    """In 3.x that is a deletion."""
    body = {
        "name": "editors",
        "organization_id": world.org.north,
        "rules": [rule("role", "EDIT", "ORGANIZATION"), rule("run", "VIEW", "COLLABORATION")],
    }
    role = call4("root", "POST", "/role", json=body).json["id"]
    path = f"/user/{world.user.nobody}"
    assert call4("root", "PATCH", path, json={"roles": [role]}).status_code == 200
    path = f"/role/{world.role.empty}/rule/{body['rules'][1]}"
    assert call4("nobody", "POST", path).status_code == 201
    assert call4("nobody", "DELETE", path).status_code == 200


# --- deletion


def test_who_has_a_role_is_in_the_way(call4, world):
    path = f"/role/{world.role.analysts}"
    call4("org_admin", "GET", "/organization")
    before = database_digest()
    for query in ({}, {"delete_dependents": "False"}):
        text = refused(call4("org_admin", "DELETE", path, query=query), "delete_dependents")
        assert "1 user: " in text
    assert database_digest() == before
    answer = call4("root", "DELETE", path, query={"delete_dependents": True})
    assert answer.status_code == 200
    assert data(call4("root", "GET", "/role", query={"user_id": world.user.analyst})) == []
    assert call4("root", "GET", f"/user/{world.user.analyst}").status_code == 200


def test_a_role_that_nobody_has_goes(call4, world):
    assert call4("org_admin", "DELETE", f"/role/{world.role.empty}").status_code == 200
    assert call4("root", "GET", f"/role/{world.role.empty}").status_code == 404
    assert call4("org_admin", "DELETE", f"/role/{world.role.helpers}").status_code == 403
