"""What /organization stores (rest.md 3.4)."""

from base64 import b64encode

import pytest


def test_a_new_organization_has_empty_texts(call, world):
    answer = call("root", "POST", "/organization", json={})
    assert answer.status_code == 201
    id = answer.json["id"]
    assert answer.json == {
        "id": id,
        "name": "",
        "domain": "",
        "address1": "",
        "address2": None,
        "zipcode": "",
        "country": "",
        "public_key": "",
        "collaborations": None,
        "nodes": None,
        "users": None,
        "results": None,
        "roles": [],
    }
    assert call("root", "GET", f"/organization/{id}").json == answer.json


def test_only_what_is_given_changes(call, world):
    path = f"/organization/{world.org.north}"
    before = call("org_admin", "GET", path).json
    # The client sends null for everything it was not given (H14).
    body = {**dict.fromkeys(("name", "address1", "zipcode", "public_key")), "country": "Norway"}
    answer = call("org_admin", "PATCH", path, json=body)
    assert answer.status_code == 200
    assert answer.json == {**before, "country": "Norway"}
    assert call("org_admin", "GET", path).json == answer.json


def test_the_key_is_returned_as_uploaded_and_can_be_removed(call, world):
    path = f"/organization/{world.org.north}"
    key = "LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0K"
    assert call("org_admin", "PATCH", path, json={"public_key": key}).json["public_key"] == key
    assert call("org_admin", "PATCH", path, json={"public_key": ""}).json["public_key"] == ""


@pytest.mark.parametrize(
    ("who", "org", "status"),
    [
        ("org_admin", "north", 200),
        ("org_admin", "south", 403),
        ("collab_admin", "east", 200),
        ("viewer", "north", 403),
        ("container", "north", 403),
    ],
)
def test_who_may_change_an_organization(call, world, who, org, status):
    path = f"/organization/{getattr(world.org, org)}"
    assert call(who, "PATCH", path, json={"domain": "new.example"}).status_code == status


def test_a_node_changes_the_key_of_its_organization_and_nothing_else(call, world):
    """Q-56"""
    own, other = f"/organization/{world.org.north}", f"/organization/{world.org.south}"
    key = {"public_key": "bm9kZQ=="}
    assert call("north_registry", "PATCH", own, json=key).json["public_key"] == "bm9kZQ=="
    assert call("north_registry", "PATCH", other, json=key).status_code == 403
    refused = call("north_registry", "PATCH", own, json={"name": "mine", "public_key": ""})
    assert refused.status_code == 403
    kept = call("root", "GET", own).json
    assert (kept["name"], kept["public_key"]) == ("north", "bm9kZQ==")


PEM = "-----BEGIN PUBLIC KEY-----\nTUlJQ0lq\n-----END PUBLIC KEY-----\n"
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (PEM, "base64-encoded once more"),
        (f"\n  {PEM}", "base64-encoded once more"),
        (PRIVATE, "private key"),
        (b64encode(PRIVATE.encode()).decode(), "private key"),
    ],
    ids=["PEM", "PEM after blanks", "private PEM", "private PEM in base64"],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_key_in_another_form_is_told_how_to_be_sent(call, world, method, key, said):
    path = f"/organization/{world.org.north}" if method == "PATCH" else "/organization"
    answer = call("root", method, path, json={"name": "changed", "public_key": key})
    assert answer.status_code == 400
    assert said in answer.json["msg"]
    assert "c2VjcmV0" not in answer.text
    sent = b64encode(PEM.encode()).decode()
    answer = call("root", method, path, json={"public_key": sent})
    assert answer.json["public_key"] == sent
