"""Who logs in through the identity provider, and as whom."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests import world as small_world
from tests.oidc.conftest import EMAIL, Site, whoami


def test_a_browser_comes_back_with_tokens_as_a_login_gives_them(site: Site) -> None:
    answer = site.come_in()
    assert whoami(site, answer) == "viewer"
    password = {"username": "viewer", "password": small_world.PASSWORD}
    local = requests.post(f"{site.url}/api/token/user", json=password, timeout=20)
    assert answer.json().keys() == local.json().keys() | {"username", "one_time_password"}
    assert answer.headers["Cache-Control"] == "no-store"
    refresh = {"Authorization": f"Bearer {answer.json()['refresh_token']}"}
    renewed = requests.post(site.url + answer.json()["refresh_url"], headers=refresh, timeout=20)
    assert renewed.status_code == 200


def test_the_ticket_is_for_this_browser_and_is_taken_away_again(site: Site) -> None:
    with requests.Session() as browser:
        there = site.leave(browser)
        [cookie] = browser.cookies
        assert (cookie.path, cookie.name) == ("/api/oidc/callback", "v6srv_oidc")
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "Lax"
        asked = parse_qs(urlsplit(there).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{site.url}/api/oidc/callback"]
        assert browser.get(there, timeout=20).status_code == 200
        assert [cookie.name for cookie in browser.cookies] == ["v6srv_oidc_out"]


def test_who_began_at_4x_gets_tokens_of_4x(site: Site) -> None:
    answer = site.come_in(f"{site.url}/v4/api/oidc/login")
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    answered = requests.get(f"{site.url}/api/organization", headers=headers, timeout=20)
    assert "data" in answered.json()


def test_the_route_map_has_three_more_for_anybody(site: Site) -> None:
    document = site.app.test_client().get("/apispec_1.json").get_json()
    own = {path: item for path, item in document["paths"].items() if "oidc" in path}
    assert {path: set(item) for path, item in own.items()} == {
        "/api/oidc/login": {"get"},
        "/api/oidc/callback": {"get"},
        "/api/oidc/logout": {"get"},
    }
    for item in own.values():
        assert item["get"]["x-required-rule"]["callers"] == []


@pytest.mark.parametrize(
    ("settings", "said", "who"),
    [
        ({}, {"email": "VIEWER@north.example"}, "viewer"),
        ({}, {"email": "stranger@north.example"}, None),
        ({}, {"email": "v\u0131ewer@north.example"}, None),  # looks alike
        ({}, {"email": "\uff56iewer@north.example"}, None),  # is one with it for our own names
        ({}, {"email": None}, None),
        ({}, {"email": ["viewer@north.example"]}, None),
        ({}, {"email": ""}, None),
        ({}, {"email": "viewer@north.example\x00"}, None),
        ({}, {"email_verified": False}, None),
        ({}, {"email_verified": None}, None),
        ({}, {"email_verified": "false"}, None),
        ({}, {"email_verified": "true"}, "viewer"),
        ({"accept_unverified_email": True}, {"email_verified": None}, "viewer"),
        ({"claim": "login", "account": "username"}, {"login": "researcher"}, "researcher"),
        ({"claim": "login", "account": "username"}, {"login": "Researcher"}, None),
        ({"claim": "login", "account": "username"}, {"login": "north_registry"}, None),  # a node
        ({"claim": "login", "account": "username"}, {"login": 7}, None),
        ({"claim": "upn"}, {"upn": EMAIL, "email": "root@domain.ext"}, "viewer"),
    ],
)
def test_one_claim_says_whose_account_it_is(
    site: Site, settings: dict[str, Any], said: dict[str, Any], who: str | None
) -> None:
    site.change(**settings)
    site.provider.be(claims=said)
    answer = site.come_in()
    if who is None:
        assert (answer.status_code, "msg" in answer.json()) == (401, True)
        assert "access_token" not in answer.text
    else:
        assert whoami(site, answer) == who


def test_what_is_missing_is_asked_of_the_userinfo_endpoint(site: Site) -> None:
    person = {"sub": "1", "email_verified": True}
    site.provider.be(person=person, userinfo={"sub": "1", "email": EMAIL})
    assert whoami(site, site.come_in()) == "viewer"
    site.provider.be(person=person, userinfo={"sub": "2", "email": EMAIL})
    assert site.come_in().status_code == 401
    site.provider.be(person={"sub": "1"}, userinfo={"sub": "1", "email": EMAIL})
    assert "not verified" in site.come_in().json()["msg"]
