"""Mails that wait to be sent: rows, written in the transaction that causes them.

What goes to a program of a user instead waits here as well, and is sent by itself (`web_hooks`).

Every process looks for mails that are due, and takes one for itself for a while before it sends it.
A mail may arrive twice, if a process dies between sending and deleting it, but is never lost.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Update,
    and_,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, let_go, session, transaction
from v6srv.model import Mail, User
from v6srv.service.mail import PASSWORD_RESET, SECOND_FACTOR_RESET

TAKEN_FOR_S = 300.0
"""How long others leave a mail alone that somebody has taken: longer than sending can take."""
FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 900.0
GIVEN_UP_AFTER_S = 24 * 3600.0
"""Afterwards a mail is of no use any more: the lock is over, or the token asked for again."""
LATE_AFTER_S = 1800.0
"""By then a mail is out, unless something is wrong with the mail server."""
TOKENS_EVERY_S = 600.0
"""How long nobody gets another token by mail while the last one was not used."""

WEB_HOOK = "web_hook"
"""The kind of what goes to a program."""

_TOKENS = {
    PASSWORD_RESET: "password_mail_at",
    SECOND_FACTOR_RESET: "second_factor_mail_at",
}
"""Mails with a token, and the column that says when an account was last sent, or asked for, one."""

_UNSYNCHRONIZED = {"synchronize_session": False}
"""What is written here, nobody has read in the same transaction."""


@dataclass(frozen=True, slots=True)
class Due:
    """A mail that this process has taken."""

    id: int
    kind: str
    user_id: int
    details: dict[str, Any]
    attempts: int
    """This one included."""


def put(kind: str, user_id: int | None, **details: Any) -> None:
    """Send a mail of this kind to the user if the current transaction commits.

    Without a user it is written and taken back: what nobody has costs as much as what somebody has,
    and the time of an answer does not tell which account exists (Q-40).
    """
    session.execute(insert(Mail).values(kind=kind, user_id=user_id, details=details))
    _write(delete(Mail).where(Mail.user_id.is_(None)))


def put_token(kind: str, user_id: int) -> None:
    """Send a mail with a token, unless one went out lately that was not used, or one still waits.

    Who asks first gets it, in whichever process. `accounts.NOBODY` is never sent any.
    """
    asked_at = getattr(User, _TOKENS[kind])
    long_ago = or_(asked_at.is_(None), asked_at <= database_now(ago_s=TOKENS_EVERY_S))
    waits = exists().where(Mail.user_id == User.id, Mail.kind == kind)
    first = update(User).where(User.id == user_id, long_ago, ~waits)
    put(kind, user_id if _write(first.values({asked_at: database_now()})) else None)


def take(*, web_hooks: bool = False) -> Due | None:
    """The mail that has been due for longest, for this process alone; None when none is due."""
    due = and_(Mail.due_at <= database_now(), _of(web_hooks=web_hooks))
    there = session.scalar(select(Mail.id).where(due).limit(1))
    let_go()  # looking must not keep others from writing
    if there is None:
        return None
    with transaction():
        query = select(Mail).where(due).order_by(Mail.due_at, Mail.id).limit(1)
        mail = session.scalars(query.with_for_update(skip_locked=True)).one_or_none()
        if mail is None or mail.user_id is None:
            return None
        taken = Due(mail.id, mail.kind, mail.user_id, mail.details, mail.attempts + 1)
        mail.attempts = taken.attempts
        mail.due_at = database_now(ago_s=-TAKEN_FOR_S)
    return taken


def is_late() -> bool | None:
    """Whether the oldest mail waits for longer than it should; None when none does."""
    late = Mail.created_at < database_now(ago_s=LATE_AFTER_S)
    waiting = select(late).where(_of(web_hooks=False)).order_by(Mail.created_at)
    found: bool | None = session.scalar(waiting.limit(1))
    let_go()
    return found


def remove(mail: Due) -> None:
    """It will never be sent."""
    with transaction():
        _write(delete(Mail).where(Mail.id == mail.id))


def sent(mail: Due) -> None:
    """It is on its way. The next one with a token may be asked for some time after it."""
    with as_server(ServerWrite.RECOVERY), transaction():
        _write(delete(Mail).where(Mail.id == mail.id))
        if mail.kind in _TOKENS:
            asked_at = getattr(User, _TOKENS[mail.kind])
            _write(update(User).where(User.id == mail.user_id).values({asked_at: database_now()}))


def put_back(mail: Due) -> bool:
    """It could not be sent: try again later, and later each time; False when it is given up."""
    wait_s = min(FIRST_WAIT_S * 3 ** min(mail.attempts - 1, 10), LONGEST_WAIT_S)
    with transaction():
        given_up = _write(
            delete(Mail).where(
                Mail.id == mail.id, Mail.created_at < database_now(ago_s=GIVEN_UP_AFTER_S)
            )
        )
        _write(update(Mail).where(Mail.id == mail.id).values(due_at=database_now(ago_s=-wait_s)))
    return not given_up


def _of(*, web_hooks: bool) -> ColumnElement[bool]:
    return Mail.kind == WEB_HOOK if web_hooks else Mail.kind != WEB_HOOK


def waiting_for(user_id: int) -> Counter[int]:
    """How many requests to programs of this user have failed so far, by their notification."""
    failing = select(Mail.details).where(
        Mail.user_id == user_id, Mail.attempts > 0, _of(web_hooks=True)
    )
    return Counter(details["notification"] for details in session.scalars(failing))


def _write(statement: Update | Delete) -> int:
    """How many rows it changed."""
    done = session.execute(statement, execution_options=_UNSYNCHRONIZED)
    return done.rowcount  # type: ignore[attr-defined,no-any-return]
