"""/organization as 4.x has it (rest.md 1, 2 and 3.2 of the 4.x contract)."""

import pytest
from sqlalchemy import select

from tests.api.test_policy_line_rest import add, line
from tests.api4.shared import data, names, refused
from tests.support import database_digest
from v6srv import db
from v6srv.model import Node, Organization, Result, Role, Task, User

ALL = ["root", "north", "south", "west", "east"]


def _count(model, condition):
    return db.session.query(model).where(condition).count()


def _names_of(model):
    column = model.username if model is User else model.name
    return db.session.scalars(select(column)).all()


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


def test_a_name_that_is_there_may_stay(call, call4, world):
    for name in ("12", "north"):  # 3.x has no such rule
        id = call("root", "POST", "/organization", json={"name": name}).json["id"]
        body = {"name": name, "country": "France"}
        answer = call4("root", "PATCH", f"/organization/{id}", json=body)
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
