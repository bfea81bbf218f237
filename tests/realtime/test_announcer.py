"""Whatever fails in between: every event at least once, in order, and nothing grows (issue 8)."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from v6srv.db import database_now, session, writing
from v6srv.model import Outbox, ServerProcess
from v6srv.realtime import announcer as module
from v6srv.realtime import broadcast
from v6srv.realtime.announcer import Announcer
from v6srv.service import events
from v6srv.settings import KeptEvents

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

COLLABORATIONS = 3


class Queue:
    """A message queue that fails as it is told: `fails` says of each batch how much arrives."""

    def __init__(self) -> None:
        self.arrived: list[tuple[Any, str]] = []
        self.fails: Callable[[int], int | None] = lambda count: None
        self.is_ready = True
        self.away = False
        self.ids: dict[str, int] = {}
        self.told: set[int] = set()

    def ready(self) -> bool:
        return self.is_ready

    def message(
        self, event: str, payload: Any, namespace: str, rooms: Sequence[str], id: int
    ) -> Any:
        self.ids[str(payload)] = id
        return payload, rooms[0]

    def is_news(self, id: int) -> bool:
        if id in self.told:
            return False
        self.told.add(id)
        return True

    def forget(self, id: int) -> None:
        self.told.discard(id)

    def publish(self, messages: Sequence[Any]) -> bool:
        arrives = self.fails(len(messages))
        self.arrived += messages if arrives is None else messages[:arrives]
        return arrives is None

    def close(self) -> None:
        pass


class Process:
    """A server process without its loops: a test takes their steps."""

    def __init__(self, name: str, queue: Queue, heard: list[Any]) -> None:
        self.name = name
        self.queue = queue
        self.heard = heard
        self.made_at = 0
        background = SimpleNamespace(
            event=lambda: SimpleNamespace(set=lambda: None), repeat=lambda *_, **__: None
        )
        manager = SimpleNamespace(others=queue)
        io = SimpleNamespace(server=SimpleNamespace(manager=manager))
        io.emit = lambda _event, payload, **_: heard.append(payload)
        self.hears = True
        self.announcer = Announcer(  # type: ignore[arg-type]
            io, background, lambda: None, KeptEvents()
        )
        self.announcer.start()

    def commit(self, collaboration: int, *numbers: int) -> None:
        """A request that causes events."""
        events.subscribe(self.announcer.committed, lambda: None)
        try:
            with writing():
                for number in numbers:
                    room = f"collaboration_{collaboration}"
                    events.emit("task_created", [collaboration, number], [room])
                session.commit()
        finally:
            session.remove()
            events._event_listeners.clear()
            events._policy_listeners.clear()

    def step(self, name: str) -> None:
        getattr(self.announcer, name)()

    def settle(self) -> None:
        for name in ("_sweep", "_tell_sockets", "_tell_others", "_clean"):
            self.step(name)

    @property
    def in_memory(self) -> int:
        a = self.announcer
        return len(a._committed) + len(a._waiting) + len(a._sent) + len(a._in_hand)


def rows() -> int:
    """What is still to be sent."""
    try:
        return session.scalar(select(func.count()).where(Outbox.sent_at.is_(None))) or 0
    finally:
        session.remove()


def age() -> None:
    """Nobody has been seen, and nothing was written, for a while."""
    late = database_now(ago_s=events.TAKE_OVER_AFTER_S + 1)
    with writing():
        session.execute(update(Outbox).values(created_at=late))
        session.execute(update(ServerProcess).values(seen_at=late))
        session.commit()
    session.remove()


def is_seen(name: str) -> None:
    """A process says that it is there."""
    with writing():
        entry = ServerProcess(process=name, key_digest="key", policy_digest="policy")
        entry.seen_at = database_now()
        session.execute(delete(ServerProcess).where(ServerProcess.process == name))
        session.add(entry)
        session.commit()
    session.remove()


@pytest.fixture
def run_as(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Whose turn it is: the process that the database sees."""
    turn = {"name": "nobody"}
    monkeypatch.setattr(events, "process_id", lambda: turn["name"])
    return lambda name: turn.update(name=name)


