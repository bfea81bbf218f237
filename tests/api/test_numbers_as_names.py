"""A new name is no number: lists and filters would take it for an id."""

import pytest

from tests.support import database_digest, store

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def rows(world):
    """Path, a body for a new row, an id, and the column of the name, of each kind."""
    person = {
        "firstname": "N",
        "lastname": "N",
        "email": "new@north.example",
        "password": "Str0ng-Pass!",
        "roles": [],
        "organization_id": world.org.north,
    }
    return {
        "organization": ({}, world.org.north, "name"),
        "collaboration": ({"organization_ids": [world.org.north]}, world.collab.nothing, "name"),
        "node": (
            {"organization_id": world.org.west, "collaboration_id": world.collab.nothing},
            world.node.north_registry,
            "name",
        ),
        "user": (person, world.user.viewer, "username"),
    }


@pytest.mark.parametrize("kind", ["organization", "collaboration", "node", "user"])
def test_nothing_new_is_called_by_a_number(call, world, kind):
    body, id, column = rows(world)[kind]
    call("root", "GET", f"/{kind}")
    before = database_digest()
    for number in ("12", "-12", "\uff11\uff12", 12):
        named = {column: number}
        for answer in (
            call("root", "POST", f"/{kind}", json=body | named),
            call("root", "PATCH", f"/{kind}/{id}", json=named),
        ):
            assert answer.status_code == 400
            assert column in answer.json["errors"]
            assert "number" in answer.json["msg"]
    assert database_digest() == before
    assert call("root", "POST", f"/{kind}", json={**body, column: "room12"}).status_code < 300


@pytest.mark.parametrize("kind", ["organization", "collaboration", "node", "user"])
def test_what_is_called_so_may_stay(call, world, kind):
    _, id, column = rows(world)[kind]
    path = f"/{kind}/{id}"
    owner = "viewer" if kind == "user" else "root"
    assert call(owner, "GET", path).status_code == 200
    store(kind, id, **{column: "12"})
    assert call("root", "GET", path).json[column] == "12"
    assert [row["id"] for row in call("root", "GET", f"/{kind}", query={column: "12"}).json] == [id]
    change = {"user": {"firstname": "Else"}, "node": {"ip": "10.0.0.9"}}
    changed = {column: "12", **change.get(kind, {})}
    assert call("root", "PATCH", path, json=changed).status_code == 200
    assert call(owner, "PATCH", path, json={column: "other"}).json[column] == "other"
