"""Events that were sent, for those who were away (docs/adr/0025-what-was-sent-meanwhile.md).

Who may be in one of the rooms of an event now, may read it. A cursor is the place of the last
event that was looked at; what is committed and not noted as sent yet has no place, is told all the
same, and is told again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, union_all
from sqlalchemy.orm import Session

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import database_now, session
from v6srv.model import Outbox
from v6srv.service import rooms, run_logs
from v6srv.service.events import KEEP_SENT_S, READ_WITHIN_S, own_session
from v6srv.settings import KeptEvents

LOOKED_AT = 1000
"""Events that one page looks at, whoever they are for."""
DELETED_AT_ONCE = 1000
LINES_FOR_HOURS = 24.0
"""So long what algorithms print is among the events, whatever the settings say: the logs themselves
may be deleted a day after a run has ended."""


@dataclass(frozen=True, slots=True)
class PastEvent:
    """An event as it is stored; `id` tells it from all others."""

    id: int
    time: datetime
    name: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what somebody missed, oldest first."""

    data: list[PastEvent]
    next: int
    """The cursor of what follows."""
    more: bool
    """Something follows now."""
    complete: bool
    """Nothing between what was asked for and this page has been deleted."""


def page(authz: Authorizer, who: Principal, since: int | datetime) -> Page:
    """What the sockets of `who` heard, or would have, after a cursor or from a time on."""
    asked = since if isinstance(since, int) else _before(session(), since)
    last = session.scalar(select(func.max(Outbox.position))) or 0
    after = asked if asked <= last else 0  # a cursor of another database, as before a restore
    settled, coming = _after(after)
    first = session.scalar(select(func.min(Outbox.position))) or 1
    is_full = len(settled) == LOOKED_AT
    return Page(
        data=_heard(authz, who, settled if is_full else [*settled, *coming[:LOOKED_AT]]),
        next=settled[-1].position if settled else after,
        more=is_full,
        complete=first - 1 <= asked <= last and len(coming) <= LOOKED_AT,
    )


def _after(place: int) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """What follows a place, and what has no place yet, in one look: nothing is between them."""
    row = select(
        *(Outbox.id, Outbox.position, Outbox.created_at, Outbox.event, Outbox.payload),
        Outbox.rooms,
    )
    settled = row.where(Outbox.position > place).order_by(Outbox.position).limit(LOOKED_AT)
    coming = row.where(Outbox.sent_at.is_(None)).order_by(Outbox.id).limit(LOOKED_AT + 1)
    both = union_all(*(select(part.subquery()) for part in (settled, coming)))
    found = session.execute(both).all()
    return (
        sorted((row for row in found if row.position), key=lambda row: row.position),
        sorted((row for row in found if not row.position), key=lambda row: row.id),
    )


def _heard(authz: Authorizer, who: Principal, rows: Iterable[Row[Any]]) -> list[PastEvent]:
    mine = rooms.allowed(authz, who)
    told = [row for row in rows if not mine.isdisjoint(row.rooms)]
    runs = {row.payload["result_id"] for row in told if row.event == run_logs.EVENT}
    readable = run_logs.readable(authz, who, runs)
    return [
        PastEvent(row.id, row.created_at, row.event, row.payload)
        for row in told
        if row.event != run_logs.EVENT or row.payload["result_id"] in readable
    ]


def drop(keep: KeptEvents) -> None:
    """Delete what was sent too long ago, or is too much; the newest of that stays.

    By what stays it is known until where something is missing.
    """
    if keep.keep_hours > LINES_FOR_HOURS:
        _drop_lines()
    with own_session() as own:
        by_age = _before(own, database_now(ago_s=keep.keep_hours * 3600))
        by_number = (own.scalar(select(func.max(Outbox.position))) or 0) - keep.keep_at_most
        needed = _before(own, database_now(ago_s=KEEP_SENT_S + READ_WITHIN_S))
    old = select(Outbox.id).where(Outbox.position < min(max(by_age, by_number), needed))
    batch = old.order_by(Outbox.position).limit(DELETED_AT_ONCE)
    is_more = True
    while is_more:
        with own_session() as own:
            ids = own.scalars(batch).all()
            own.execute(delete(Outbox).where(Outbox.id.in_(ids)))
        is_more = len(ids) == DELETED_AT_ONCE


def _drop_lines() -> None:
    """What algorithms have printed; who asks for events finds it in the logs."""
    newest = select(func.max(Outbox.position)).scalar_subquery()
    old = Outbox.sent_at < database_now(ago_s=LINES_FOR_HOURS * 3600)
    with own_session() as own:
        lines = Outbox.event == run_logs.EVENT, old, Outbox.position < newest
        own.execute(delete(Outbox).where(*lines))


def _before(sess: Session, time: Any) -> int:
    """The place of the newest event that was sent before a time; 0 if none is known."""
    sent = select(Outbox.position).where(Outbox.sent_at < time)
    newest = sent.order_by(Outbox.sent_at.desc(), Outbox.position.desc()).limit(1)
    return sess.scalar(newest) or 0
