"""A provider in a process of its own, and a browser that goes from server to server."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.conftest import BACKENDS
from tests.databases import Databases
from tests.live import free_port
from tests.oidc.provider import CLIENT, SECRET
from tests.support import open_app
from tests.world import World
from v6srv.identity.provider import Provider
from v6srv.settings import Oidc


@dataclass
class Place:
    """The provider."""

    url: str

    @property
    def issuer(self) -> str:
        return f"{self.url}/realm"

    def be(self, **mood: Any) -> list[str]:
        """Calm, but for this. Returns the paths that were asked for before."""
        answer = requests.post(f"{self.url}/mood", json=mood, timeout=20)
        answer.raise_for_status()
        asked: list[str] = answer.json()["asked"]
        return asked


@pytest.fixture(scope="session")
def _provider() -> Iterator[Place]:
    place = Place(f"http://127.0.0.1:{free_port()}")
    port = str(urlsplit(place.url).port)
    with subprocess.Popen([sys.executable, "-m", "tests.oidc.provider", port]) as process:
        for _ in range(600):
            try:
                place.be()
                break
            except requests.ConnectionError:
                assert process.poll() is None
                time.sleep(0.1)
        yield place
        process.terminate()


@dataclass
class Site:
    """v6srv, served over HTTP, with the world of the tests."""

    url: str
    app: Flask
    world: World
    provider: Place

    def know(self, config: Oidc) -> None:
        """Of the provider what these settings say, and nothing else."""
        self.app.extensions["identity_provider"] = Provider(config, 300)

    def change(self, **oidc: Any) -> None:
        """Other settings of the provider."""
        config = self.app.config["SETTINGS"].oidc
        self.know(Oidc.model_validate({**config.model_dump(), **oidc}))

    @property
    def login(self) -> str:
        return f"{self.url}/api/oidc/login"

    def come_in(self, login: str | None = None) -> requests.Response:
        """What a browser gets in the end that logs in through the provider."""
        with requests.Session() as browser:
            return browser.get(login or self.login, timeout=60)

    def leave(self, browser: requests.Session, login: str | None = None) -> str:
        """Up to the door of the provider: the address there."""
        answer = browser.get(login or self.login, allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def come_back(self, browser: requests.Session, there: str) -> str:
        """Through the door: the address that the provider sends back to."""
        answer = browser.get(there, allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    @property
    def problems(self) -> list[str]:
        answer = requests.get(f"{self.url}/api/health", timeout=20).json()
        return [text for text in answer.get("problems", []) if "identity" in text or "oidc" in text]


EMAIL = "viewer@north.example"


def whoami(site: Site, answer: requests.Response) -> str:
    """The user name behind the tokens of an answer."""
    assert answer.status_code == 200, answer.text
    token, path = answer.json()["access_token"], answer.json()["user_url"]
    headers = {"Authorization": f"Bearer {token}"}
    found: str = requests.get(site.url + path, headers=headers, timeout=20).json()["username"]
    return found


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None: ...


Start = Callable[..., Site]


@pytest.fixture(scope="session", params=BACKENDS[:1])
def oidc_backend(request: pytest.FixtureRequest) -> str:
    """The kind of database of `start`: `BOTH` asks for each kind in turn."""
    return str(request.param)


BOTH = pytest.mark.parametrize("oidc_backend", BACKENDS, indirect=True)
"""What is written, and by statements of our own."""


@contextmanager
def _served(
    databases: Databases, backend: str, place: Place, oidc: dict[str, Any], **settings: Any
) -> Iterator[Site]:
    port = free_port()
    callback = f"http://127.0.0.1:{port}/api/oidc/callback"
    place.be(callback=callback)
    config = {
        "issuer": place.issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "callback_url": callback,
        **oidc,
    }
    with open_app(databases, backend, True, oidc=config, **settings) as (app, world):
        server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        assert world is not None
        yield Site(f"http://127.0.0.1:{port}", app, world, place)
        server.shutdown()
        server.server_close()


@pytest.fixture
def start(databases: Databases, _provider: Place, oidc_backend: str) -> Iterator[Start]:
    """Serve with these settings, and these keys of `oidc` beside the needed ones.

    A server of its own, for tests that change accounts; not in a module that asks for `site`.
    """
    with ExitStack() as opened:
        yield lambda settings=None, **oidc: opened.enter_context(
            _served(databases, oidc_backend, _provider, oidc, **(settings or {}))
        )


@pytest.fixture(scope="module")
def _shared(databases: Databases, _provider: Place) -> Iterator[Site]:
    with _served(databases, BACKENDS[0], _provider, {}, login_rate_limit="off") as site:
        yield site


@pytest.fixture
def site(_shared: Site) -> Site:
    """One server for all tests of a module; it knows nothing of the provider yet, which is calm."""
    _shared.know(_shared.app.config["SETTINGS"].oidc)
    _shared.provider.be()
    return _shared
