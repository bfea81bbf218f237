"""Who may send tasks to a node: what it said last holds until it says something else (ADR 10)."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from tests.api.test_policy_line_rest import add, line
from tests.databases import Databases
from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.support import Caller, open_app
from tests.world import World, average
from v6srv.db import database_now, session, writing
from v6srv.model import Account, SocketConnection
from v6srv.policy import ask
from v6srv.realtime import server, tasks_namespace, watchdog
from v6srv.service import events, presence

HEARTBEAT_S = 0.3


@pytest.fixture
def _opened(
    backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Flask, World | None]]:
    monkeypatch.setattr(watchdog, "HEARTBEAT_S", HEARTBEAT_S)
    with open_app(databases, backend, True) as opened:
        yield opened


@pytest.fixture
def start(call: Caller, world: World) -> Callable[[], int]:
    """The status code of `researcher`'s task for the node of `north`."""

    def post() -> int:
        body = average(world, "north")
        return call("researcher", "POST", "/task", json=body).status_code

    return post


@pytest.fixture
def shared(call: Caller, world: World) -> Callable[[], Any]:
    """What everybody can read of the configuration of that node."""

    def read() -> Any:
        answer = call("root", "GET", f"/node/{world.node.north_registry}")
        return sorted((row["key"], row["value"]) for row in answer.json["config"])

    return read


def share(node: Ear, shared: Callable[[], Any], **info: Any) -> None:
    node.say("node_info_update", info)
    values = {key: value if isinstance(value, list) else [value] for key, value in info.items()}
    expected = sorted((key, str(item)) for key, items in values.items() for item in items)
    eventually(shared, expected)


def status_of(id: int) -> str | None:
    try:
        return session.scalar(select(Account.status).where(Account.id == id))
    finally:
        session.remove()


def leave(node: Ear, id: int) -> None:
    node.close()
    eventually(lambda: status_of(id), "offline")


def test_a_node_that_goes_leaves_its_restrictions_in_force(
    listen: Audience, world: World, start: Callable[[], int], shared: Callable[[], Any]
) -> None:
    node = listen("north_registry")
    share(node, shared, allowed_users=["somebody"], allowed_algorithms="all")
    assert start() == 400
    leave(node, world.node.north_registry)
    assert shared() == []
    assert start() == 400
    again = listen("north_registry")  # it has not told anything yet
    assert shared() == []
    assert start() == 400
    share(again, shared, allowed_users=["somebody", "researcher"])
    assert start() == 201
    leave(again, world.node.north_registry)
    assert start() == 201
    share(listen("north_registry"), shared, allowed_algorithms="all")
    assert start() == 201


def test_a_node_that_never_told_restrictions_takes_tasks_wherever_it_is(
    listen: Audience, world: World, start: Callable[[], int], shared: Callable[[], Any]
) -> None:
    assert start() == 201
    node = listen("north_registry")
    assert start() == 201
    share(node, shared, encryption="yes")
    leave(node, world.node.north_registry)
    assert start() == 201


UNREADABLE = ["\x00", "x" * 5000]


@pytest.mark.parametrize("name", UNREADABLE)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_cannot_be_read_lifts_no_restriction(
    listen: Audience, start: Callable[[], int], shared: Callable[[], Any], name: str
) -> None:
    node = listen("north_registry")
    share(node, shared, allowed_users=["somebody"])
    node.say("node_info_update", {"allowed_users": [name]})
    node.client.call("ping", namespace="/tasks", timeout=5)  # behind it
    assert shared() == [("allowed_users", "somebody")]
    assert start() == 400


