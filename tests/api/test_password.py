"""/password/change: one's own password (auth.md 7, A12)."""

import pytest

from tests.api.test_token import LOGIN, refresh
from tests.world import PASSWORD

NEW = "N3w-Password!"


def change(call, headers, **body):
    return call(None, "PATCH", "/password/change", json=body, headers=headers)


def log_in(call, password=PASSWORD):
    return call(None, "POST", "/token/user", json={**LOGIN, "password": password})


def bearer(pair):
    return {"Authorization": f"Bearer {pair['access_token']}"}


def test_the_session_that_changes_the_password_goes_on_and_all_others_end(call, world):
    mine, other = log_in(call).json, log_in(call).json
    answer = change(call, bearer(mine), current_password=PASSWORD, new_password=NEW)
    assert (answer.status_code, answer.json["msg"]) == (
        200,
        "The password has been changed successfully!",
    )
    assert log_in(call).status_code == 401
    assert log_in(call, NEW).status_code == 200
    assert call(None, "GET", "/role", headers=bearer(other)).status_code == 401
    assert refresh(call, other["refresh_token"]).status_code == 401
    assert call(None, "GET", "/role", headers=bearer(mine)).status_code == 200
    renewed = refresh(call, mine["refresh_token"])
    assert renewed.status_code == 200
    # And so it is with the next change, whichever pair of the session asks for it.
    answer = change(call, bearer(mine), current_password=NEW, new_password=PASSWORD)
    assert answer.status_code == 200
    assert call(None, "GET", "/role", headers=bearer(renewed.json)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "msg"),
    [
        ({}, 400, "Your current password is missing"),
        ({"new_password": NEW}, 400, "Your current password is missing"),
        ({"current_password": PASSWORD}, 400, "Your new password is missing!"),
        ({"current_password": PASSWORD, "new_password": ""}, 400, "Your new password is missing!"),
        (
            {"current_password": "Wr0ng-Pass!", "new_password": NEW},
            401,
            "Your current password is not correct!",
        ),
        (
            {"current_password": PASSWORD, "new_password": PASSWORD},
            400,
            "New password is the same as current password!",
        ),
        (
            {"current_password": PASSWORD, "new_password": "N3wPassword"},
            400,
            "Password should contain at least one special character",
        ),
        ({"current_password": PASSWORD, "new_password": 12345678}, 400, None),
    ],
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_is_refused_changes_nothing(call, world, body, status, msg):
    session = log_in(call).json
    other = log_in(call).json
    answer = change(call, bearer(session), **body)
    assert answer.status_code == status
    assert msg is None or answer.json["msg"] == msg
    assert log_in(call).status_code == 200
    assert call(None, "GET", "/role", headers=bearer(other)).status_code == 200


@pytest.mark.parametrize(
    ("who", "status"), [("north_registry", 403), ("container", 403), (None, 401)]
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_only_users_have_a_password(call, world, who, status):
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert call(who, "PATCH", "/password/change", json=body).status_code == status
