"""Events leave with the transaction that causes them, never without it, and none is lost."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from v6srv.db import session, utcnow, writing
from v6srv.model import Organization, Outbox
from v6srv.service import events
from v6srv.service.events import Event

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def batches() -> Iterator[list[list[Event]]]:
    """What is handed over, commit by commit."""
    found: list[list[Event]] = []
    policy_changed = lambda: None  # noqa: E731 - both listeners must be the same objects later
    events.subscribe(found.append, policy_changed)
    yield found
    events.unsubscribe(found.append, policy_changed)


def rows() -> int:
    count = session.scalar(select(func.count()).select_from(Outbox))
    session.remove()
    return count or 0


def leave_behind(*names: str, age_s: float = 60, process: str = "dead") -> list[int]:
    """Rows as another process, by default, wrote them some time ago."""
    with writing():
        left = [
            Outbox(
                process=process,
                event=name,
                payload={"n": 1},
                rooms=["collaboration_1"],
                created_at=utcnow() - timedelta(seconds=age_s),
            )
            for name in names
        ]
        session.add_all(left)
        session.commit()
    ids = [row.id for row in left]
    session.remove()
    return ids


def test_events_are_handed_over_after_the_commit_in_the_order_they_were_emitted(batches: Any):
    with writing():
        events.emit("task_created", {"task_id": 1}, ["collaboration_1"])
        events.emit("new_task", 1, ["collaboration_1"])
        session.flush()
        assert batches == []
        session.commit()
    (batch,) = batches
    assert [(event.name, event.payload, event.rooms) for event in batch] == [
        ("task_created", {"task_id": 1}, ("collaboration_1",)),
        ("new_task", 1, ("collaboration_1",)),
    ]
    assert batch[0].id < batch[1].id
    assert rows() == 2


def test_a_refused_request_sends_nothing(batches: Any):
    with writing():
        events.emit("new_task", 1, ["collaboration_1"])
        session.flush()
        session.rollback()
        session.add(Organization(name="later"))
        session.commit()
    assert batches == []
    assert rows() == 0


def test_an_abandoned_session_sends_nothing(batches: Any):
    events.emit("new_task", 1, ["collaboration_1"])
    session.remove()
    with writing():
        session.add(Organization(name="later"))
        session.commit()
    assert batches == []
    assert rows() == 0


def test_an_undone_savepoint_takes_only_its_own_events_along(batches: Any):
    with writing():
        events.emit("kept", 1, ["collaboration_1"])
        savepoint = session.begin_nested()
        events.emit("undone", 2, ["collaboration_1"])
        session.flush()
        savepoint.rollback()
        with session.begin_nested():
            events.emit("also kept", 3, ["collaboration_1"])
        assert batches == []
        session.commit()
    assert [[event.name for event in batch] for batch in batches] == [["kept", "also kept"]]
    assert rows() == 2


def test_what_a_dead_process_left_is_sent_oldest_first_and_deleted():
    leave_behind("first", "second", "third")
    sent: list[Event] = []
    assert events.take_over(sent.append) == 3
    assert [event.name for event in sent] == ["first", "second", "third"]
    assert sent[0].payload == {"n": 1}
    assert rows() == 0


def test_young_rows_are_left_to_the_process_that_wrote_them():
    leave_behind("young", age_s=1)
    sent: list[Event] = []
    assert events.take_over(sent.append) == 0
    assert sent == []
    assert rows() == 1


def test_this_process_takes_over_its_own_rows_only_if_they_are_not_in_hand():
    queued, lost = leave_behind("queued", "lost", process=events.process_id())
    sent: list[Event] = []
    events.take_over(sent.append, in_hand={queued})
    assert [event.id for event in sent] == [lost]
    assert rows() == 1


def test_an_event_that_cannot_be_sent_stays_and_holds_up_no_other():
    leave_behind("broken", "fine")
    sent: list[str] = []

    def send(event: Event) -> None:
        if event.name == "broken":
            raise ConnectionError
        sent.append(event.name)

    events.take_over(send)
    assert sent == ["fine"]
    assert rows() == 1


def test_yesterdays_events_are_dropped():
    """A kill of everything that a node runs must not hit what it runs now."""
    leave_behind("kill_containers", age_s=events.DROP_AFTER_S + 1)
    sent: list[Event] = []
    events.take_over(sent.append)
    assert sent == []
    assert rows() == 0


def test_two_processes_that_take_over_at_once_send_everything_once():
    expected = [f"event {n}" for n in range(200)]
    leave_behind(*expected)
    sent: list[str] = []
    start = threading.Barrier(4)

    def process() -> None:
        start.wait()
        events.take_over(lambda event: sent.append(event.name))

    threads = [threading.Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(sent) == sorted(expected)
    assert rows() == 0
