"""/token/user/validate and /token/node/validate (auth.md 5 of the 4.x contract)."""

import pytest

from tests.api.shared import opened_once

_opened = opened_once

USER, NODE = "/token/user/validate", "/token/node/validate"


def test_a_user_is_told_who_it_is(call4, world):
    answer = call4("viewer", "POST", USER)
    assert answer.status_code == 200
    assert answer.json == {
        "msg": "Token is valid",
        "user_id": world.user.viewer,
        "username": "viewer",
        "email": "viewer@north.example",
        "organization_id": world.org.north,
    }


@pytest.mark.parametrize("who", ["nobody", "root"])
def test_no_rule_is_needed(call4, who):
    assert call4(who, "POST", USER).json["username"] == who


def test_a_node_is_told_who_it_is(call4, world):
    answer = call4("north_registry", "POST", NODE)
    assert answer.status_code == 200
    assert answer.json == {
        "msg": "Token is valid",
        "node_id": world.node.north_registry,
        "name": "north_registry",
        "organization_id": world.org.north,
    }


@pytest.mark.parametrize(
    ("who", "path"),
    [("viewer", NODE), ("north_registry", USER), ("container", USER), ("container", NODE)],
)
def test_the_token_of_another_kind_is_none(call4, who, path):
    assert call4(who, "POST", path).status_code == 403


@pytest.mark.parametrize("path", [USER, NODE])
def test_without_a_token_that_counts(call4, path):
    assert call4(None, "POST", path).status_code == 401
    broken = {"Authorization": "Bearer a.b.c"}
    assert call4(None, "POST", path, headers=broken).status_code == 422


def test_they_are_of_4_x_only(call):
    assert call("viewer", "POST", "/token/user/nonsense").status_code == 404
    assert call.client.post("/v3/api" + USER).status_code == 404
