"""Sessions: each begins with a login, goes on with every refresh, and can be ended.

A refresh token is replaced once its program shows one that it got for it, and not before: nothing
is lost with an answer that never came, and a program that takes over no new token goes on with the
old one until that expires. The threads of a program refresh at the same time, so what comes out of
one moment (`refresh_grace_s`) counts as one: a token that was replaced is good for so long, and one
that is younger replaces nothing. Whoever shows a replaced token later has a copy of it, or somebody
else had: the session ends.

Those of users are remembered from their login on, to be listed; those of nodes once there is
something to remember.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from flask import current_app
from sqlalchemy import Select, and_, delete, or_, select

from v6srv import meters
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.question import Form, Question
from v6srv.authz.revision import raise_revisions
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, let_go, session, transaction
from v6srv.errors import Invalid, NotFound, Unauthenticated
from v6srv.identity import principals, tokens
from v6srv.identity.claims import Claims
from v6srv.model import Account, LoginSession, User
from v6srv.settings import Settings
from v6srv.settings.groups import DAY_S
from v6srv.vocabulary import V3, Operation, PrincipalKind, Resource

log = logging.getLogger(__name__)

_REUSED = "a refresh token that was replaced was used again: somebody has a copy"
_OVER = "Your session is over: log in again"


class _Replaced(Exception):
    """The token was replaced too long ago."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What is known of a session."""

    row: LoginSession | None = None
    lately_replaced: bool = False
    """The refresh token before the current one was replaced just now."""
    lately_noted: bool = False
    """That it was refreshed was noted just now."""

    def shown(self, claims: Claims) -> str:
        """The refresh token that counts as the current one before this one was shown."""
        return (self.row and self.row.current) or claims.after or claims.jti


def begin(user: User, dialect: int) -> str:
    """A new session of a user who logs in: its name. In the transaction of the caller."""
    name, now = str(uuid4()), database_now()
    row = LoginSession(id=name, account_id=user.id, version=user.token_version, dialect=dialect)
    row.begun_at = row.refreshed_at = row.changed_at = now
    session.add(row)
    return name


def go_on(claims: Claims) -> str:
    """The name of the refresh token that the next one is issued for, of the session of these.

    Raises Unauthenticated when the session has ended, or ends with this.
    """
    if claims.kind is PrincipalKind.USER and not tokens.left_of_session_s(claims.began_at):
        raise Unauthenticated(_OVER)
    if claims.session_id is None:  # of a 3.x server: it becomes a session now
        return claims.jti
    try:
        known = _stored(claims)
        current = _next(claims, known)
        noted = known.lately_noted or claims.kind is not PrincipalKind.USER
        if noted and current == known.shown(claims):
            return current
        let_go()
        with transaction():
            return _take_over(claims)
    except _Replaced:
        let_go()
        _end_reused(claims)
        raise Unauthenticated("Token has been revoked") from None


def end(claims: Claims) -> None:
    """No token of this session is good any more. Raises Invalid where there is no session."""
    if claims.session_id is None:
        raise Invalid("This token belongs to no session: it ends by itself")
    let_go()
    with transaction():
        _end(_locked(claims).row or _new_row(claims))


def end_named(account_id: int, name: str) -> None:
    """End a session that is known by its name. Raises Unauthenticated when the account is gone."""
    whose = Claims(PrincipalKind.USER, account_id, 0, name, None, datetime.now(UTC), jti="")
    end(whose)


def end_all(user: User) -> None:
    """No token of this user is good any more. The guard's transaction stores it."""
    with as_server(ServerWrite.SESSIONS):
        user.end_tokens()


def end_one(user: User, name: str) -> None:
    """End one session of a user; the guard's transaction stores it.

    Raises NotFound where this is none of those that are listed.
    """
    row = session.scalars(of_user(user).where(LoginSession.id == name)).one_or_none()
    if row is None:
        raise NotFound("The user has no such session")
    _end(row)


def of_user(user: User) -> Select[Any]:
    """The sessions of a user whose tokens are good, the last begun first.

    What began before sessions were listed is among them once it has been refreshed.
    """
    settings = _settings()
    life_s = settings.refresh_token_expires_s + settings.refresh_grace_s
    honoured = or_(LoginSession.id == user.kept_session, LoginSession.version == user.token_version)
    query = select(LoginSession).where(
        LoginSession.account_id == user.id,
        ~LoginSession.ended,
        LoginSession.refreshed_at > database_now(life_s),
        honoured,
    )
    if settings.longest_session_days:
        longest_s = settings.longest_session_days * DAY_S
        query = query.where(LoginSession.begun_at > database_now(longest_s))
    return query.order_by(LoginSession.begun_at.desc(), LoginSession.id)


