"""Events for sockets: written in the transaction that causes them, sent once it is committed.

A row of the outbox is the promise that an event goes out. It belongs to a process: the one that
wrote it sends it from memory, right after the commit, and notes that. The row stays, for other
processes that could not hear it (docs/adr/0021-what-was-not-heard.md) and for users and nodes that
were away (`past_events`). While the message queue is away the row is all there is. If the process
dies before that note, another makes the row its own.

Each step is a short transaction; nothing is sent inside of one.
"""

import logging
import os
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import CursorResult, Select, delete, event, func, inspect, or_, select, update
from sqlalchemy.orm import Session

from v6srv.db import database_now, session, transaction, wait_for_others
from v6srv.model import Outbox, ServerProcess

log = logging.getLogger(__name__)

TAKE_OVER_AFTER_S = 15.0
"""Time without a sign of a process (`service.agreement`) after which others send its events."""
DROP_AFTER_S = 24 * 3600.0
"""Age at which nobody waits for an event any more."""
DROP_KILLS_AFTER_S = 3600.0
"""Age at which "kill all that runs on this node" would hit new tasks."""
CLAIM_AT_MOST = 500
KEEP_SENT_S = 600.0
"""A process that could not hear for longer has its sockets begin anew if it missed something."""
READ_WITHIN_S = 60.0
"""What was sent is kept for at least so much longer, to be read by who could hear just in time."""
_LOCK = 0x7636_7374
"""Key of the PostgreSQL advisory lock of places; other things have their own."""

_PENDING = "v6srv_events"
_POLICY_CHANGED = "policy_changed"
"""Key of `session.info` that `authz.store` sets together with a new policy revision."""


@dataclass(frozen=True, slots=True)
class Event:
    """A committed event; `id` orders the events of a process."""

    id: int
    name: str
    payload: Any
    rooms: tuple[str, ...]


EventsListener = Callable[[list[Event]], None]
PolicyListener = Callable[[], None]
_event_listeners: list[EventsListener] = []
_policy_listeners: list[PolicyListener] = []
_process = str(uuid4())


def process_id() -> str:
    """The name of this process in the database. A forked child has its own."""
    return _process


def _new_process() -> None:
    global _process
    _process = str(uuid4())


os.register_at_fork(after_in_child=_new_process)


def collaboration_room(collaboration_id: int) -> str:
    """The nodes of a collaboration, and the users that may hear all of it."""
    return f"collaboration_{collaboration_id}"


def organization_room(collaboration_id: int, organization_id: int) -> str:
    """One organization's nodes in a collaboration, and the users that may hear those only."""
    return f"collaboration_{collaboration_id}_organization_{organization_id}"


def rooms_concerned(collaboration_id: int, *organization_ids: int | None) -> list[str]:
    """The whole collaboration, and those that hear only one of these organizations (S24).

    A socket that is in several of the rooms gets the event once.
    """
    concerned = sorted({o for o in organization_ids if o is not None})
    return [
        collaboration_room(collaboration_id),
        *(organization_room(collaboration_id, o) for o in concerned),
    ]


def emit(event: str, payload: Any, rooms: Iterable[str]) -> None:
    """Send an event to everybody in any of `rooms`, once, if the current transaction commits.

    `payload` is anything JSON can say; every member of the rooms may see it. `wire.socket_events`
    says what each dialect is told of it.
    """
    row = Outbox(process=process_id(), event=event, payload=payload, rooms=list(rooms))
    session.add(row)
    session.info.setdefault(_PENDING, []).append(row)


def subscribe(on_events: EventsListener, on_policy_change: PolicyListener) -> None:
    """Hear of what this process commits: events, in the order of their ids, and policy changes.

    Both are called in the thread that committed: they must be quick, and not use the session.
    """
    _event_listeners.append(on_events)
    _policy_listeners.append(on_policy_change)


def unsubscribe(on_events: EventsListener, on_policy_change: PolicyListener) -> None:
    """Undo `subscribe`."""
    _event_listeners.remove(on_events)
    _policy_listeners.remove(on_policy_change)


@event.listens_for(session, "after_commit")
def _hand_over(sess: Session) -> None:
    if sess.in_nested_transaction():  # a savepoint: nothing is certain yet
        return
    rows = sess.info.pop(_PENDING, [])
    # What was added inside a savepoint that was rolled back is no longer in the session.
    batch = [
        Event(inspect(row).identity[0], row.event, row.payload, tuple(row.rooms))
        for row in rows
        if row in sess
    ]
    if batch:
        for on_events in list(_event_listeners):
            on_events(batch)
    if sess.info.pop(_POLICY_CHANGED, False):
        for on_policy_change in list(_policy_listeners):
            on_policy_change()


@event.listens_for(session, "after_rollback")
def _forget(sess: Session) -> None:
    if not sess.in_nested_transaction():
        sess.info.pop(_PENDING, None)
        sess.info.pop(_POLICY_CHANGED, None)


# --- what is still to be sent


def note_sent(ids: Collection[int]) -> None:
    """Note that this has been sent. Its own transaction: it belongs to no request."""
    with own_session() as own:
        _give_places(own, ids)