@pytest.mark.parametrize("said", [lambda info: info, lambda info: {"policies": info}])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_node_whose_restrictions_cannot_be_read_takes_no_tasks_of_users(
    listen: Audience,
    call: Caller,
    world: World,
    start: Callable[[], int],
    shared: Callable[[], Any],
    said: Callable[[Any], Any],
) -> None:
    node = listen("north_registry")
    node.say("node_info_update", {"encryption": "\x00"})
    node.client.call("ping", namespace="/tasks", timeout=5)
    assert start() == 201  # there is nothing about users in it
    node.say("node_info_update", said({"allowed_users": [str(n) for n in range(1001)]}))
    eventually(start, 400)
    assert shared() == [("encryption", "False")]  # as before: nothing of it is taken
    share(node, shared, allowed_users=["researcher"])
    assert start() == 201


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_node_that_may_not_share_its_restrictions_takes_no_tasks_of_users(
    listen: Audience, start: Callable[[], int], call: Caller
) -> None:
    """Nobody knows whom it would have named."""
    add(call, line("kind:node", "node", "edit", "meets(r.sub.changes, ('config',))"))
    node = listen("north_registry")
    assert start() == 201
    node.client.call("node_info_update", {"allowed_users": ["researcher"]}, "/tasks", timeout=5)
    eventually(start, 400)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_restrictions_of_a_node_that_shares_nothing_any_more_end_after_a_while(
    listen: Audience,
    world: World,
    start: Callable[[], int],
    shared: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = listen("north_registry")
    share(node, shared, allowed_users=["somebody"])
    leave(node, world.node.north_registry)
    again = listen("north_registry")
    again.client.call("ping", namespace="/tasks", timeout=5)
    assert start() == 400
    monkeypatch.setattr(tasks_namespace, "SHARES_WITHIN_S", 0)
    monkeypatch.setattr(tasks_namespace, "PING_AT_MOST_EVERY_S", 0)
    again.client.call("ping", namespace="/tasks", timeout=5)
    assert start() == 201


# --- a process that was cut off


def taken_for_dead(*ids: int) -> None:
    """What another process does that has not heard of this one for too long."""
    try:
        sids = select(SocketConnection.sid).where(SocketConnection.account_id.in_(ids))
        assert presence.disconnected(list(session.scalars(sids)))
    finally:
        session.remove()


def test_what_a_live_socket_shares_comes_back_with_it(
    listen: Audience,
    app: Flask,
    world: World,
    start: Callable[[], int],
    shared: Callable[[], Any],
) -> None:
    root, node = listen("root"), listen("north_registry")
    share(node, shared, allowed_users=["somebody"], allowed_algorithms="all")
    card = {"id": world.node.north_registry, "name": "north_registry", "org_id": world.org.north}
    root.wait("node-online", card)
    with writing():
        session.execute(update(Account).values(last_seen=database_now(ago_s=70)))
        session.commit()
    taken_for_dead(world.node.north_registry)
    assert start() == 400
    both = [("allowed_algorithms", "all"), ("allowed_users", "somebody")]
    eventually(shared, both)
    assert start() == 400
    root.wait_for(lambda _: root.named("node-online").count(card) == 2, "the node again")
    silent = {card.id for card in presence.time_out_nodes(65)}
    assert world.node.north_registry not in silent  # it was heard, and that is known again
    root.quiet()
    assert root.named("node-online").count(card) == 2
    assert root.named("node-offline") == []  # nobody announced that it went: it was not this one


def test_what_was_said_while_the_database_was_away_is_written_later(
    listen: Audience,
    world: World,
    shared: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(*_: Any) -> Any:
        raise OperationalError("SELECT 1", {}, Exception("the database is away"))

    node = listen("north_registry")
    id = world.node.north_registry
    for name in ("heartbeat", "share", "pinged"):
        monkeypatch.setattr(presence, name, away)
    with writing():
        session.execute(
            update(Account).values(status="offline").execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()
    node.say("node_info_update", {"allowed_users": ["somebody"]})
    node.client.call("ping", namespace="/tasks", timeout=5)
    assert (shared(), status_of(id)) == ([("encryption", "False")], "offline")
    monkeypatch.undo()
    eventually(shared, [("allowed_users", "somebody")])
    eventually(lambda: status_of(id), "online")


def test_what_another_socket_of_the_node_shared_since_is_not_overwritten(
    app: Flask, world: World, shared: Callable[[], Any]
) -> None:
    id = world.node.north_registry
    presence.connected({"at another process": id})
    with app.app_context():
        node = ask.principal(f"node:{id}")
        presence.share(
            app.extensions["authz"], node, [("allowed_users", "new")], "at another process"
        )
    mine = {"mine": presence.Live(id, shared=(("allowed_users", "old"),))}
    beat = presence.heartbeat(lambda: mine, set)
    assert (beat.back, beat.dead) == ((), ("at another process",))
    assert shared() == [("allowed_users", "new")]


# --- nobody is judged too early


def test_a_socket_that_was_confirmed_in_time_is_not_ended(world: World) -> None:
    presence.connected({"s": world.node.south_trial})
    assert presence.disconnected(["s"], unseen_s=60) == []
    assert status_of(world.node.south_trial) == "online"
    with writing():
        session.execute(update(SocketConnection).values(seen_at=database_now(ago_s=61)))
        session.commit()
    assert presence.stale_sockets(60) == ["s"]
    presence.heartbeat(lambda: {"s": presence.Live(world.node.south_trial)}, set)
    assert presence.disconnected(["s"], unseen_s=60) == []  # it was on the list a moment ago
    assert presence.disconnected(["s"])


def test_a_node_is_not_silent_while_its_process_may_be_cut_off(world: World) -> None:
    presence.connected({"s": world.node.south_trial})
    process = f"not {events.process_id()}"
    with writing():
        session.execute(update(Account).values(last_seen=database_now(ago_s=70)))
        late = database_now(ago_s=presence.LATE_S + 1)
        session.execute(update(SocketConnection).values(process=process, seen_at=late))
        session.commit()
    session.remove()
    assert world.node.south_trial not in {card.id for card in presence.time_out_nodes(65)}
    with writing():
        session.execute(update(SocketConnection).values(seen_at=database_now()))
        session.commit()
    session.remove()
    assert world.node.south_trial in {card.id for card in presence.time_out_nodes(65)}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_process_that_was_cut_off_itself_lets_the_others_report_first(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for all: the first that is back must not declare the others dead."""
    now = [1000.0]
    monkeypatch.setattr(watchdog, "time", SimpleNamespace(monotonic=lambda: now[0]))
    parts = app.extensions[server._KEY]
    dog = watchdog.Watchdog(app.extensions["socketio"], parts.seats, parts.departures, 65.0)
    judged: list[str] = []
    monkeypatch.setattr(presence, "stale_sockets", lambda _: judged.append("sockets") or [])
    monkeypatch.setattr(presence, "time_out_nodes", lambda _: judged.append("nodes") or [])

    def wait(seconds: float) -> None:
        now[0] += seconds
        dog.heartbeat()

    wait(15)
    dog.look_for_silent_nodes()
    assert judged == ["sockets", "nodes"]
    judged.clear()
    wait(70)  # heartbeats failed meanwhile
    wait(15)
    dog.look_for_silent_nodes()
    assert judged == []
    wait(15)
    assert judged == ["sockets"]
    wait(15)
    wait(15)
    wait(15)
    judged.clear()
    dog.look_for_silent_nodes()
    assert judged == ["nodes"]