def forget(settings: Settings) -> None:
    """Delete what is known of sessions all of whose tokens have expired since it was noted."""
    life_s = settings.refresh_token_expires_s + settings.clock_leeway_s + settings.refresh_grace_s
    old = [
        LoginSession.changed_at <= database_now(life_s),
        or_(LoginSession.refreshed_at.is_(None), LoginSession.refreshed_at <= database_now(life_s)),
    ]
    with transaction():
        session.execute(delete(LoginSession).where(and_(*old)))


def _next(claims: Claims, known: _Stored) -> str:
    """The current refresh token, after this one was shown. Raises _Replaced."""
    row = known.row
    if row is not None and row.ended:
        raise Unauthenticated("Token has been revoked")
    current = known.shown(claims)
    if claims.jti == current:
        return current
    if claims.after == current:
        is_young = time.time() - claims.issued_at < _settings().refresh_grace_s
        return current if is_young else claims.jti
    if row is not None and known.lately_replaced and row.previous in (claims.jti, claims.after):
        return current
    raise _Replaced


def _take_over(claims: Claims) -> str:
    """As `_next`, and remember it. Others may have been here meanwhile."""
    known = _locked(claims)
    before, current = known.shown(claims), _next(claims, known)
    row = known.row or _new_row(claims)
    if current != before:
        row.previous, row.current = before, current
        row.changed_at = database_now()
    row.version, row.dialect = claims.version, claims.dialect or V3
    row.begun_at = row.begun_at or datetime.fromtimestamp(claims.began_at, UTC)
    row.refreshed_at = database_now()
    return current


def _end_reused(claims: Claims) -> None:
    who = principals.load(claims).principal
    let_go()
    with transaction():
        known = _locked(claims)
        try:
            _next(claims, known)
        except _Replaced:
            row = known.row or _new_row(claims)
            replaced_at = f"{row.changed_at:%Y-%m-%d %H:%M:%S}" if known.row else "some time"
            _end(row)
        else:
            return
    meters.REUSED_TOKENS.labels(claims.kind.value).inc()
    authz: Authorizer = current_app.extensions["authz"]
    resource, about = Resource(claims.kind.value), frozenset({"sessions"})
    asked = Question(Form.SESSION, who, resource, Operation.EDIT, changes=about)
    authz.witness(asked, _REUSED, allowed=False)
    log.warning(
        "session %s of account %d is ended: a refresh token that was replaced at %s was"
        " used again, so somebody has a copy of its tokens (or programs share one login)",
        claims.session_id,
        claims.account_id,
        replaced_at,
    )


def _end(row: LoginSession) -> None:
    row.ended, row.changed_at = True, database_now()
    session.flush()
    raise_revisions(session(), {"members"})  # sockets are looked at again


def _new_row(claims: Claims) -> LoginSession:
    row = LoginSession(id=claims.session_id, account_id=claims.account_id)
    row.changed_at = database_now()
    session.add(row)
    return row


def _stored(claims: Claims) -> _Stored:
    """What is known of the session."""
    just_now = database_now(_settings().refresh_grace_s)
    replaced, noted = LoginSession.changed_at > just_now, LoginSession.refreshed_at > just_now
    query = select(LoginSession, replaced, noted).where(LoginSession.id == claims.session_id)
    fresh = {"populate_existing": True}
    found = session.execute(query, execution_options=fresh).one_or_none()
    if found is None:
        return _Stored()
    if found[0].account_id != claims.account_id:  # signed by us, and by no login
        raise Unauthenticated(f"Error loading the user {claims.account_id}")
    return _Stored(found[0], bool(found[1]), bool(found[2]))


def _locked(claims: Claims) -> _Stored:
    """As `_stored`, in a transaction in which nobody else changes sessions of the account."""
    query = select(Account.id).where(Account.id == claims.account_id).with_for_update()
    if session.scalar(query) is None:
        raise Unauthenticated(f"Error loading the user {claims.account_id}")
    return _stored(claims)


def _settings() -> Settings:
    found: Settings = current_app.config["SETTINGS"]
    return found
