"""How nodes of 4.x come, change and go (rest.md 3.5 of the 4.x contract)."""

from uuid import UUID

import pytest

from tests.api4.shared import refused
from tests.support import database_digest, store
from v6srv import db
from v6srv.model import Node

# --- make


def test_a_new_one(call4, world):
    call4("root", "DELETE", f"/node/{world.node.north_registry}")
    body = {"organization_id": world.org.north, "collaboration_id": world.collab.registry}
    answer = call4("org_admin", "POST", "/node", json=body | {"name": None})
    assert answer.status_code == 201
    assert str(UUID(answer.json["api_key"])) == answer.json["api_key"]
    assert answer.json["name"] == "north - registry Node"
    assert (answer.json["status"], answer.json["ip"], answer.json["config"]) == (
        "offline",
        None,
        [],
    )
    shown = call4("root", "GET", f"/node/{answer.json['id']}").json
    assert answer.json == shown | {"api_key": answer.json["api_key"]}


@pytest.mark.parametrize("name", ["", "12", "x" * 129, "west_trial"])
def test_a_name_is_no_number_and_no_other_node_has_it(call4, world, name):
    call4("root", "DELETE", f"/node/{world.node.north_registry}")
    body = {"collaboration_id": world.collab.registry, "name": name}
    refused(call4("org_admin", "POST", "/node", json=body), "name")
    path = f"/node/{world.node.south_registry}"
    refused(call4("root", "PATCH", path, json={"name": name}), "name")


def test_a_name_that_is_there_may_stay(call4, world):
    path = f"/node/{world.node.south_registry}"
    for name in ("12", "west_trial"):
        store("node", world.node.south_registry, name=name)
        answer = call4("root", "PATCH", path, json={"name": name, "ip": "10.1.1.1"})
        assert (answer.status_code, answer.json["name"]) == (200, name)


def test_where_a_node_can_be_made(call4, world):
    def make(who, org, collab):
        body = {"organization_id": org, "collaboration_id": collab}
        return call4(who, "POST", "/node", json=body).status_code

    assert make("root", 9999, world.collab.registry) == 404
    assert make("org_admin", 9999, world.collab.registry) == 403
    assert make("root", world.org.east, world.collab.registry) == 400  # no member
    assert make("root", world.org.north, world.collab.registry) == 400  # has one
    assert make("org_admin", world.org.south, world.collab.registry) == 403
    assert make("viewer", world.org.north, world.collab.registry) == 403
    refused(call4("root", "POST", "/node", json={}), "collaboration_id")


# --- change and delete


@pytest.mark.parametrize("field", ["organization_id", "collaboration_id"])
def test_a_node_stays_where_it_is(call4, world, field):
    path = f"/node/{world.node.north_registry}"
    call4("root", "GET", path)
    before = database_digest()
    for value in (world.org.north, world.org.south, "x"):
        body = {field: value, "name": "other"}
        refused(call4("root", "PATCH", path, json=body), field)
    assert database_digest() == before
    answer = call4("root", "PATCH", path, json={field: None, "name": "other"})
    assert answer.json["name"] == "other"


@pytest.mark.parametrize(
    ("who", "body", "status", "ip"),
    [
        ("north_registry", {"ip": "10.7.7.7"}, 200, "10.7.7.7"),
        ("north_registry", {"ip": "fd00::7"}, 200, "fd00::7"),
        ("north_registry", {"clear_ip": True}, 200, None),
        ("north_registry", {"clear_ip": "False"}, 200, "10.0.0.7"),
        ("north_registry", {"ip": "10.7.7"}, 400, "10.0.0.7"),
        ("north_registry", {"ip": "host.example"}, 400, "10.0.0.7"),
        ("north_registry", {"name": "other"}, 403, "10.0.0.7"),
        ("south_registry", {"ip": "10.7.7.7"}, 403, "10.0.0.7"),
        ("org_admin", {"ip": "10.7.7.7"}, 200, "10.7.7.7"),
        ("viewer", {"ip": "10.7.7.7"}, 403, "10.0.0.7"),
        ("container", {"ip": "10.7.7.7"}, 403, "10.0.0.7"),
    ],
)
def test_addresses(call4, world, who, body, status, ip):
    path = f"/node/{world.node.north_registry}"
    answer = call4(who, "PATCH", path, json=body)
    assert answer.status_code == status, answer.json
    assert call4("root", "GET", path).json["ip"] == ip


@pytest.mark.parametrize(
    ("who", "status"), [("collab_admin", 200), ("org_admin", 403), ("north_registry", 403)]
)
def test_deletion(call4, world, who, status):
    answer = call4(who, "DELETE", f"/node/{world.node.north_registry}")
    assert answer.status_code == status
    assert (db.session.get(Node, world.node.north_registry) is None) == (status == 200)
