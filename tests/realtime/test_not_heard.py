"""What a process could not hear: told late and once, or its sockets begin anew."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
import socketio
from flask import Flask
from sqlalchemy import update

from tests.realtime.conftest import eventually
from tests.realtime.test_announcer import Installation, Process, age, rows, run_as
from tests.support import Caller
from tests.world import World
from v6srv.db import database_now, transaction
from v6srv.model import Outbox
from v6srv.realtime import announcer as module
from v6srv.realtime import managers
from v6srv.realtime.announcer import LOOK_AGAIN_S, Announcer
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.sealed import Sealed
from v6srv.realtime.server import _KEY
from v6srv.service import events
from v6srv.settings import KeptEvents

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

__all__ = ["run_as"]  # a fixture


class Here:
    """The announcer and the queue of this process, without their loops, and what its sockets hear.

    `now` goes on by itself, and as a test sets it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.later_s = 0.0
        clock = SimpleNamespace(monotonic=lambda: time.monotonic() + self.later_s)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(managers, "time", clock)
        monkeypatch.setattr(events, "time", clock)
        self.heard: list[Any] = []
        self.before: Callable[[Any], None] = lambda payload: None
        self.anew = 0
        self.queue = managers._Redis("redis://127.0.0.1:1", "channel", Sealed("of tests"))
        background = SimpleNamespace(
            event=lambda: SimpleNamespace(set=lambda: None), repeat=lambda *_, **__: None
        )
        server = SimpleNamespace(manager=self.queue)
        io = SimpleNamespace(server=server, emit=self.emit)
        self.announcer = Announcer(  # type: ignore[arg-type]
            io, background, self.begin_anew, KeptEvents()
        )
        self.announcer.start()
        tell = lambda _manager, message: self.emit("", *message["data"])  # noqa: E731
        monkeypatch.setattr(managers.PubSubManager, "_handle_emit", tell)

    def emit(self, _event: str, payload: Any, **_: Any) -> None:
        self.before(payload)
        self.heard.append(payload)

    def begin_anew(self) -> None:
        self.anew += 1

    def was_deaf(self, seconds: float) -> None:
        """It hears the queue again."""
        self.queue._deaf = True
        self.queue._heard_at = managers.time.monotonic() - seconds
        self.queue._hears()

    def hears(self, id: int) -> None:
        """Something comes through the queue."""
        message = self.queue.message("task_created", id, NAMESPACE, ["r"], id)
        self.queue._handle_emit(message)

    def look(self) -> None:
        self.announcer._catch_up()

    def look_again(self) -> None:
        """When it is time for the next look."""
        self.later_s += LOOK_AGAIN_S
        self.look()