def test_while_the_queue_is_away_events_wait_in_the_database_only(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 20)
    queue, heard = Queue(), []
    run_as("p")
    process = Process("p", queue, heard)
    queue.is_ready = False
    for number in range(300):
        process.commit(1, number)
        process.announcer._hand_over(("somebody came", number))
        for name in ("_tell_sockets", "_tell_others", "_clean"):
            process.step(name)
        assert process.in_memory <= 2 * module.MOST_WAITING + 2
    assert heard == [[1, number] for number in range(300)]  # its own sockets do not wait
    assert (queue.arrived, rows()) == ([], 300)
    queue.is_ready = True
    process.step("_tell_others")
    process.commit(1, 300)
    process.settle()
    numbers = [payload[1] for payload, room in queue.arrived if room == "collaboration_1"]
    assert numbers == list(range(301))
    came = [number for what, number in queue.arrived if what == "somebody came"]
    assert came == sorted(came)
    assert came[-1] == 299
    assert len(came) >= 10
    assert (rows(), process.in_memory) == (0, 0)


def test_what_the_queue_took_only_in_part_is_published_again_in_order(
    run_as: Callable[[str], None],
) -> None:
    queue, heard = Queue(), []
    run_as("p")
    process = Process("p", queue, heard)
    process.commit(1, *range(10))
    queue.fails = lambda count: 4
    process.step("_tell_sockets")
    process.step("_tell_others")
    assert rows() == 10
    queue.fails = lambda count: None
    process.commit(1, 10)
    process.settle()
    numbers = [payload[1] for payload, _ in queue.arrived]
    assert numbers == [*range(4), *range(11)]
    assert heard == [[1, number] for number in range(11)]
    assert rows() == 0


