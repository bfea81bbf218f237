"""How users of 4.x come, change and go (rest.md 3.9 and auth.md 6 of the 4.x contract)."""

import pytest

from tests.api4.shared import data, refused
from tests.support import database_digest
from tests.world import PASSWORD
from v6srv import db
from v6srv.model import Task, User

NEW = {"username": "nora.n", "password": PASSWORD, "email": "nora@north.example"}


def test_a_new_one(call4, world):
    body = NEW | {"roles": [world.role.viewer], "organization_id": None, "rules": None}
    answer = call4("org_admin", "POST", "/user", json=body)
    assert answer.status_code == 201, answer.json
    made = answer.json
    assert (made["firstname"], made["lastname"], made["organization"]["id"]) == (
        "",
        "",
        world.org.north,
    )
    roles = data(call4("org_admin", "GET", made["roles"].removeprefix("/v4/api")))
    assert [role["name"] for role in roles] == ["Viewer"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"username": "12345"}, ["username"]),
        ({"username": "ab"}, ["username"]),
        ({"username": "1nora"}, ["username"]),
        ({"username": "nora n"}, ["username"]),
        ({"username": "n" * 129}, ["username"]),
        ({"username": None}, ["username"]),
        ({"username": "Viewer"}, ["username"]),  # taken, whatever the case
        ({"email": "nora"}, ["email"]),
        ({"password": "short"}, ["password"]),
        ({"password": 12345678}, ["password"]),
        ({"email": None, "password": None}, ["email", "password"]),
        ({"roles": "x", "firstname": []}, ["roles", "firstname"]),
    ],
)
def test_what_a_new_one_needs(call4, world, change, fields):
    call4("root", "GET", "/organization")
    before = database_digest()
    refused(call4("root", "POST", "/user", json=NEW | change), *fields)
    assert database_digest() == before


@pytest.mark.parametrize(
    ("who", "org", "status"),
    [
        ("root", "south", 201),
        ("collab_admin", "south", 201),
        ("org_admin", "north", 201),
        ("org_admin", "south", 403),
        ("viewer", "north", 403),
        ("north_registry", "north", 403),
        ("root", "nowhere", 404),
    ],
)
def test_who_makes_users_where(call4, world, who, org, status):
    body = NEW | {"organization_id": getattr(world.org, org, 9999)}
    assert call4(who, "POST", "/user", json=body).status_code == status


def test_nobody_hands_out_what_is_beyond_the_own_rights(call4, world):
    for given in ({"roles": [world.role.root]}, {"rules": [world.rule["task", "GLOBAL", "VIEW"]]}):
        assert call4("org_admin", "POST", "/user", json=NEW | given).status_code == 403
    # A wider rule stands in for those that it covers: 4.x has names for both.
    narrower = data(call4("root", "GET", "/rule", query={"name": "user", "scope": "COLLABORATION"}))
    given = {"rules": [row["id"] for row in narrower if row["operation"] == "VIEW"]}
    assert call4("collab_admin", "POST", "/user", json=NEW | given).status_code == 201


def test_an_organization_does_not_change(call4, world):
    path = f"/user/{world.user.viewer}"
    body = {"organization_id": world.org.south, "lastname": "Other"}
    answer = call4("root", "PATCH", path, json=body)
    assert (answer.status_code, answer.json["lastname"]) == (200, "Other")
    assert answer.json["organization"]["id"] == world.org.north


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "12345"}, 400),
        ({"username": "ab"}, 400),
        ({"username": "other.name"}, 200),
        ({"email": "nobody"}, 400),
        ({"firstname": None, "lastname": "Other"}, 200),
        ({"password": "Other-Pass-1!"}, 400),
    ],
)
def test_changes_of_the_own_account(call4, world, body, status):
    answer = call4("viewer", "PATCH", f"/user/{world.user.viewer}", json=body)
    assert answer.status_code == status, answer.json
    if status == 400:
        assert isinstance(answer.json["msg"], str)


def test_a_name_from_3x_may_stay(call, call4, world):
    old = {"username": "a b", "firstname": "", "lastname": "", "organization_id": world.org.north}
    id = call("root", "POST", "/user", json=NEW | old).json["id"]
    body = {"username": "a b", "lastname": "New"}
    answer = call4("root", "PATCH", f"/user/{id}", json=body)
    assert (answer.status_code, answer.json["username"]) == (200, "a b")


@pytest.mark.parametrize(
    ("who", "of", "status"),
    [
        ("org_admin", "viewer", 200),
        ("org_admin", "collab_admin", 200),  # its name, which is no power
        ("org_admin", "south_viewer", 403),
        ("collab_admin", "south_viewer", 200),
        ("viewer", "researcher", 403),
        ("north_registry", "viewer", 403),
    ],
)
def test_who_changes_whom(call4, world, who, of, status):
    path = f"/user/{getattr(world.user, of)}"
    assert call4(who, "PATCH", path, json={"lastname": "Other"}).status_code == status


# --- deletion


def test_tasks_of_a_user_are_in_the_way(call4, world):
    path = f"/user/{world.user.researcher}"
    call4("org_admin", "GET", "/organization")
    before = database_digest()
    for query in ({}, {"delete_dependents": "False"}):
        text = refused(call4("org_admin", "DELETE", path, query=query), "delete_dependents")
        assert "3 tasks" in text
    assert database_digest() == before


def test_tasks_of_a_user_go_with_it(call4, world):
    path, query = f"/user/{world.user.researcher}", {"delete_dependents": "True"}
    assert call4("org_admin", "DELETE", path, query=query).status_code == 200
    for name in ("finished", "running", "subtask"):
        assert db.session.get(Task, getattr(world.task, name)) is None
    assert db.session.get(Task, world.task.failed) is not None


def test_in_3x_tasks_stay(call, world):
    assert call("org_admin", "DELETE", f"/user/{world.user.researcher}").status_code == 200
    assert db.session.get(Task, world.task.running).init_user_id is None


@pytest.mark.parametrize(
    ("who", "of", "status"),
    [
        ("viewer", "viewer", 200),
        ("viewer", "nobody", 403),
        ("org_admin", "viewer", 200),
        ("org_admin", "second_root", 403),  # more powerful
        ("org_admin", "south_viewer", 403),
        ("root", "east_admin", 200),
    ],
)
def test_who_deletes_whom(call4, world, who, of, status):
    id = getattr(world.user, of)
    answer = call4(who, "DELETE", f"/user/{id}")
    assert answer.status_code == status, answer.json
    assert (db.session.get(User, id) is None) == (status == 200)
