"""Many come at once: what that costs is bounded, and users miss nothing (realtime.md 4, ADR 23)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from socketio.packet import Packet

from tests.crowd import BOSS, fill
from tests.realtime.conftest import Audience, eventually
from tests.support import Caller, counting_commits
from tests.world import IMAGE
from v6srv import db
from v6srv.errors import DatabaseUnavailable, Unauthenticated
from v6srv.identity import tokens
from v6srv.identity.claims import Claims
from v6srv.realtime import check_in, managers, seats
from v6srv.realtime.check_in import CheckIn
from v6srv.service import presence

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("world"),
]
NODES, TOLD = 8, 3


@pytest.fixture
def study(app: Flask, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[int]]:
    """A collaboration with more nodes, `0/0` to `0/7`, than are told; its organizations."""
    monkeypatch.setattr(seats, "MOST_TOLD", TOLD)
    ((collab, orgs),) = fill(db.session.get_bind(), [NODES])
    db.session.remove()
    return collab, orgs


def test_users_are_told_of_every_node_and_only_some_nodes_of_each_other(
    listen: Audience, study: tuple[int, list[int]]
):
    room = f"collaboration_{study[0]}"
    user = listen("root")
    nodes = [listen(f"0/{n}") for n in range(NODES)]
    for node in nodes:
        user.wait("message", f"Node <{node.name}> joined room <{room}>")
        node.wait("message", f"Node <{node.name}> joined room <{room}>")
    assert len(user.named("node-online")) == NODES
    nodes[0].quiet()
    told = [len(node.named("node-online")) for node in nodes]
    assert told[0] == NODES - 1  # one of the first in the room
    assert sum(told) <= TOLD * NODES
    assert told[TOLD:] == [0] * (NODES - TOLD)
    for node in nodes[TOLD:]:  # what each hears of its own joining is not thinned
        assert len(node.named("message")) == 2


def test_a_node_that_is_not_told_who_comes_hears_everything_else(
    listen: Audience, call: Caller, study: tuple[int, list[int]]
):
    collab, orgs = study
    nodes = [listen(f"0/{n}") for n in range(NODES)]
    body = {
        "name": "t",
        "image": IMAGE,
        "collaboration_id": collab,
        "organizations": [{"id": id, "input": "e30="} for id in orgs],
    }
    task = call(BOSS, "POST", "/task", json=body)
    assert task.status_code == 201, task.json
    for node in nodes:
        node.wait("new_task", task.json["id"])


def test_users_are_told_of_every_node_that_goes(listen: Audience, study: tuple[int, list[int]]):
    user = listen("root")
    nodes = [listen(f"0/{n}") for n in range(NODES)]
    for node in nodes:
        node.close()
    eventually(lambda: len(user.named("node-offline")), NODES)
    left = [f"{node.name} left room collaboration_{study[0]}" for node in nodes]
    eventually(lambda: set(left) - set(user.named("message")), set())


def test_a_place_among_those_who_are_told_is_taken_by_who_comes_next(
    listen: Audience, study: tuple[int, list[int]]
):
    nodes = [listen(f"0/{n}") for n in range(TOLD)]
    user = listen("root")
    for node in nodes:
        node.close()
    eventually(lambda: len(user.named("node-offline")), TOLD)
    again = listen(f"0/{TOLD}")
    listen(f"0/{TOLD + 1}")
    again.wait("node-online")


# --- written down together


@pytest.fixture
def claims(app: Flask, call: Caller) -> Callable[[str], Claims]:
    """The claims of somebody's token."""

    def read(who: str) -> Claims:
        with app.app_context():
            return tokens.read_bearer(f"Bearer {call.token(who)}")

    return read


def together(app: Flask, comers: list[Claims]) -> tuple[list[Any], int]:
    """What becomes of those who come while the first waits, and how many transactions it took."""
    all_came = threading.Event()

    def wait_for_all(_seconds: float) -> None:
        while len(desk._waiting) < len(comers) and not all_came.wait(0.01):
            pass
        all_came.set()

    desk = CheckIn(wait_for_all)

    def enter(number: int) -> Any:
        with app.app_context():
            try:
                return desk.enter(f"sid {number}", comers[number])
            except (Unauthenticated, DatabaseUnavailable) as error:
                return error

    with counting_commits() as commits, ThreadPoolExecutor(len(comers)) as pool:
        found = list(pool.map(enter, range(len(comers))))
    return found, len(commits)


@pytest.mark.parametrize(("most", "transactions"), [(100, 1), (4, 3)])
def test_who_comes_at_once_is_written_down_in_few_transactions(
    app: Flask,
    claims: Callable[[str], Claims],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    transactions: int,
):
    monkeypatch.setattr(check_in, "AT_ONCE", most)
    node, user = claims("north_registry"), claims("viewer")
    found, commits = together(app, [node] * 7 + [user] * 5)
    assert commits == transactions
    assert [known.principal.name for known, _ in found] == ["north_registry"] * 7 + ["viewer"] * 5
    assert [card and card.id for _, card in found] == [node.account_id] * 7 + [None] * 5


def test_a_token_that_is_honoured_no_more_is_refused_among_others(
    app: Flask, claims: Callable[[str], Claims]
):
    node = claims("north_registry")
    ended, gone = replace(node, version=7, session_id=None), replace(node, account_id=99999)
    found, _ = together(app, [node, ended, gone, node])
    assert [isinstance(one, Unauthenticated) for one in found] == [False, True, True, False]


def test_nobody_is_let_in_who_could_not_be_written_down(
    app: Flask, claims: Callable[[str], Claims], monkeypatch: pytest.MonkeyPatch
):
    def away(_comers: Any) -> Any:
        raise DatabaseUnavailable("gone")

    node = claims("north_registry")
    monkeypatch.setattr(presence, "connected", away)
    found, _ = together(app, [node] * 3)
    assert [str(error) for error in found] == ["gone"] * 3


# --- told in turns


def test_others_get_a_turn_while_many_are_told_and_who_left_hears_nothing_more() -> None:
    manager, turns = managers.make(None, "secret"), []
    sids = [f"sid {n}" for n in range(3 * managers.TOLD_IN_A_TURN)]
    for sid in sids:
        manager.basic_enter_room(sid, "/tasks", None, eio_sid=f"transport of {sid}")
        manager.basic_enter_room(sid, "/tasks", "room")

    def turn(_seconds: float) -> None:
        turns.append(len(told))
        manager.basic_leave_room(sids[-1], "/tasks", "room")

    manager.set_server(SimpleNamespace(sleep=turn, packet_class=Packet))
    told: list[str] = []
    for sid, _ in manager.get_participants("/tasks", "room"):
        told.append(sid)
    assert told == sids[:-1]
    assert turns[:2] == [managers.TOLD_IN_A_TURN, 2 * managers.TOLD_IN_A_TURN]
