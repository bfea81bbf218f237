"""The provider is gone, slow or wrong: said at once, and nobody else's concern."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.live import free_port
from tests.oidc.conftest import Site
from v6srv.identity import provider

CONFIGURATION = "/realm/.well-known/openid-configuration"


def _unavailable(answer: requests.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert "identity provider" in answer.json()["msg"]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "PAUSE_S", 0)


def test_gone(site: Site) -> None:
    site.change(issuer=f"http://127.0.0.1:{free_port()}/realm")
    _unavailable(site.come_in())
    assert site.problems == [
        "nobody can log in through the identity provider: it does not answer, or not as expected"
    ]
    assert requests.get(f"{site.url}/api/health/ready", timeout=20).status_code == 200


def test_back_again(site: Site) -> None:
    site.provider.be(broken={CONFIGURATION: 500})
    _unavailable(site.come_in())
    assert site.problems
    site.provider.be()
    assert site.come_in().status_code == 200
    assert site.problems == []


@pytest.mark.parametrize("path", [CONFIGURATION, "/realm/keys", "/realm/token"])
@pytest.mark.parametrize("status", [404, 500, 502])
def test_broken(site: Site, path: str, status: int) -> None:
    site.provider.be(broken={path: status})
    _unavailable(site.come_in())
    assert site.problems


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://evil.example/token"},  # anybody on the way could read the code
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": ["x"]},
    ],
    ids=str,
)
def test_it_describes_somebody_else(site: Site, description: dict[str, Any]) -> None:
    site.provider.be(description=description)
    _unavailable(requests.get(site.login, allow_redirects=False, timeout=20))


@pytest.mark.parametrize(
    "body", ["no JSON", [], "x" * 2_000_000, "[" * 100_000, {"a": "x" * 2_000_000}]
)
def test_it_answers_nonsense(site: Site, body: Any) -> None:
    site.provider.be(body=body)
    answer = site.come_in()
    assert answer.status_code == 503, answer.text[:300]


def test_it_refuses_this_server(site: Site) -> None:
    site.provider.be(secret="another secret")
    _unavailable(site.come_in())
    assert site.problems == [
        "nobody can log in through the identity provider: it refuses this server as its client"
    ]
    site.provider.be()
    assert site.come_in().status_code == 200
    assert site.problems == []


def test_slow_and_others_are_not_held_up(site: Site) -> None:
    """While more wait for it than may, everybody else is answered; the rest are told to come back."""
    site.change(timeout_s=1.5)
    site.provider.be(delay_s=30)
    many = provider.MOST_AT_ONCE + 4
    with ThreadPoolExecutor(many) as crowd:
        waiting = [crowd.submit(site.come_in) for _ in range(many)]
        answers = [
            requests.get(f"{site.url}/api/{path}", timeout=20) for path in ("version", "health") * 5
        ]
        assert {answer.status_code for answer in answers} == {200}
        assert {found.result().status_code for found in waiting} <= {503, 429}


def test_after_it_was_silent_nobody_waits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider, "PAUSE_S", 3600)
    site.provider.be(broken={CONFIGURATION: 500})
    _unavailable(site.come_in())
    assert site.provider.be() == [CONFIGURATION]
    answer = site.come_in()
    _unavailable(answer)
    assert answer.headers["Retry-After"] == "3600"
    assert site.provider.be() == []


def test_an_answer_that_somebody_made_up_stops_nobody_else(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "PAUSE_S", 3600)
    site.provider.be(broken={"/realm/token": 500})
    _unavailable(site.come_in())
    site.provider.be(body={"error": "invalid_request"})
    assert site.come_in().status_code == 401
    site.provider.be()
    assert site.come_in().status_code == 200


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("issuer", "http://login.example", "https"),
        ("issuer", "ftp://127.0.0.1", "https"),
        ("callback_url", "https://v6.example/api/oidc/elsewhere", "/oidc/callback"),
        ("callback_url", "https://v6.example/api/oidc/callback?x=1", "/oidc/callback"),
        ("scopes", "email", "openid"),
        ("algorithm", "none", "RS256"),
        ("algorithm", "HS256", "RS256"),
        ("client_id", "", "at least 1"),
    ],
)
def test_settings_that_cannot_be_used(site: Site, key: str, value: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        site.change(**{key: value})
