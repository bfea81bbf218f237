"""A body that is slow to arrive keeps nobody waiting: it is read before a transaction begins.

On SQLite a transaction that writes holds the lock of the whole database, and in a gevent worker
whoever waits for that lock stops the whole process. So the network must not be waited for inside.
"""

import io
import json
from collections.abc import Iterator

import pytest

from tests.contract.routes import ROUTES, Route
from tests.databases import Databases
from tests.support import Caller, counting, open_app
from tests.world import World

Shared = tuple[Caller, World]


@pytest.fixture(scope="module")
def shared(backend: str, databases: Databases) -> Iterator[Shared]:
    """One application for all: no test minds what the others do to the rows."""
    with open_app(databases, backend, with_world=True) as (app, world):
        assert world is not None
        yield Caller(app), world


class Watched(io.BytesIO):
    """A body that notes how many statements had been sent when it was first read."""

    def __init__(self, body: bytes, statements: list[str]) -> None:
        super().__init__(body)
        self.statements = statements
        self.before: list[str] | None = None

    def read(self, size: int | None = -1) -> bytes:
        self._note()
        return super().read(size)

    def readinto(self, buffer) -> int:
        self._note()
        return super().readinto(buffer)

    def _note(self) -> None:
        if self.before is None:
            self.before = list(self.statements)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=str)
def test_the_body_is_read_before_the_database(shared: Shared, route: Route) -> None:
    call, world = shared
    body = json.dumps({"id": 0, "name": "x"}).encode()
    who = route.caller()
    if who:
        call.token(who)
    with counting() as statements:
        stream = Watched(body, statements)
        call(
            who,
            route.method,
            route.url(world),
            input_stream=stream,
            content_type="application/json",
            headers={"Content-Length": str(len(body))},
        )
    assert stream.before == []


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.body and not route.anonymous], ids=str
)
def test_without_a_token_the_body_is_not_read(shared: Shared, route: Route) -> None:
    """Nobody makes the server take in a gigabyte without being known."""
    call, world = shared
    stream = Watched(b'{"id": 1}', [])
    answer = call(
        None,
        route.method,
        route.url(world),
        input_stream=stream,
        content_type="application/json",
        headers={"Content-Length": "9"},
    )
    assert answer.status_code == 401
    assert stream.before is None
