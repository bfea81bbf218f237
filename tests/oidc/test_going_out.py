"""Who logs out is logged out here and at the identity provider; who only fails is slowed down."""

import pytest
import requests

from tests.oidc.conftest import Site, Start
from tests.world import PASSWORD


def _in(site: Site, answer: requests.Response) -> int:
    """Whether the tokens of an answer are good."""
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return requests.get(f"{site.url}/api/organization", headers=headers, timeout=20).status_code


def test_who_logs_out_is_out_at_both(site: Site) -> None:
    site.change(logged_out_url="https://pages.example/out")
    with requests.Session() as browser:
        begun = browser.get(site.login, timeout=60)
        [cookie] = browser.cookies
        assert (cookie.name, cookie.path) == ("v6srv_oidc_out", "/api/oidc/logout")
        assert cookie.has_nonstandard_attr("HttpOnly")
        assert cookie.get_nonstandard_attr("SameSite") == "Strict"
        other = site.come_in()
        assert _in(site, begun) == _in(site, other) == 200
        answer = browser.get(f"{site.url}/api/oidc/logout", timeout=20)
        assert answer.json() == {"then": "https://pages.example/out", "ui": "1"}
        assert list(browser.cookies) == []
        assert _in(site, begun) == 401
        assert _in(site, other) == 200
        refresh = {"Authorization": f"Bearer {begun.json()['refresh_token']}"}
        again = requests.post(site.url + begun.json()["refresh_url"], headers=refresh, timeout=20)
        assert again.status_code == 401
        assert browser.get(site.login, timeout=20).text == "Who are you?"


def test_who_began_nothing_is_asked_by_the_provider_and_ends_nothing(site: Site) -> None:
    """So is who comes by a link of others, which has no cookie sent."""
    begun = site.come_in()
    for cookies in ({}, {"v6srv_oidc_out": "x"}, {"v6srv_oidc_out": begun.json()["access_token"]}):
        answer = requests.get(f"{site.url}/api/oidc/logout", cookies=cookies, timeout=20)
        assert answer.text == "Do you want to log out?"
    assert _in(site, begun) == 200


@pytest.mark.parametrize("place", [None, 7, "http://login.example/out"])
def test_a_provider_without_a_log_out_has_none(site: Site, place: object) -> None:
    site.provider.be(description={"end_session_endpoint": place})
    with requests.Session() as browser:
        begun = browser.get(site.login, timeout=60)
        answer = browser.get(f"{site.url}/api/oidc/logout", timeout=20, allow_redirects=False)
    assert (answer.status_code, "logged out here" in answer.json()["msg"]) == (200, True)
    assert _in(site, begun) == 401


def test_a_provider_that_is_gone_keeps_nobody_in(site: Site) -> None:
    with requests.Session() as browser:
        begun = browser.get(site.login, timeout=60)
        site.know(site.app.config["SETTINGS"].oidc)  # nothing is known of it yet
        site.provider.be(broken={"/realm/.well-known/openid-configuration": 500})
        answer = browser.get(f"{site.url}/api/oidc/logout", timeout=20, allow_redirects=False)
    assert answer.status_code == 503
    assert _in(site, begun) == 401


def test_what_is_too_large_for_a_cookie_is_not_in_it(site: Site) -> None:
    site.provider.be(claims={"groups": [f"group {number}" for number in range(500)]})
    with requests.Session() as browser:
        begun = browser.get(site.login, timeout=60)
        [cookie] = browser.cookies
        assert len(cookie.value or "") < 1000
        asked = browser.get(f"{site.url}/api/oidc/logout", timeout=20)
    assert asked.text == "Do you want to log out?"
    assert _in(site, begun) == 401


def test_an_address_that_makes_up_answers_waits(start: Start) -> None:
    """Each answer asks the provider. Who has a password, or is known there, is not concerned."""
    site = start({"login_rate_limit": "3 per 15 minutes"})

    def make_up() -> int:
        with requests.Session() as browser:
            there = site.leave(browser)
            state = there.partition("state=")[2].partition("&")[0]
            query = {"code": "made-up", "state": state}
            answer = browser.get(f"{site.url}/api/oidc/callback", params=query, timeout=20)
        return answer.status_code

    site.provider.be(person={"sub": "2", "email": "nobody@else.example", "email_verified": True})
    assert [site.come_in().status_code for _ in range(4)] == [401] * 4
    site.provider.be()
    assert site.come_in().status_code == 200
    stray = requests.get(f"{site.url}/api/oidc/callback", params={"state": "x"}, timeout=20)
    assert stray.status_code == 401
    assert [make_up() for _ in range(5)] == [401, 401, 401, 429, 429]
    assert "/realm/token" in site.provider.be()
    answer = site.come_in()
    assert (answer.status_code, 0 < int(answer.headers["Retry-After"]) <= 900) == (429, True)
    assert "/realm/token" not in site.provider.be()
    local = {"username": "viewer", "password": PASSWORD}
    assert requests.post(f"{site.url}/api/token/user", json=local, timeout=20).status_code == 200
