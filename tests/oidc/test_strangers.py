"""What is not believed: answers that are not for this browser, this server, this log-in or this time."""

import time
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
import requests

from tests.oidc.conftest import Site


def _with(url: str, **changes: str | None) -> str:
    """The address with other values in its query; None takes one away."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changes
    given = {name: value for name, value in query.items() if value is not None}
    return urlunsplit(parts._replace(query=urlencode(given)))


def _refused(answer: requests.Response, status: int = 401) -> str:
    assert answer.status_code == status, answer.text
    assert "access_token" not in answer.text
    message: str = answer.json()["msg"]
    return message


@pytest.mark.parametrize("state", ["other", "", None, "\u00e9"])
def test_another_state(site: Site, state: str | None) -> None:
    with requests.Session() as browser:
        back = site.come_back(browser, site.leave(browser))
        assert "begin again" in _refused(browser.get(_with(back, state=state), timeout=20))
        assert browser.get(back, timeout=20).status_code == 200


def test_an_answer_in_another_browser(site: Site) -> None:
    """Whoever is sent a link with somebody else's code is not logged in as them."""
    with requests.Session() as attacker, requests.Session() as victim:
        back = site.come_back(attacker, site.leave(attacker))
        assert "did not begin in this browser" in _refused(victim.get(back, timeout=20))
        site.leave(victim)
        _refused(victim.get(back, timeout=20))


def test_a_code_is_good_once(site: Site) -> None:
    with requests.Session() as browser:
        back = site.come_back(browser, site.leave(browser))
        ticket = browser.cookies.copy()
        assert browser.get(back, timeout=20).status_code == 200
        browser.cookies.update(ticket)
        assert "begin again" in _refused(browser.get(back, timeout=20))
    assert site.problems == []


def test_a_code_of_another_log_in(site: Site) -> None:
    """Injected where another log-in began: the verifier of that one does not fit."""
    with requests.Session() as one, requests.Session() as other:
        stolen = site.come_back(one, site.leave(one))
        back = site.come_back(other, site.leave(other))
        code = parse_qs(urlsplit(stolen).query)["code"][0]
        _refused(other.get(_with(back, code=code), timeout=20))


def test_a_ticket_is_no_token_and_a_token_no_ticket(site: Site) -> None:
    token = site.come_in().json()["access_token"]
    with requests.Session() as browser:
        back = site.come_back(browser, site.leave(browser))
        ticket = browser.cookies["v6srv_oidc"]
        _refused(requests.get(back, cookies={"v6srv_oidc": token}, timeout=20))
    headers = {"Authorization": f"Bearer {ticket}"}
    _refused(requests.get(f"{site.url}/api/organization", headers=headers, timeout=20), 422)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"error": "access_denied", "code": None}, 401),
        ({"error": "<script>alert(1)</script>", "code": None}, 401),
        ({"code": None}, 400),
        ({"code": ""}, 400),
        ({"code": "\u00e9"}, 400),
        ({"code": "a\nb"}, 400),
        ({"code": "made up"}, 401),
        ({"iss": "https://evil.example"}, 401),
        ({"iss": ""}, 401),
    ],
)
def test_what_the_provider_would_not_answer(
    site: Site, sent: dict[str, str | None], status: int
) -> None:
    with requests.Session() as browser:
        back = site.come_back(browser, site.leave(browser))
        assert "script" not in _refused(browser.get(_with(back, **sent), timeout=20), status)


def test_a_mixed_up_provider(site: Site) -> None:
    """One that says who it is in its answers has to, and has to be the right one (RFC 9207)."""
    says = {"authorization_response_iss_parameter_supported": True}
    site.provider.be(description=says)
    assert "another identity provider" in _refused(site.come_in())
    site.provider.be(description=says, iss="http://127.0.0.1:1/realm")
    _refused(site.come_in())
    site.provider.be(description=says, iss=site.provider.issuer)
    assert site.come_in().status_code == 200


def _said(claims: dict[str, Any]) -> dict[str, Any]:
    """Times are written as seconds from now."""
    now = int(time.time())
    times = ("exp", "iat", "nbf")
    return {
        name: value + now if name in times and isinstance(value, int) else value
        for name, value in claims.items()
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "of another log-in"},
        {"nonce": None},
        {"iss": "http://127.0.0.1:1/realm"},
        {"iss": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"aud": ["another client", "v6srv"]},  # and nobody says for whom of them
        {"aud": ["another client", "v6srv"], "azp": "another client"},
        {"aud": None},
        {"aud": []},
        {"exp": -3600},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": 3600},
        {"nbf": 3600},
        {"sub": None},
        {"sub": 1},
        {"at_hash": "of another token"},
    ],
    ids=str,
)
def test_claims_that_are_not_for_us_now(site: Site, claims: dict[str, Any]) -> None:
    site.provider.be(claims=_said(claims))
    assert "not believed" in _refused(site.come_in())
    assert site.problems == []


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -20, "iat": -400},  # within `clock_leeway_s`
        {"iat": 120, "exp": 900},
        {"aud": ["v6srv"]},
        {"aud": ["another client", "v6srv"], "azp": "v6srv"},
    ],
    ids=str,
)
def test_claims_that_are(site: Site, claims: dict[str, Any]) -> None:
    site.provider.be(claims=_said(claims))
    assert site.come_in().status_code == 200


@pytest.mark.parametrize("signing", ["none", "HS256", "RS512", "PS256", "stranger"])
def test_only_the_keys_of_the_provider_sign_and_in_one_way(site: Site, signing: str) -> None:
    site.provider.be(signing=signing)
    assert "not believed" in _refused(site.come_in())
    site.provider.be()
    assert site.come_in().status_code == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.e30", 5, None, "." * 5000])
def test_what_is_no_token(site: Site, token: Any) -> None:
    site.provider.be(body={"access_token": "x", "token_type": "Bearer", "id_token": token})
    _refused(site.come_in())


def test_new_keys_are_read_when_they_are_first_seen(site: Site) -> None:
    for _ in range(2):
        assert site.come_in().status_code == 200
    asked = site.provider.be(rotate=True)
    assert (asked.count("/realm/keys"), asked.count("/realm/.well-known/openid-configuration")) == (
        1,
        1,
    )
    assert site.come_in().status_code == 200
    assert site.provider.be().count("/realm/keys") == 1


def test_nobody_is_sent_elsewhere(site: Site) -> None:
    """No parameter decides where a browser goes, or comes back to."""
    tried = "?redirect_uri=https://evil.example&next=https://evil.example&state=x"
    there = requests.get(site.login + tried, allow_redirects=False, timeout=20).headers["Location"]
    assert there.startswith(f"{site.provider.issuer}/authorize?")
    assert "evil" not in there
    host = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    there = requests.get(site.login, headers=host, allow_redirects=False, timeout=20)
    assert "evil" not in there.headers["Location"]
