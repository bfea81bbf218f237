"""Counting sockets in the database, whoever counts at the same time (S17, S30)."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select

from tests.api.test_policy_line_rest import add, line
from tests.support import Caller, counting_commits
from tests.world import World
from v6srv.db import session
from v6srv.errors import Denied
from v6srv.model import Account, NodeConfig, SocketConnection
from v6srv.policy import ask
from v6srv.service import presence

pytestmark = pytest.mark.usefixtures("app")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The answers of calls that are made at the same time."""
    answers: list[Any] = []
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        answers.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def status(account_id: int) -> str | None:
    try:
        return session.scalar(select(Account.status).where(Account.id == account_id))
    finally:
        session.remove()


def test_sockets_that_close_at_once_take_the_node_offline_once(app: Flask, world: World):
    node_id = world.node.south_registry
    for n in range(8):
        presence.connected({f"s{n}": node_id})
    authz = app.extensions["authz"]
    presence.share(authz, ask.principal(f"node:{node_id}"), [("encryption", "1")], "s0")
    ends = [(lambda n=n: presence.disconnected([f"s{n}"])) for n in range(8)]
    cards = [card for cards in at_once(*ends) for card in cards]
    assert [card.id for card in cards] == [node_id]
    assert status(node_id) == "offline"
    config = select(func.count()).where(NodeConfig.node_id == node_id)
    assert session.scalar(config) == 0
    session.remove()


def test_a_socket_ends_once_whoever_ends_it(world: World):
    presence.connected({"s": world.node.south_registry})
    answers = at_once(*[lambda: presence.disconnected(["s"])] * 6)
    assert len([card for cards in answers for card in cards]) == 1


def test_many_sockets_leave_in_one_transaction_and_each_node_is_told_of_once(world: World):
    north, south, user = (
        world.node.north_registry,
        world.node.south_registry,
        world.user.viewer,
    )
    for sid, account_id in (("a", north), ("b", north), ("c", south), ("d", user), ("e", south)):
        presence.connected({sid: account_id})
    with counting_commits() as commits:
        cards = presence.disconnected(["a", "b", "c", "d", "nobody"])
    assert len(commits) == 1
    assert [card.id for card in cards] == [north]
    found = [status(account_id) for account_id in (north, user, south)]
    assert found == ["offline", "offline", "online"]  # one of the last has another socket


def test_a_node_that_comes_back_while_it_goes_is_online(world: World):
    node_id = world.node.south_registry
    for n in range(10):
        presence.connected({f"old{n}": node_id})
        at_once(
            lambda n=n: presence.disconnected([f"old{n}"]),
            lambda n=n: presence.connected({f"new{n}": node_id}),
        )
        assert status(node_id) == "online"
        presence.disconnected([f"new{n}"])
        assert status(node_id) == "offline"


def test_a_silent_node_is_announced_by_one_of_several_watchdogs(world: World):
    presence.connected({"s": world.node.south_registry})
    answers = at_once(*[lambda: presence.time_out_nodes(0)] * 5)
    ids = [card.id for cards in answers for card in cards]
    assert sorted(ids) == sorted(set(ids))
    assert world.node.south_registry in ids


def test_an_account_that_is_gone_gets_no_socket(world: World):
    here = world.node.south_registry
    assert set(presence.connected({"s": 99999, "t": here})) == {"t"}
    assert session.scalars(select(SocketConnection.sid)).all() == ["t"]
    session.remove()


def test_many_sockets_come_in_one_transaction(world: World):
    north, user = world.node.north_registry, world.user.viewer
    with counting_commits() as commits:
        cards = presence.connected({"a": north, "b": north, "c": user})
    assert len(commits) == 1
    assert [card and card.id for card in cards.values()] == [north, north, None]
    assert [status(account_id) for account_id in (north, user)] == ["online", "online"]


def test_nobody_shares_the_configuration_of_a_node_that_is_gone(app: Flask, world: World):
    gone = replace(ask.principal(f"node:{world.node.south_registry}"), account_id=99999)
    with pytest.raises(Denied):
        presence.share(app.extensions["authz"], gone, [("encryption", "1")], "s")


def test_a_node_shares_nothing_that_a_line_denies(app: Flask, world: World, call: Caller):
    add(call, line("kind:node", "node", "edit", "meets(r.sub.changes, ('config',))"))
    node = ask.principal(f"node:{world.node.south_registry}")
    session.remove()
    call("root", "GET", "/node")  # a request follows the policy
    with pytest.raises(Denied):
        presence.share(app.extensions["authz"], node, [("encryption", "1")], "s")
    assert session.scalar(select(func.count()).where(NodeConfig.node_id == node.account_id)) == 0
    session.remove()


def test_what_a_node_told_before_it_went_counts_as_told_by_one_that_went(app: Flask, world: World):
    """Its process wrote it down later: who may send tasks stays, the rest is on the wire no more."""
    id, authz = world.node.south_registry, app.extensions["authz"]
    presence.connected({"s": id})
    presence.disconnected(["s"])
    told = [("encryption", "1"), ("allowed_users", "somebody")]
    presence.share(authz, ask.principal(f"node:{id}"), told, "s")
    assert presence.pinged(id, "s") is None
    assert shared(id) == {("allowed_users", "somebody", False)}
    assert status(id) == "offline"
    presence.connected({"t": id})
    presence.share(authz, ask.principal(f"node:{id}"), [("allowed_users", "new")], "t")
    presence.share(authz, ask.principal(f"node:{id}"), told, "s")
    assert shared(id) == {("allowed_users", "new", True)}


def test_a_heartbeat_says_nothing_for_a_socket_that_has_gone_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    id = world.node.south_registry
    presence.connected({"s": id})
    untold = presence.Live(id, shared=(("encryption", "1"),), unsaved=frozenset({"share"}))

    renew = presence._renew

    def late(*of: Any) -> Any:
        session.execute(delete(SocketConnection))
        return renew(*of)

    monkeypatch.setattr(presence, "_renew", late)
    beat = presence.heartbeat(lambda: {"s": untold}, set)
    assert (beat.back, shared(id)) == ((), set())


def shared(node_id: int) -> set[tuple[str, str | None, bool]]:
    try:
        rows = session.scalars(select(NodeConfig).where(NodeConfig.node_id == node_id))
        return {(row.key, row.value, row.live) for row in rows}
    finally:
        session.remove()


def test_a_card_is_for_the_own_rooms_only(world: World):
    """S4."""
    card = presence.connected({"s": world.node.south_trial})["s"]
    assert card is not None
    whole = f"collaboration_{world.collab.trial}"
    assert card.rooms == [whole, f"{whole}_organization_{world.org.south}"]
    assert presence.connected({"u": world.user.viewer}) == {"u": None}


def test_a_node_without_a_name_is_announced_with_a_text() -> None:
    """realtime.md 4: `name` is a string; nodes taken over from 3.x may have lost theirs (Q-20)."""
    card = presence.NodeCard(7, None, 2, 3)
    assert card.payload == {"id": 7, "name": "", "org_id": 2}
