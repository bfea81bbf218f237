"""How organizations of 4.x come, change and go (rest.md 3.2 of the 4.x contract)."""

import pytest
from sqlalchemy import select

from tests.api.test_policy_line_rest import add, line
from tests.api4.shared import names, refused
from tests.support import database_digest, store
from v6srv import db
from v6srv.model import Node, Organization, Result, Role, Task, User


def _count(model, condition):
    return db.session.query(model).where(condition).count()


def _names_of(model):
    column = model.username if model is User else model.name
    return db.session.scalars(select(column)).all()


# --- names


def test_a_new_one(call4, world):
    answer = call4("root", "POST", "/organization", json={"name": "Alpha", "country": None})
    assert answer.status_code == 201
    assert (answer.json["name"], answer.json["country"], answer.json["public_key"]) == (
        "Alpha",
        "",
        "",
    )


@pytest.mark.parametrize("name", ["", "12", "x" * 129, "north", " x", None, ["x"]])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_new_name_is_no_number_and_no_other_has_it(call4, world, method, name):
    path = f"/organization/{world.org.south}" if method == "PATCH" else "/organization"
    call4("root", "GET", "/organization")
    before = database_digest()
    answer = call4("root", method, path, json={"name": name})
    if (method, name) == ("PATCH", None):
        assert answer.status_code == 200  # nothing is given
    else:
        refused(answer, "name")
    assert database_digest() == before


def test_a_name_that_is_there_may_stay(call4, world):
    for name in ("12", "north"):  # from an older release, and as 3.x lets two have one
        store("organization", world.org.south, name=name)
        body = {"name": name, "country": "France"}
        answer = call4("root", "PATCH", f"/organization/{world.org.south}", json=body)
        assert (answer.status_code, answer.json["country"]) == (200, "France")


def test_everything_that_is_wrong_is_said_at_once(call4, world):
    answer = call4("root", "POST", "/organization", json={"domain": [], "country": {}})
    refused(answer, "name", "domain", "country")


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("org_admin", {"country": "France"}, 200),
        ("viewer", {"country": "France"}, 403),
        ("north_registry", {"public_key": "bmV3"}, 200),
        ("north_registry", {"country": "France"}, 403),
        ("container", {"public_key": "bmV3"}, 403),
        ("south_admin", {"country": "France"}, 403),
        ("root", {"public_key": "no base64!"}, 400),
    ],
)
def test_changes(call4, world, who, body, status):
    answer = call4(who, "PATCH", f"/organization/{world.org.north}", json=body)
    assert answer.status_code == status, answer.json
    if status == 200:
        assert body.items() <= answer.json.items()


# --- deletion


def test_what_hangs_on_an_organization_is_in_the_way(call4, world):
    call4("root", "GET", "/organization")
    before = database_digest()
    path = f"/organization/{world.org.south}"
    for query in ({}, {"delete_dependents": "False"}, {"delete_dependents": "0"}):
        text = refused(call4("root", "DELETE", path, query=query), "delete_dependents")
        assert "2 tasks, 5 results, 2 nodes, 3 users and 1 role" in text
        assert "delete_dependents=true" in text
    refused(call4("root", "DELETE", path, query={"delete_dependents": "x"}), "delete_dependents")
    assert database_digest() == before


@pytest.mark.parametrize("yes", ["True", "true", "1"])
def test_what_hangs_on_an_organization_goes_with_it(call4, world, yes):
    id = world.org.south
    answer = call4("root", "DELETE", f"/organization/{id}", query={"delete_dependents": yes})
    assert (answer.status_code, answer.json.keys()) == (200, {"msg"})
    assert call4("root", "GET", f"/organization/{id}").status_code == 404
    assert _count(Task, Task.initiator_id == id) == 0
    assert _count(Result, Result.organization_id == id) == 0
    # What others did stays, with what they computed.
    assert db.session.get(Result, world.result["running", "north"]) is not None
    assert all(node.startswith(("north", "west")) for node in _names_of(Node))
    assert not {"south_viewer", "helpers"} & {*_names_of(User), *_names_of(Role)}
    members = {"collaboration_id": world.collab.registry}
    assert names(call4("root", "GET", "/organization", query=members)) == ["north"]


def test_what_results_are_is_not_read_to_delete_them(call4, world, count_queries):
    query = {"delete_dependents": "true"}
    with count_queries() as statements:
        answer = call4("root", "DELETE", f"/organization/{world.org.west}", query=query)
    assert answer.status_code == 200
    read = [one for one in statements if "FROM result" in one and "result.status" in one]
    assert read
    assert not [one for one in read if "result.input" in one or "result.log" in one]


def test_an_organization_on_which_nothing_hangs_goes(call4, world):
    id = call4("root", "POST", "/organization", json={"name": "empty"}).json["id"]
    assert call4("root", "DELETE", f"/organization/{id}").status_code == 200
    assert db.session.get(Organization, id) is None


def test_the_own_organization_stays(call4, world):
    query = {"delete_dependents": "true"}
    answer = call4("root", "DELETE", f"/organization/{world.org.root}", query=query)
    assert answer.status_code == 400
    assert "your own organization" in answer.json["msg"]


@pytest.mark.parametrize(
    "who", ["viewer", "org_admin", "collab_admin", "north_registry", "container"]
)
def test_who_may_not_delete_does_not_learn_what_exists(call4, world, who):
    for id in (world.org.south, 9999):
        assert call4(who, "DELETE", f"/organization/{id}").status_code == 403
    assert call4("root", "DELETE", "/organization/9999").status_code == 404


def test_each_deletion_is_decided(call4, world):
    """Who may delete organizations does not delete tasks with that."""
    allowed = line(f"user:{world.user.viewer}", "organization", "delete", effect="allow")
    add(call4, allowed)
    call4("root", "GET", "/organization")
    before = database_digest()
    path, query = f"/organization/{world.org.south}", {"delete_dependents": "true"}
    assert call4("viewer", "DELETE", path, query=query).status_code == 403
    assert database_digest() == before
    text = refused(call4("viewer", "DELETE", path), "delete_dependents")
    assert "1 task (and others that you may not view)" in text


@pytest.mark.parametrize("resource", ["collaboration", "study"])
def test_who_may_not_change_where_it_takes_part_does_not_remove_it(call4, world, resource):
    member = {"id": world.org.east}
    path = f"/collaboration/{world.collab.registry}"
    assert call4("root", "POST", f"{path}/organization", json=member).status_code == 200
    study = {
        "name": "pilot",
        "collaboration_id": world.collab.registry,
        "organization_ids": [world.org.east, world.org.north],
    }
    made = call4("root", "POST", "/study", json=study).json["id"]
    denied = line(f"user:{world.user.second_root}", resource, "edit")
    added = add(call4, denied)
    call4("root", "GET", "/organization")
    before = database_digest()
    path, query = f"/organization/{world.org.east}", {"delete_dependents": "true"}
    assert call4("second_root", "DELETE", path, query=query).status_code == 403
    assert database_digest() == before
    assert call4("root", "DELETE", f"/policy/line/{added['id']}").status_code == 200
    assert call4("second_root", "DELETE", path, query=query).status_code == 200
    assert names(call4("root", "GET", "/organization", query={"study_id": made})) == ["north"]
