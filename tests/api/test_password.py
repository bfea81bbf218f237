"""/password/change: one's own password (auth.md 7, A12)."""

import pytest

from tests.api.test_policy_line_rest import add, line
from tests.api.test_token import LOGIN, refresh
from tests.support import Caller, open_app
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


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_wrong_current_passwords_are_counted_as_at_a_login(call, world):
    """Who has found a token does not find the password with it: five guesses, then no more."""
    session = log_in(call).json
    for _guess in range(2):
        assert log_in(call, "Wr0ng-Pass!").status_code == 401
    for guess in range(12):
        body = {"current_password": f"Wr0ng-Pass!{guess}", "new_password": NEW}
        answer = change(call, bearer(session), **body)
        assert answer.status_code == 401
        assert answer.json["msg"] == "Your current password is not correct!"
    right = change(call, bearer(session), current_password=PASSWORD, new_password=NEW)
    assert (right.status_code, right.json["msg"]) == (401, "Your current password is not correct!")
    assert log_in(call).status_code == 401  # locked, as by wrong logins
    assert call(None, "GET", "/role", headers=bearer(session)).status_code == 200


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_guesses_from_one_address_are_limited_as_at_a_login(databases, backend):
    limit = "3 per hour"
    with open_app(databases, backend, True, login_rate_limit=limit) as (app, _world):
        call = Caller(app)
        session = log_in(call).json
        wrong = {"current_password": "Wr0ng-Pass!", "new_password": NEW}
        statuses = [change(call, bearer(session), **wrong).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_may_not_change_the_password_cannot_guess_it(call, world):
    add(call, line("kind:user", "user", "edit", "meets(r.sub.changes, ('password',))"))
    session = log_in(call).json
    for password in ("Wr0ng-Pass!", PASSWORD):
        body = {"current_password": password, "new_password": NEW}
        assert change(call, bearer(session), **body).status_code == 403


@pytest.mark.parametrize(
    ("who", "status"), [("north_registry", 403), ("container", 403), (None, 401)]
)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_only_users_have_a_password(call, world, who, status):
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert call(who, "PATCH", "/password/change", json=body).status_code == status
