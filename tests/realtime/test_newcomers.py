"""Sessions whose client does not say who it is end: too many of them, and after a while."""

import pytest

from tests.support import open_app
from v6srv.realtime import newcomers
from v6srv.realtime.broadcast import NAMESPACE

POLL = "/socket.io/?EIO=4&transport=polling"
pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def opened(backend, databases):
    limits = {"http": {"unknown_sockets_per_address": 3}, "trusted_proxies": 1}
    with open_app(databases, backend, with_world=True, **limits) as (app, _world):
        yield app


@pytest.fixture
def door(opened):
    """The part of the server, with the application's client."""
    return Door(opened)


class Door:
    def __init__(self, app):
        self.client = app.test_client()
        self.part = app.extensions["v6srv_realtime"].newcomers
        self.server = app.extensions["socketio"].server

    def open(self, address="10.0.0.1"):
        headers = {"X-Forwarded-For": f"6.6.6.6, {address}"}
        answer = self.client.get(POLL, headers=headers)
        assert answer.status_code == 200
        return answer.text.split('"sid":"')[1].split('"')[0]

    def there(self):
        return set(self.server.eio.sockets)


def test_the_oldest_of_an_address_gives_way(door):
    first = [door.open() for _ in range(3)]
    other = door.open("10.0.0.2")
    assert door.there() == {*first, other}
    last = door.open()
    assert door.there() == {*first[1:], other, last}
    assert first[0] not in door.server.environ
    answer = door.client.get(f"{POLL}&sid={first[0]}")
    assert answer.status_code == 400


def test_a_network_of_ipv6_is_one_address(door):
    first = [door.open(f"2001:db8::{number}") for number in range(3)]
    last = door.open("2001:db8::ffff")
    assert door.there() == {*first[1:], last}


def test_there_is_a_limit_for_all(door, monkeypatch):
    monkeypatch.setattr(newcomers, "MOST", 5)
    opened = [door.open(f"10.0.0.{number}") for number in range(8)]
    assert door.there() == set(opened[3:])


def test_who_does_not_join_in_time_is_ended(door, monkeypatch):
    sid = door.open()
    door.part.look()
    assert door.there() == {sid}
    monkeypatch.setattr(newcomers, "JOIN_WITHIN_S", -1)
    door.part.look()
    assert door.there() == set()
    assert not door.part._address
    assert set(door.part._since) == {newcomers.EVERYBODY}


def test_who_has_joined_stays_and_does_not_count(door, monkeypatch):
    joined = door.open()
    monkeypatch.setattr(
        door.server.manager, "sid_from_eio_sid", lambda sid, _: "x" if sid == joined else None
    )
    others = [door.open() for _ in range(4)]
    assert door.there() == {joined, *others[1:]}
    monkeypatch.setattr(newcomers, "JOIN_WITHIN_S", -1)
    door.part.look()
    assert door.there() == {joined}


class Unlooked(dict):
    """What nobody may go through: there may be thousands in it."""

    def __iter__(self):
        raise AssertionError("all of them are looked at")

    keys = values = items = __iter__


def test_those_that_have_joined_are_not_looked_at(door, monkeypatch):
    """Nor is anything of them kept; who leaves, or is refused, waits anew."""
    joined = [door.open(f"10.0.1.{number}") for number in range(20)]
    manager = door.server.manager
    sids = {eio_sid: manager.connect(eio_sid, NAMESPACE) for eio_sid in joined}
    waiting = door.open("10.0.0.9")
    door.part.look()
    assert set(door.part._address) == {waiting}
    monkeypatch.setattr(door.server.eio, "sockets", Unlooked(door.server.eio.sockets))
    door.part.look()
    monkeypatch.setattr(newcomers, "JOIN_WITHIN_S", -1)
    manager.disconnect(sids[joined[0]], NAMESPACE)
    assert set(door.part._address) == {waiting, joined[0]}
    door.server.eio.sockets[joined[1]].closing = True
    manager.disconnect(sids[joined[1]], NAMESPACE)
    assert set(door.part._address) == {waiting, joined[0]}
    door.part.look()
    assert not door.part._address
    assert joined[0] not in door.server.eio.sockets
    assert joined[2] in door.server.eio.sockets
