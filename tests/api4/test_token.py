"""Logging in and getting access back, as 4.x programs do (auth.md 2 and 6 of the 4.x contract)."""

import pytest

from tests.api4.shared import refused
from tests.world import PASSWORD, api_key

BASE = "/v4/api"


@pytest.fixture(autouse=True)
def _some_world(world):
    pass


def test_a_user_logs_in(call4, world):
    answer = call4(None, "POST", "/token/user", json={"username": "viewer", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json.keys() == {"access_token", "refresh_token", "refresh_url", "user_url"}
    assert answer.json["refresh_url"] == f"{BASE}/token/refresh"
    assert answer.json["user_url"] == f"{BASE}/user/{world.user.viewer}"
    assert answer.headers["jwt-token"] == answer.json["access_token"]
    again = {"Authorization": f"Bearer {answer.json['refresh_token']}"}
    renewed = call4(None, "POST", "/token/refresh", headers=again)
    assert (renewed.status_code, renewed.json["refresh_url"]) == (200, f"{BASE}/token/refresh")


def test_a_node_logs_in(call4, world):
    answer = call4(None, "POST", "/token/node", json={"api_key": api_key("north_registry")})
    assert answer.status_code == 200
    assert answer.json["node_url"] == f"{BASE}/node/{world.node.north_registry}"


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/token/user", {}, ["username", "password"]),
        ("/token/user", {"username": "viewer", "password": ""}, ["password"]),
        ("/token/user", {"username": None, "password": "x"}, ["username"]),
        ("/token/user", {"username": "viewer", "password": 7}, ["password"]),
        ("/token/node", {}, ["api_key"]),
        ("/recover/reset", {"reset_token": "x"}, ["password"]),
        ("/recover/2fa/reset", {}, ["reset_token"]),
        ("/recover/2fa/lost", {"username": "viewer"}, ["password"]),
    ],
)
def test_what_is_missing_is_named(call4, path, body, fields):
    refused(call4(None, "POST", path, json=body), *fields)


@pytest.mark.parametrize("key", ["no uuid", "00000000-0000-4000-8000-00000000dead"])
def test_a_key_of_no_node_is_401_and_the_node_exits(call4, key):
    assert call4(None, "POST", "/token/node", json={"api_key": key}).status_code == 401


@pytest.mark.parametrize("code", ["123456", 123456, None])
def test_a_code_that_nobody_asks_for_is_ignored(call4, code):
    body = {"username": "viewer", "password": PASSWORD, "mfa_code": code}
    assert call4(None, "POST", "/token/user", json=body).status_code == 200


def test_a_lost_password_is_told_by_name_or_address_with_or_without_nulls(call4):
    answers = {
        call4(None, "POST", "/recover/lost", json=body).get_data()
        for body in (
            {"username": "viewer"},
            {"email": "viewer@north.example"},
            {"username": "viewer", "email": None},
            {"username": "stranger", "email": None},
        )
    }
    assert len(answers) == 1


def test_the_client_sends_all_three_for_a_lost_second_factor(call4):
    body = {"username": "viewer", "email": None, "password": PASSWORD}
    assert call4(None, "POST", "/recover/2fa/lost", json=body).status_code == 200


def test_a_weak_password_is_refused_by_the_name_of_its_field(call4):
    body = {"current_password": PASSWORD, "new_password": "weak"}
    answer = call4("viewer", "PATCH", "/password/change", json=body)
    text = refused(answer, "new_password")
    assert answer.json["errors"] == {"new_password": [text]}
