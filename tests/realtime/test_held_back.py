"""What rooms are told waits until it is known who is in them, and keeps its order."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask

from tests.realtime.conftest import Audience, eventually
from tests.realtime.test_revocation import report
from tests.support import Caller
from tests.world import World
from v6srv.db import session
from v6srv.model import PolicyRevision
from v6srv.realtime import revocation
from v6srv.realtime.held_back import HeldBack
from v6srv.realtime.revocation import Revocation
from v6srv.realtime.server import _KEY, Realtime
from v6srv.service import rooms


class Told:
    """What came through, and what is to be run beside all else."""

    def __init__(self) -> None:
        self.said: list[int] = []
        self.beside: list[Callable[[], object]] = []
        self.held_back = HeldBack(self.beside.append)

    def tell(self, *numbers: int) -> None:
        for number in numbers:
            self.held_back.pass_on(partial(self.said.append, number))

    def go_on(self) -> None:
        """What was started beside runs."""
        while self.beside:
            self.beside.pop(0)()


def test_nothing_comes_through_while_it_holds_and_all_in_its_order_afterwards() -> None:
    it = Told()
    it.tell(1)
    it.held_back.hold()
    it.tell(2, 3)
    assert it.said == [1]
    it.held_back.release()
    it.tell(4)  # what came before has not been told yet
    assert it.said == [1]
    it.go_on()
    it.tell(5)
    assert it.said == [1, 2, 3, 4, 5]


def test_what_comes_while_the_last_one_is_being_told_comes_after_it() -> None:
    it = Told()
    it.held_back.hold()
    it.held_back.pass_on(lambda: (it.tell(2), it.said.append(1)))
    it.held_back.release()
    it.go_on()
    assert it.said == [1, 2]


def test_it_can_hold_again_while_it_tells_what_waited() -> None:
    it = Told()
    it.held_back.hold()
    it.held_back.pass_on(it.held_back.hold)
    it.tell(1, 2)
    it.held_back.release()
    it.go_on()
    assert it.said == []
    it.held_back.release()
    it.held_back.hold()
    it.held_back.release()  # once more before the first has begun: told by one of them only
    assert len(it.beside) == 1
    it.go_on()
    assert it.said == [1, 2]


def test_what_cannot_be_told_holds_up_nothing_else() -> None:
    def broken() -> None:
        raise ConnectionError("a socket is broken")

    it = Told()
    it.held_back.hold()
    it.held_back.pass_on(broken)
    it.tell(1)
    it.held_back.release()
    it.go_on()
    assert it.said == [1]


def test_what_waits_can_be_forgotten() -> None:
    it = Told()
    it.held_back.hold()
    it.tell(1)
    it.held_back.forget()
    it.held_back.release()
    it.tell(2)
    assert (it.said, it.beside) == ([2], [])


# --- as revocation uses it


def _at_rest(app: Flask) -> Revocation:
    """That of a server, once it has decided who came."""
    its: Revocation = app.extensions[_KEY].revocation
    eventually(lambda: its._seen is not None and not its._held_back.holds, True)
    return its


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_nobody_hears_anything_between_a_change_and_the_decision(
    listen: Audience, world: World, call: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the decision takes: who may not hear it does not, all others do."""
    user, node = listen("collab_admin"), listen("north_registry")
    _at_rest(app)
    allowed = rooms.allowed
    begun, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any) -> frozenset[str]:
        begun.set()
        assert go_on.wait(30)
        return allowed(*args)

    with monkeypatch.context() as patch:
        patch.setattr(rooms, "allowed", slowly)
        path = f"/user/{world.user.collab_admin}"
        assert call("root", "PATCH", path, json={"roles": []}).status_code == 200
        assert begun.wait(30)
        report(call, world)
        assert node.quiet() == []
        go_on.set()
        node.wait("status_update")
    assert user.named("status_update") == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_right_that_is_lost_during_a_long_review_is_decided_before_anything_is_told(
    listen: Audience, world: World, call: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That review knew nothing of it."""
    user, node = listen("collab_admin"), listen("north_registry")
    its = _at_rest(app)
    review = its.review
    decided, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        review()
        decided.set()
        assert go_on.wait(30)

    monkeypatch.setattr(revocation, "DECIDED_AT_MOST_S", 0.0)  # this one is too long
    monkeypatch.setattr(its, "review", slowly)
    its.again()
    assert decided.wait(30)
    path = f"/user/{world.user.collab_admin}"
    assert call("root", "PATCH", path, json={"roles": []}).status_code == 200
    report(call, world)
    go_on.set()
    node.wait("status_update")
    assert user.quiet() == []
    assert user.named("status_update") == []


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_changes_without_end_keep_nobody_from_hearing(
    listen: Audience, world: World, call: Caller, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long reviews take: every second one is told on."""
    node = listen("north_registry")
    its = _at_rest(app)
    review, reviews, go_on = its.review, [0], threading.Event()

    def while_all_changes() -> None:
        assert go_on.wait(30)
        review()
        reviews[0] += 1
        with session.get_bind().begin() as connection:  # type: ignore[union-attr]
            rows = PolicyRevision.__table__
            connection.execute(rows.update().values(members=PolicyRevision.members + 1))

    monkeypatch.setattr(revocation, "DECIDED_AT_MOST_S", 0.0)
    monkeypatch.setattr(its, "review", while_all_changes)
    its.again()
    eventually(lambda: its._held_back.holds, True)
    report(call, world)
    go_on.set()
    node.wait("status_update")
    assert reviews[0] >= 2


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_sockets_begin_anew_when_nobody_can_be_decided(
    listen: Audience, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what they are not told would grow for ever."""
    realtime: Realtime = app.extensions[_KEY]
    node = listen("north_registry")
    eventually(lambda: [seat.settled for seat in realtime.seats.all()], [True])

    def fail(_claims: Any) -> Any:
        raise ConnectionError("the database is slow")

    monkeypatch.setattr(revocation.principals, "load_all", fail)
    realtime.revocation.again()
    held_back = realtime.revocation._held_back
    eventually(lambda: held_back.holds, True)
    assert node.client.connected
    monkeypatch.setattr(revocation, "HOLD_AT_MOST_S", 0.0)
    node.wait("disconnect")
    eventually(lambda: held_back.holds, False)
