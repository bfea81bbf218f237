"""Events for sockets: written in the transaction that causes them, sent once it is committed.

A row of the outbox is the promise that an event goes out. The process that wrote it sends it from
memory, right after the commit, and deletes the row; if it dies first, another one finds the row.
"""

import logging
import os
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, event, inspect, select
from sqlalchemy.orm import Session

from v6srv.db import database_now, session, writing
from v6srv.model import Outbox

log = logging.getLogger(__name__)

TAKE_OVER_AFTER_S = 10.0
"""Age at which a row counts as left behind."""
DROP_AFTER_S = 3600.0
"""Age at which an event does harm rather than good: a late "kill all" would hit new tasks."""
CLAIM_AT_MOST = 500

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

    `payload` is anything JSON can say; every member of the rooms may see it.
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


def delete_sent(ids: Collection[int]) -> None:
    """Delete what has been sent. Its own transaction: it belongs to no request."""
    with _own_session() as own:
        own.execute(delete(Outbox).where(Outbox.id.in_(ids)))
        own.commit()


def take_over(
    send: Callable[[Event], None],
    in_hand: Container[int] = (),
) -> int:
    """Send what nobody sent, oldest first, and delete it; returns how many rows are gone.

    At most `CLAIM_AT_MOST` at a time. Other processes that look meanwhile do not see them. Rows of
    this process are left out while their id is `in_hand`. An event for which `send` raises stays;
    one older than `DROP_AFTER_S` is deleted unsent.
    """
    too_old = Outbox.created_at < database_now(ago_s=DROP_AFTER_S)
    query = (
        select(Outbox, too_old)
        .where(Outbox.created_at < database_now(ago_s=TAKE_OVER_AFTER_S))
        .order_by(Outbox.id)
        .limit(CLAIM_AT_MOST)
        .with_for_update(skip_locked=True)
    )
    sent, dropped = [], []
    with _own_session() as own:
        for row, is_too_old in own.execute(query).all():
            if row.process == process_id() and row.id in in_hand:
                continue
            if is_too_old:
                dropped.append(row.id)
            elif _try(send, Event(row.id, row.event, row.payload, tuple(row.rooms))):
                sent.append(row.id)
        if sent or dropped:
            own.execute(delete(Outbox).where(Outbox.id.in_([*sent, *dropped])))
        own.commit()
    if sent or dropped:
        log.warning("left behind: %d events sent, %d too old", len(sent), len(dropped))
    return len(sent) + len(dropped)


def _try(send: Callable[[Event], None], event: Event) -> bool:
    try:
        send(event)
    except Exception:  # the others must not wait for this one
        log.exception("event %d (%s) was not sent", event.id, event.name)
        return False
    return True


@contextmanager
def _own_session() -> Iterator[Session]:
    # Not the scoped session: sending may end a dead socket, whose handler uses that one.
    with writing(), session.session_factory() as own:
        yield own
