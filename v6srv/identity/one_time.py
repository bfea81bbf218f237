"""Passwords that let somebody in once: for programs that know passwords only.

Who has come in through the identity provider is given one, and gives it to such a program instead
of the password. It is found by its digest, ends in minutes and with the tokens of its account, and
the next one takes its place.
"""

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import CursorResult, delete, or_, select

from v6srv.db import session, utcnow
from v6srv.model import OneTimePassword, User
from v6srv.service import accounts
from v6srv.service.clock_jumps import ONE_TIME_S

_PREFIX = "once-"


def issue(user: User) -> str:
    """A new one for a user, in the transaction of the caller."""
    password = _PREFIX + secrets.token_urlsafe(32)
    now = utcnow()
    useless = or_(OneTimePassword.user_id == user.id, OneTimePassword.ends_at < now)
    session.execute(delete(OneTimePassword).where(useless))
    session.add(
        OneTimePassword(
            digest=_digest(password),
            user_id=user.id,
            version=user.token_version,
            ends_at=now + timedelta(seconds=ONE_TIME_S),
        )
    )
    return password


def is_one(password: str) -> bool:
    """Whether there is such a one, whomever it is for. Only reads: anybody can ask."""
    if not password.startswith(_PREFIX):
        return False
    there = select(OneTimePassword.user_id).where(OneTimePassword.digest == _digest(password))
    return session.scalar(there) is not None


def redeem(username: str, password: str) -> User | None:
    """The user of this name whom it lets in, this once; in the transaction of the caller."""
    is_it = OneTimePassword.digest == _digest(password)
    good = (
        select(User.id)
        .join(OneTimePassword, OneTimePassword.user_id == User.id)
        .where(is_it, OneTimePassword.ends_at > utcnow(), User.username == username)
        .where(OneTimePassword.version == User.token_version)
    )
    id = session.scalar(good)
    if id is None:
        return None
    taken = session.execute(delete(OneTimePassword).where(is_it))
    assert isinstance(taken, CursorResult)
    return accounts.lock_user(id) if taken.rowcount else None


def _digest(password: str) -> str:
    """Fast is enough: nobody guesses 256 random bits."""
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.sha256(b"v6srv one-time password\x00" + secret).hexdigest()
