"""A server in this process on a real port, and sockets of the people and nodes of the world."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests import once
from tests.policy_edits import take_up
from tests.realtime.ears import Ear
from tests.support import Caller
from v6srv.db import session
from v6srv.realtime import server as realtime


def eventually(read: Callable[[], Any], expected: Any, patience_s: float = 20.0) -> None:
    """Fails unless `read()` becomes `expected`."""
    until = time.monotonic() + patience_s
    while (found := read()) != expected:
        assert time.monotonic() < until, f"{found!r} never became {expected!r}"
        time.sleep(0.02)


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Serve with threads, as `flask run` does, and with all background work; yields the URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        with once.following_files():
            realtime.start_background(app)
            yield f"http://127.0.0.1:{server.server_port}"
    finally:
        realtime.stop_background(app)
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """Where `app` is served."""
    with serving(app) as found:
        yield found


class Audience:
    """Connects ears and closes them after the test."""

    def __init__(self, url: str, token: Callable[[str], str]) -> None:
        self.url = url
        self.token = token
        self.ears: list[Ear] = []

    def __call__(self, who: str, transports: list[str] | None = None) -> Ear:
        """A connected socket of a user or node, that has heard what it hears because it came."""
        token = self.token(who)
        ear = self.stranger(who, transports).connect(token)
        ear.wait("connect")
        if jwt.decode(token, options={"verify_signature": False})["client_type"] == "node":
            ear.wait("sync")
        return ear

    def stranger(self, name: str = "", transports: list[str] | None = None) -> Ear:
        """A socket that is not connected yet."""
        ear = Ear(self.url, name, transports)
        self.ears.append(ear)
        return ear

    def close(self) -> None:
        """Hang everybody up."""
        for ear in self.ears:
            ear.close()


@pytest.fixture
def listen(url: str, call: Caller) -> Iterator[Audience]:
    """`listen("viewer")` is a connected socket of that user."""
    audience = Audience(url, call.token)
    yield audience
    audience.close()


@pytest.fixture
def stored() -> Callable[[Any, Any], Any]:
    """`stored(Model, id)`: the row as it is in the database now, or None."""

    def read(model: Any, id: Any) -> Any:
        try:
            return session.get(model, id)
        finally:
            session.remove()

    return read


@pytest.fixture
def more_lines(app: Flask, tmp_path: Path) -> Callable[[str], None]:
    """Add lines to the policy."""

    def add(text: str) -> None:
        store = app.extensions["authz"].store
        for path in store.folder.glob("*.c*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "more.csv").write_text(text)
        store.folder = tmp_path
        with app.app_context():
            assert take_up(store), store.problem

    return add