def test_a_socket_that_cannot_be_told_is_told_later_and_holds_up_no_other(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    run_as("p")
    heard: list[Any] = []
    process = Process("p", Queue(), heard)
    send_here = broadcast.send_here

    def broken(io: Any, event: str, payload: Any, rooms: Any) -> None:
        if payload == [1, 1]:
            raise ConnectionError("a socket is broken")
        send_here(io, event, payload, rooms)

    monkeypatch.setattr(broadcast, "send_here", broken)
    process.commit(1, 0, 1, 2)
    process.settle()
    process.settle()
    assert heard == [[1, 0], [1, 2]]
    assert "a socket is broken" in caplog.text
    assert "Traceback" not in caplog.text
    monkeypatch.setattr(broadcast, "send_here", send_here)
    process.settle()
    process.settle()
    assert (heard, rows()) == ([[1, 0], [1, 2], [1, 1]], 0)


def test_what_its_sockets_are_being_told_is_not_noted_as_sent(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have it by then; but if this process dies now, another one must find the row."""
    run_as("p")
    heard: list[Any] = []
    queue = Queue()
    process = Process("p", queue, heard)
    send_here, meanwhile = broadcast.send_here, []

    def slowly(io: Any, event: str, payload: Any, rooms: Any) -> None:
        process.step("_tell_others")
        process.step("_clean")
        meanwhile.append((len(queue.arrived), rows()))
        send_here(io, event, payload, rooms)

    monkeypatch.setattr(broadcast, "send_here", slowly)
    process.commit(1, 0)
    process.commit(1, 1)
    process.settle()
    assert meanwhile == [(1, 2), (2, 1)]
    assert (heard, rows(), process.in_memory) == ([[1, 0], [1, 1]], 0, 0)


def test_nothing_is_sent_inside_a_transaction(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that hangs must hold no lock: another connection can write meanwhile."""
    run_as("dead")
    Process("dead", Queue(), []).commit(1, 1, 2)
    age()
    run_as("p")
    heard: list[Any] = []
    queue = Queue()

    def write_meanwhile(_count: int) -> None:
        session.connection().exec_driver_sql("PRAGMA busy_timeout=0")
        is_seen(f"process {len(queue.arrived)}")

    queue.fails = write_meanwhile
    process = Process("p", queue, heard)
    process.settle()
    process.commit(1, 3)
    process.settle()
    assert [payload[1] for payload, _ in queue.arrived] == [1, 2, 3]


class Installation:
    """Two processes, one of them after the other replaced when it crashes; a queue between them."""

    def __init__(self, chance: random.Random, run_as: Callable[[str], None]) -> None:
        self.chance = chance
        self.run_as = run_as
        self.committed: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.number = self.made = 0
        self.alive = [self.process(), self.process()]

    def process(self) -> Process:
        self.made += 1
        name = f"p{self.made}"
        self.run_as(name)
        is_seen(name)
        queue = Queue()
        queue.fails = lambda n: self.chance.randint(0, n) if self.chance.random() < 0.3 else None
        process = Process(name, queue, [])
        process.made_at = self.number
        return process

    def commit(self, one: Process) -> None:
        collaboration = self.chance.randrange(COLLABORATIONS)
        numbers = [self.number + n for n in range(self.chance.randint(1, 3))]
        self.number += len(numbers)
        one.commit(collaboration, *numbers)
        self.committed[one.name, collaboration] += numbers

    def deliver(self) -> None:
        """What arrived in the queue goes to the sockets of the other processes."""
        for one in self.alive:
            for other in self.alive:
                if other is not one and other.hears:
                    for payload, _ in one.queue.arrived:
                        if other.queue.is_news(one.queue.ids[str(payload)]):
                            other.heard.append(payload)
            one.queue.arrived.clear()

    def pass_time(self) -> None:
        age()
        for one in self.alive:
            is_seen(one.name)

    def step(self, what: str) -> None:
        index = self.chance.randrange(2)
        one = self.alive[index]
        self.run_as(one.name)
        if what == "commit":
            self.commit(one)
        elif what == "crash":
            self.alive[index] = self.process()
        elif what == "queue goes or comes":
            one.queue.is_ready = not one.queue.is_ready
        elif what == "time passes":
            self.pass_time()
        else:
            one.step(what)
        self.deliver()

    def go_on(self, *more: str) -> None:
        """Many steps in any order; `more` can happen beside what always can."""
        steps = ["_tell_sockets", "_tell_others", "_tell_others", "_clean", "_sweep"]
        others = ["crash", "queue goes or comes", "time passes", *more]
        for _ in range(80):
            self.step(self.chance.choice(["commit"] * 4 + steps * 2 + others))

    def settle(self) -> None:
        for one in self.alive:
            one.queue.fails = lambda count: None
            one.queue.is_ready = True
        for _ in range(4):
            self.pass_time()
            for one in self.alive:
                self.run_as(one.name)
                one.settle()
                self.deliver()


@pytest.mark.parametrize("seed", range(15))
def test_any_order_of_failures_and_crashes(
    run_as: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """At least once, and the events of a process in their order in each collaboration."""
    monkeypatch.setattr(module, "MOST_WAITING", 6)
    monkeypatch.setattr(module, "PUBLISH_AT_ONCE", 3)
    all_of_it = Installation(random.Random(seed), run_as)
    all_of_it.go_on()
    all_of_it.settle()
    assert rows() == 0
    for one in all_of_it.alive:
        assert one.in_memory == 0
        first = list(dict.fromkeys(map(tuple, one.heard)))
        assert len(first) == len(one.heard)  # none twice, also what was taken over
        for (name, collaboration), numbers in all_of_it.committed.items():
            due = [number for number in numbers if number >= one.made_at]
            got = [n for c, n in first if c == collaboration and n in set(due)]
            assert got == due, (seed, one.name, name, collaboration)
