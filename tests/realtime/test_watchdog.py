"""Silent nodes, dead processes, broken transports: nobody stays online by mistake (realtime.md 5)."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, update

from tests.databases import Databases
from tests.realtime.conftest import Audience, eventually
from tests.support import Caller, open_app
from tests.world import World
from v6srv.db import database_now, session, utcnow, writing
from v6srv.identity import seen
from v6srv.model import Account, SocketConnection
from v6srv.realtime import server, watchdog
from v6srv.realtime.broadcast import NAMESPACE

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

PERIOD_S = 0.8
HEARTBEAT_S = 0.3


@pytest.fixture
def _opened(
    backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Flask, World | None]]:
    monkeypatch.setattr(watchdog, "HEARTBEAT_S", HEARTBEAT_S)
    monkeypatch.setattr(watchdog, "UNCONFIRMED_S", 3 * HEARTBEAT_S)
    with open_app(databases, backend, True, watchdog_s=PERIOD_S) as opened:
        yield opened


def silence(account_id: int, for_s: float | None) -> None:
    """Make it look as if nothing was heard of an account for so long, or ever."""
    seen = None if for_s is None else utcnow() - timedelta(seconds=for_s)
    with writing():
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(last_seen=seen)
            .execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()


def test_a_silent_node_goes_offline_once_and_a_ping_brings_it_back(
    listen: Audience, world: World, stored: Callable[..., Any]
):
    """S18: with an event. The socket is still there, and so is what the node shared."""
    root = listen("root")
    node = listen("south_trial")
    id = world.node.south_trial
    assert stored(Account, id).status == "online"
    card = {"id": id, "name": "south_trial", "org_id": world.org.south}
    root.wait("node-offline", card)
    assert stored(Account, id).status == "offline"
    time.sleep(2 * PERIOD_S)
    assert root.named("node-offline").count(card) == 1
    node.say("ping")
    eventually(lambda: stored(Account, id).status, "online")
    eventually(lambda: root.named("node-online").count(card), 2)  # sent after the commit
    root.wait_for(lambda _: root.named("node-offline").count(card) == 2, "another silence")


def test_a_node_of_which_nothing_is_known_counts_as_silent(
    listen: Audience, world: World, stored: Callable[..., Any]
):
    root = listen("root")
    silence(world.node.west_trial, None)
    card = {"id": world.node.west_trial, "name": "west_trial", "org_id": world.org.west}
    root.wait("node-offline", card)
    assert stored(Account, world.node.west_trial).status == "offline"


def test_users_are_never_timed_out(listen: Audience, world: World, stored: Callable[..., Any]):
    listen("viewer")
    silence(world.user.viewer, 3600)
    time.sleep(3 * PERIOD_S)
    assert stored(Account, world.user.viewer).status == "online"


def test_rest_requests_keep_a_node_online(
    listen: Audience,
    world: World,
    call: Caller,
    stored: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
):
    """Each is noted here; otherwise one in a minute is, and the watchdog waits for longer."""
    account, note = seen._table, seen.Seen.note
    always = update(account).where(account.c.id == bindparam("account"))
    monkeypatch.setattr(seen, "_statement", always.values(last_seen=database_now()))
    monkeypatch.setattr(
        seen.Seen, "note", lambda self, known: note(self, replace(known, last_seen=None))
    )
    listen("north_registry")
    until = time.monotonic() + 3 * PERIOD_S
    while time.monotonic() < until:
        call("north_registry", "GET", f"/node/{world.node.north_registry}")
        time.sleep(PERIOD_S / 4)
    assert stored(Account, world.node.north_registry).status == "online"


def dead_process_with(account_id: int) -> None:
    with writing():
        session.add(
            SocketConnection(
                sid=f"of the dead {account_id}",
                account_id=account_id,
                process="a process that is dead",
                seen_at=utcnow() - timedelta(seconds=1),
            )
        )
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(status="online", last_seen=utcnow() + timedelta(hours=1))
            .execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()


def test_the_sockets_of_a_dead_process_are_ended(
    listen: Audience, world: World, stored: Callable[..., Any]
):
    root = listen("root")
    dead_process_with(world.node.south_trial)
    dead_process_with(world.user.viewer)
    dead_process_with(world.user.root)
    card = {"id": world.node.south_trial, "name": "south_trial", "org_id": world.org.south}
    root.wait("node-offline", card)
    eventually(lambda: stored(Account, world.user.viewer).status, "offline")
    assert stored(Account, world.user.root).status == "online"  # it has a socket here


def test_live_sockets_are_confirmed(listen: Audience, world: World, stored: Callable[..., Any]):
    listen("viewer")
    time.sleep(6 * HEARTBEAT_S)
    assert stored(Account, world.user.viewer).status == "online"
    assert connections() == 1


def connections() -> int:
    try:
        return session.query(SocketConnection).count()
    finally:
        session.remove()


def test_a_lost_row_of_a_live_socket_is_written_again(
    listen: Audience, world: World, stored: Callable[..., Any]
):
    listen("viewer")
    with writing():
        session.query(SocketConnection).delete()
        session.execute(
            update(Account).values(status="offline").execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()
    eventually(lambda: (connections(), stored(Account, world.user.viewer).status), (1, "online"))


def test_a_transport_that_breaks_while_it_connects_is_found(
    app: Flask, listen: Audience, world: World, monkeypatch: pytest.MonkeyPatch, stored: Any
):
    """The library forgets to say so: without the heartbeat the user would stay online for ever."""
    from v6srv.service import presence

    connected = presence.connected
    user = listen.stranger("viewer", ["websocket"])

    def broken(comers: Mapping[str, int]) -> Any:
        (sid,) = comers
        io = app.extensions["socketio"].server
        io.eio.sockets[io.manager.eio_sid_from_sid(sid, NAMESPACE)].close(wait=False, abort=True)
        return connected(comers)

    monkeypatch.setattr(presence, "connected", broken)
    user.connect(listen.token("viewer"))
    eventually(lambda: stored(Account, world.user.viewer).status, "online")
    eventually(lambda: stored(Account, world.user.viewer).status, "offline")
    assert connections() == 0
    assert app.extensions[server._KEY].seats.all() == []