def _give_places(own: Session, ids: Collection[int]) -> None:
    """They are behind all that anybody can have seen: until they are committed, others wait."""
    new = select(Outbox.id, func.row_number().over(order_by=Outbox.id).label("nth"))
    batch = new.where(Outbox.id.in_(ids), Outbox.sent_at.is_(None)).subquery()
    wait_for_others(own, _LOCK)
    last = own.scalar(select(func.max(Outbox.position))) or min(ids) - 1
    places = update(Outbox).where(Outbox.id == batch.c.id)
    _rows(own, places.values(position=last + batch.c.nth, sent_at=database_now()))


def by_the_database(moment: float) -> datetime:
    """What its clock said at a moment (monotonic) of this process, or earlier: who is held up
    afterwards, or while it asks, does not come out later."""
    with own_session() as own:
        now: datetime = own.scalars(select(database_now())).one()
        return now - timedelta(seconds=time.monotonic() - moment)


def missed(since: datetime) -> Iterator[Event]:
    """What other processes have published since; oldest first, some rows at a time.

    For a process that could not hear it. What is not published yet it will hear.
    """
    last = 0
    while True:
        others = Outbox.process != process_id()
        rows = select(Outbox).where(others, Outbox.sent_at >= since, Outbox.id > last)
        with own_session() as own:
            batch = _read(own, rows, CLAIM_AT_MOST)
        yield from batch
        if len(batch) < CLAIM_AT_MOST:
            return
        last = batch[-1].id


def under_way(up_to: int) -> int | None:
    """The newest event up to this id of which another process has not noted yet that it published
    it; None: there is none."""
    theirs = Outbox.process != process_id(), Outbox.sent_at.is_(None), Outbox.id <= up_to
    with own_session() as own:
        return own.scalar(select(func.max(Outbox.id)).where(*theirs))


def is_forgotten(since: datetime) -> bool:
    """Whether something that was published since may have been deleted.

    `past_events.drop` leaves the newest row of those that are too old: if that is older than asked
    for, so was all that was deleted.
    """
    with own_session() as own:
        old = Outbox.sent_at < database_now(ago_s=KEEP_SENT_S)
        found = select(Outbox.id).where(Outbox.sent_at >= since, old)
        return own.scalar(found.limit(1)) is not None


def unsent(at_most: int = CLAIM_AT_MOST) -> list[Event]:
    """The oldest events that this process has to send and that are still in the database."""
    with own_session() as own:
        mine = select(Outbox).where(Outbox.process == process_id(), Outbox.sent_at.is_(None))
        return _read(own, mine, at_most)


def take_over(in_hand: Container[int] = (), at_most: int = CLAIM_AT_MOST) -> list[Event]:
    """Make events of processes that are gone those of this one, and return them, oldest first.

    Of several processes that do this at once only one gets each event. Events of this process are
    among them unless their id is `in_hand`: they are still to be sent, and nobody remembers them.
    """
    here = select(ServerProcess.process).where(
        ServerProcess.seen_at >= database_now(ago_s=TAKE_OVER_AFTER_S)
    )
    left = select(Outbox).where(
        Outbox.created_at < database_now(ago_s=TAKE_OVER_AFTER_S),
        Outbox.sent_at.is_(None),
        or_(Outbox.process == process_id(), Outbox.process.not_in(here)),
    )
    with own_session() as own:
        found = _read(own, left.with_for_update(skip_locked=True), at_most)
        mine = [event for event in found if event.id not in in_hand]
        if mine:
            ids = [event.id for event in mine]
            _rows(own, update(Outbox).where(Outbox.id.in_(ids)).values(process=process_id()))
            log.warning("%d events were left behind: this process sends them", len(mine))
    return mine


def drop_unsent() -> None:
    """Delete what was not sent and does harm rather than good by now."""
    with own_session() as own:
        old = Outbox.created_at < database_now(ago_s=DROP_AFTER_S)
        dropped = _rows(own, delete(Outbox).where(old, Outbox.sent_at.is_(None)))
        late = Outbox.created_at < database_now(ago_s=DROP_KILLS_AFTER_S)
        kills = select(Outbox).where(
            late, Outbox.sent_at.is_(None), Outbox.event == "kill_containers"
        )
        for row in own.scalars(kills).all():
            if not (isinstance(row.payload, dict) and row.payload.get("kill_list")):
                own.delete(row)
                dropped += 1
    if dropped:
        log.error("%d events could not be sent in time and were dropped", dropped)


def _read(own: Session, query: Select[Outbox], at_most: int) -> list[Event]:
    rows = own.scalars(query.order_by(Outbox.id).limit(at_most)).all()
    return [Event(row.id, row.event, row.payload, tuple(row.rooms)) for row in rows]


def _rows(own: Session, statement: Any) -> int:
    result = own.execute(statement, execution_options={"synchronize_session": False})
    assert isinstance(result, CursorResult)
    return result.rowcount


@contextmanager
def own_session() -> Iterator[Session]:
    """A transaction that belongs to no request."""
    # Not the scoped session: sending may end a dead socket, whose handler uses that one.
    with session.session_factory() as own, transaction(own):
        yield own
