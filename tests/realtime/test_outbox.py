"""Events leave with the transaction that causes them, never without it, and none is lost."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from v6srv.db import database_now, session, transaction, utcnow, writing
from v6srv.model import Organization, Outbox, ServerProcess
from v6srv.service import events, past_events
from v6srv.service.events import Event
from v6srv.settings import KeptEvents

pytestmark = pytest.mark.usefixtures("app")

SHORT = KeptEvents(keep_hours=0.25, keep_at_most=1)


@pytest.fixture
def batches() -> Iterator[list[list[Event]]]:
    """What is handed over, commit by commit."""
    found: list[list[Event]] = []
    policy_changed = lambda: None  # noqa: E731 - both listeners must be the same objects later
    events.subscribe(found.append, policy_changed)
    yield found
    events.unsubscribe(found.append, policy_changed)


def rows() -> int:
    """What is still to be sent."""
    count = session.scalar(select(func.count()).where(Outbox.sent_at.is_(None)))
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


def server_process(name: str) -> ServerProcess:
    """The entry of a process that is there now."""
    return ServerProcess(
        process=name, key_digest="key", policy_digest="policy", seen_at=database_now()
    )


def owners() -> set[str]:
    """The processes that rows belong to."""
    try:
        return set(session.scalars(select(Outbox.process)))
    finally:
        session.remove()


def test_what_a_dead_process_left_is_taken_over_oldest_first():
    leave_behind("first", "second", "third")
    mine = events.take_over()
    assert [event.name for event in mine] == ["first", "second", "third"]
    assert mine[0].payload == {"n": 1}
    assert owners() == {events.process_id()}
    assert [event.name for event in events.unsent()] == ["first", "second", "third"]
    assert events.take_over(in_hand={event.id for event in mine}) == []
    events.note_sent([event.id for event in mine])
    assert rows() == 0


def test_what_a_process_wrote_is_its_own_while_it_is_seen():
    leave_behind("old", process="another")
    with writing():
        session.add(server_process("another"))
        session.commit()
    assert events.take_over() == []
    with writing():
        late = database_now(ago_s=events.TAKE_OVER_AFTER_S + 1)
        session.execute(update(ServerProcess).values(seen_at=late))
        session.commit()
    session.remove()
    assert [event.name for event in events.take_over()] == ["old"]


def test_young_rows_are_left_to_the_process_that_wrote_them():
    leave_behind("young", age_s=1)
    assert events.take_over() == []
    assert rows() == 1


def test_this_process_takes_over_its_own_rows_only_if_they_are_not_in_hand():
    queued, lost = leave_behind("queued", "lost", process=events.process_id())
    assert [event.id for event in events.take_over(in_hand={queued})] == [lost]


def test_old_events_are_dropped():
    """A kill of everything that a node runs must not hit what it runs now."""
    leave_behind("kill_containers", age_s=events.DROP_KILLS_AFTER_S + 1)
    leave_behind("new_task", age_s=events.DROP_KILLS_AFTER_S + 1)
    leave_behind("kill_containers", age_s=events.DROP_KILLS_AFTER_S - 60)
    leave_behind("status_update", age_s=events.DROP_AFTER_S + 1)
    with writing():
        kills = leave_behind("kill_containers", age_s=events.DROP_KILLS_AFTER_S + 1)
        session.execute(
            update(Outbox)
            .where(Outbox.id.in_(kills))
            .values(payload={"kill_list": [{"task_id": 1}]})
        )
        session.commit()
    session.remove()
    events.drop_unsent()
    assert [event.name for event in events.take_over()] == [
        "new_task",
        "kill_containers",
        "kill_containers",
    ]


def test_processes_that_take_over_at_once_get_every_event_once(monkeypatch: pytest.MonkeyPatch):
    expected = [f"event {n}" for n in range(200)]
    leave_behind(*expected)
    monkeypatch.setattr(events, "process_id", lambda: threading.current_thread().name)
    taken: list[str] = []
    start = threading.Barrier(4)

    def process() -> None:
        start.wait()
        taken.extend(event.name for event in events.take_over())

    threads = [threading.Thread(target=process) for _ in range(4)]
    with writing():
        session.add_all(server_process(thread.name) for thread in threads)
        session.commit()
    session.remove()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(expected)


def test_what_was_published_is_kept_for_who_could_not_hear_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with transaction() as sess:
        for id, process in ((1, "other"), (2, "other"), (3, events.process_id())):
            sess.add(Outbox(id=id, process=process, event=f"e{id}", payload={}, rooms=["r"]))
    events.note_sent([1, 3])
    assert [event.id for event in events.missed(ago(60))] == [1]  # 2 will be heard
    assert [event.id for event in events.unsent()] == []
    sent_ago(1, events.KEEP_SENT_S / 2)
    assert [event.id for event in events.missed(ago(60))] == []
    past_events.drop(SHORT)
    assert [event.id for event in events.missed(ago(events.KEEP_SENT_S))] == [1]
    events.note_sent([2])
    monkeypatch.setattr(events, "CLAIM_AT_MOST", 1)
    assert [event.id for event in events.missed(ago(events.KEEP_SENT_S))] == [1, 2]


def test_whether_something_published_may_be_gone_is_known() -> None:
    """The newest of what is too old stays, and says until when something is gone."""
    with transaction() as sess:
        for id in (1, 2, 3):
            sess.add(Outbox(id=id, process="other", event=f"e{id}", payload={}, rooms=["r"]))
            sess.execute(
                update(Outbox).values(created_at=database_now(ago_s=2 * events.DROP_AFTER_S))
            )
    kept = events.KEEP_SENT_S
    sent_ago(1, 4 * kept)
    sent_ago(2, 3 * kept)
    sent_ago(3, 1)
    assert events.is_forgotten(ago(5 * kept))
    past_events.drop(SHORT)
    assert [event.id for event in events.missed(ago(5 * kept))] == [2, 3]
    assert events.is_forgotten(ago(3.5 * kept))
    assert not events.is_forgotten(ago(2.5 * kept))
    past_events.drop(SHORT)
    assert [event.id for event in events.missed(ago(5 * kept))] == [2, 3]
    sent_ago(3, 2 * kept)
    past_events.drop(SHORT)
    assert [event.id for event in events.missed(ago(5 * kept))] == [3]


def ago(seconds: float) -> datetime:
    """By the clock of the database."""
    return events.by_the_database(time.monotonic() - seconds)


def sent_ago(id: int, seconds: float) -> None:
    """It was published so long ago."""
    with transaction() as sess:
        sent_at = database_now(ago_s=seconds)
        one = update(Outbox).where(Outbox.id == id)
        sess.execute(one.values(sent_at=sent_at, position=id))
