"""What an account of here means for who comes from the provider, and who gets one."""

from typing import Any

import pytest
import requests
from sqlalchemy import select

from tests import world as small_world
from tests.oidc.conftest import BOTH, EMAIL, Start, whoami
from tests.support import Caller
from v6srv.db import session
from v6srv.model import User


def test_without_the_setting_there_is_nothing(call: Caller) -> None:
    for path in ("/oidc/login", "/oidc/callback"):
        assert call(None, "GET", path).status_code == 404


def test_neither_password_nor_second_factor_of_here_is_asked_for(start: Start) -> None:
    """Nor does the lock hold that wrong passwords of others have caused; for passwords it stays."""
    site = start({"two_factor_auth": True})
    wrong = {"username": "viewer", "password": "wrong"}
    for _ in range(6):
        requests.post(f"{site.url}/api/token/user", json=wrong, timeout=20)
    assert whoami(site, site.come_in()) == "viewer"
    right = {"username": "viewer", "password": small_world.PASSWORD}
    assert requests.post(f"{site.url}/api/token/user", json=right, timeout=20).status_code == 401


@BOTH
def test_an_account_that_was_deleted_is_not_let_in(start: Start) -> None:
    site = start()
    call = Caller(site.app)
    assert whoami(site, site.come_in()) == "viewer"
    assert call("root", "DELETE", f"/user/{site.world.user.viewer}").status_code == 200
    assert site.come_in().status_code == 401


NEW = [
    {"value": "boss", "organization": "north", "roles": ["Root"]},
    {"value": "science", "organization": "south", "roles": ["Researcher", "Viewer"]},
    {"value": "lost", "organization": "nowhere", "roles": []},
    {"value": "odd", "organization": "south", "roles": ["analysts"]},  # a role of north
]


@pytest.mark.parametrize(
    ("groups", "status", "roles"),
    [
        (["science"], 200, {"Researcher", "Viewer"}),
        ("science", 200, {"Researcher", "Viewer"}),
        (["other", "science"], 200, {"Researcher", "Viewer"}),
        (["Science"], 401, None),
        (["other"], 401, None),
        ([], 401, None),
        (None, 401, None),
        ({"science": 1}, 401, None),
        (["lost"], 503, None),
        (["odd"], 503, None),
    ],
)
def test_an_account_is_made_only_for_whom_a_setting_names(
    start: Start, groups: Any, status: int, roles: set[str] | None
) -> None:
    site = start(new_accounts=NEW)
    claims = {
        "email": "new@south.example",
        "preferred_username": "newcomer",
        "given_name": "New",
        "groups": groups,
    }
    site.provider.be(claims=claims)
    answer = site.come_in()
    assert answer.status_code == status, answer.text
    with site.app.app_context():
        user = session.scalars(select(User).where(User.username == "newcomer")).one_or_none()
        if roles is None:
            assert user is None
        else:
            assert user is not None
            assert {role.name for role in user.roles} == roles
            assert (user.email, user.firstname, user.password) == ("new@south.example", "New", None)
            assert user.organization is not None
            assert user.organization.name == "south"
    assert bool(site.problems) == (status == 503)


@BOTH
def test_a_made_account_is_made_once_and_keeps_what_it_was_given_since(start: Start) -> None:
    site = start(new_accounts=NEW)
    claims = {"email": "new@south.example", "preferred_username": "newcomer", "groups": ["science"]}
    site.provider.be(claims=claims)
    first = site.come_in().json()["user_url"]
    taken = Caller(site.app)("root", "PATCH", first.removeprefix("/api"), json={"roles": []})
    assert taken.status_code == 200
    site.provider.be(claims={**claims, "groups": ["boss"]})
    second = site.come_in().json()
    assert second["user_url"] == first
    there = Caller(site.app)("root", "GET", first.removeprefix("/api")).json
    assert not there["roles"]


def test_an_account_of_somebody_else_is_not_taken_over(start: Start) -> None:
    """The name that the provider tells is taken already: no account, and no change to that one."""
    site = start(new_accounts=NEW)
    site.provider.be(
        claims={"email": "x@y.example", "preferred_username": "viewer", "groups": ["science"]}
    )
    answer = site.come_in()
    assert (answer.status_code, answer.json()["msg"]) == (400, "Username already exists.")
    with site.app.app_context():
        assert session.scalars(select(User).where(User.username == "viewer")).one().email == EMAIL