@pytest.fixture
def here(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """This process."""
    found = Here(monkeypatch)
    yield found
    found.queue.close()


def put(*ids: int, process: str = "other", sent_ago_s: float | None = 0.0) -> None:
    """Events of another process, published or not."""
    sent_at = None if sent_ago_s is None else database_now(ago_s=sent_ago_s)
    with transaction() as sess:
        for id in ids:
            row = Outbox(id=id, process=process, event="task_created", payload=id, rooms=["r"])
            row.sent_at = sent_at
            sess.add(row)


def test_an_event_that_cannot_be_told_holds_up_no_other_and_is_told_later(here: Here) -> None:
    def break_once(payload: Any) -> None:
        if payload == 2:
            here.before = lambda payload: None
            raise ConnectionError("a socket is broken")

    here.before = break_once
    put(1, 2, 3)
    here.was_deaf(1)
    with pytest.raises(ConnectionError, match="1 events"):
        here.look()
    assert here.heard == [1, 3]
    here.look()
    assert here.heard == [1, 3, 2]
    here.look_again()
    assert here.heard == [1, 3, 2]


def test_what_comes_through_the_queue_and_cannot_be_told_is_told_later(here: Here) -> None:
    def break_once(payload: Any) -> None:
        here.before = lambda payload: None
        raise ConnectionError("a socket is broken")

    here.before = break_once
    put(1)
    with pytest.raises(ConnectionError):
        here.hears(1)
    here.look()
    assert here.heard == [1]


def test_a_database_that_is_away_while_catching_up_loses_nothing(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is away: what counts is since when the queue was not heard."""
    put(1)
    here.was_deaf(1)

    def away(since_s: float) -> list[Any]:
        raise OSError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(events, "missed", away)
        for _ in range(3):
            with pytest.raises(OSError, match="away"):
                here.look()
            here.later_s += managers.MARGIN_S
    with transaction() as sess:  # the clock of the database went on as well
        sess.execute(update(Outbox).values(sent_at=database_now(ago_s=3 * managers.MARGIN_S)))
    here.look()
    assert here.heard == [1]


def test_who_is_held_up_while_catching_up_misses_nothing(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a database that is slow: what counts is not when it answers."""
    margin_s = 0.2
    asked = events.is_forgotten

    def slowly(since: datetime) -> bool:
        found = asked(since)
        time.sleep(2 * margin_s)
        return found

    monkeypatch.setattr(managers, "MARGIN_S", margin_s)
    monkeypatch.setattr(events, "is_forgotten", slowly)
    put(1)
    here.was_deaf(0)
    here.look()
    assert here.heard == [1]


def test_a_shorter_deafness_while_catching_up_loses_nothing(here: Here) -> None:
    def deaf_again(payload: Any) -> None:
        if payload == 2:
            put(1)  # behind what is being read
            here.was_deaf(1)

    here.before = deaf_again
    put(2, 3)
    here.was_deaf(60)
    here.look()
    assert here.heard == [2, 3]
    here.look()
    assert here.heard == [2, 3, 1]


def test_the_longer_of_two_deafnesses_counts(here: Here) -> None:
    put(1, sent_ago_s=100)
    here.was_deaf(120)
    here.was_deaf(1)
    here.look()
    assert here.heard == [1]


def test_what_was_noted_late_is_found_when_it_looks_again(here: Here) -> None:
    put(1, 2)
    put(3, sent_ago_s=None)  # published, and not noted yet
    put(4, sent_ago_s=None)  # not published yet
    here.was_deaf(1)
    here.look()
    here.look()
    assert here.heard == [1, 2]
    events.note_sent([3])
    here.hears(4)
    events.note_sent([4])
    here.look()
    assert here.heard == [1, 2, 4]
    here.look_again()
    assert here.heard == [1, 2, 4, 3]
    put(5)
    here.look_again()  # there is no third
    assert here.heard == [1, 2, 4, 3]


def test_what_is_noted_however_late_is_found(here: Here) -> None:
    """Its process could not write for a while."""
    put(1, sent_ago_s=None)
    here.was_deaf(1)
    here.look()
    for _ in range(5):
        here.look_again()
    assert here.heard == []
    put(2)  # this one was heard
    here.hears(2)
    events.note_sent([1])
    here.look_again()
    assert here.heard == [2, 1]
    put(3)
    here.look_again()
    assert here.heard == [2, 1]


def test_more_than_is_read_at_once_is_told_in_order_and_once(here: Here) -> None:
    ids = list(range(1, 2 * events.CLAIM_AT_MOST + 2))
    put(*ids)
    here.was_deaf(1)
    here.look()
    assert here.heard == ids
    for id in ids:
        here.hears(id)
    here.look_again()
    assert here.heard == ids


def test_an_event_that_was_heard_and_is_taken_over_is_published_and_not_told_again(
    here: Here,
) -> None:
    put(1, process="dead", sent_ago_s=None)
    here.hears(1)  # it died before it noted that
    age()
    here.announcer._sweep()
    here.announcer._tell_sockets()
    assert here.heard == [1]
    assert [one.event_id for one in here.announcer._waiting] == [1]


def test_an_own_event_that_another_process_took_over_is_not_told_again(here: Here) -> None:
    put(1, process=events.process_id(), sent_ago_s=None)
    here.announcer.committed(events.unsent())
    here.announcer._tell_sockets()
    with transaction() as sess:
        sess.execute(update(Outbox).values(process="other", sent_at=database_now()))
    here.was_deaf(1)
    here.look()
    here.hears(1)
    assert here.heard == [1]


def test_sockets_begin_anew_only_if_something_may_be_lost(here: Here) -> None:
    kept = events.KEEP_SENT_S
    put(1, sent_ago_s=3 * kept)  # before
    put(2)  # when the queue was back
    here.was_deaf(2 * kept)
    here.look()
    assert (here.anew, here.heard) == (0, [2])
    put(3, sent_ago_s=1.5 * kept)
    here.was_deaf(2 * kept)
    here.look()
    here.look_again()
    assert (here.anew, here.heard) == (1, [2])


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_clients_come_back_when_sockets_begin_anew(
    app: Flask, world: World, url: str, call: Caller, transport: str
) -> None:
    """Also those that were told nothing else: a node stays away when it is told to go."""
    told: list[str] = []
    client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.3)
    for name in ("connect", "disconnect"):
        client.on(name, lambda *_, name=name: told.append(name), namespace=NAMESPACE)
    token = call.token("north_registry")
    client.connect(
        url,
        headers={"Authorization": f"Bearer {token}"},
        namespaces=[NAMESPACE],
        transports=[transport],
    )
    try:
        realtime = app.extensions[_KEY]
        eventually(lambda: [seat.settled for seat in realtime.seats.all()], [True])
        realtime.begin_anew()
        eventually(lambda: told, ["connect", "disconnect", "connect"])
        eventually(lambda: [seat.settled for seat in realtime.seats.all()], [True])
    finally:
        client.disconnect()


class Deaf(Installation):
    """Processes that cannot hear for a while."""

    def step(self, what: str) -> None:
        if what != "deaf or not":
            super().step(what)
            return
        one = self.chance.choice(self.alive)
        if one.hears:
            one.hears = False
            one.deaf_since = time.monotonic() - 1  # type: ignore[attr-defined]
        else:
            self.hear_again(one)

    def hear_again(self, one: Process) -> None:
        one.hears = True
        one.announcer._hears_again(one.deaf_since)  # type: ignore[attr-defined]
        self.run_as(one.name)
        one.step("_catch_up")
        for each in self.alive:
            each.step("_clean")
        if one.announcer._again_at < module._NEVER:
            one.announcer._again_at = 0.0
            one.step("_catch_up")


@pytest.mark.parametrize("seed", range(10))
def test_any_order_of_deafness_failures_and_crashes(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Each event once to each process that lives long enough."""
    monkeypatch.setattr(module, "MOST_WAITING", 6)
    monkeypatch.setattr(module, "PUBLISH_AT_ONCE", 3)
    all_of_it = Deaf(random.Random(seed), run_as)
    all_of_it.go_on("deaf or not", "deaf or not")
    for one in all_of_it.alive:
        if not one.hears:
            all_of_it.hear_again(one)
    all_of_it.settle()
    assert rows() == 0
    for one in all_of_it.alive:
        numbers = [number for _, number in one.heard]
        assert len(numbers) == len(set(numbers))
        assert set(range(one.made_at, all_of_it.number)) <= set(numbers), (seed, one.name)
