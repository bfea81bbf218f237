"""Sessions: each begins with a login, goes on with every refresh, and can be ended.

A refresh token is replaced once its program shows one that it got for it, and not before: nothing
is lost with an answer that never came, and a program that takes over no new token goes on with the
old one until that expires. The threads of a program refresh at the same time, so what comes out of
one moment (`refresh_grace_s`) counts as one: a token that was replaced is good for so long, and one
that is younger replaces nothing. Whoever shows a replaced token later has a copy of it, or somebody
else had: the session ends.
"""

import logging
import time

from flask import current_app
from sqlalchemy import delete, select

from v6srv.authz.revision import raise_revisions
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, let_go, session, transaction
from v6srv.errors import Invalid, Unauthenticated
from v6srv.identity.claims import Claims
from v6srv.model import Account, LoginSession, User
from v6srv.settings import Settings

log = logging.getLogger(__name__)


class _Replaced(Exception):
    """The token was replaced too long ago."""


def go_on(claims: Claims) -> str:
    """The name of the refresh token that the next one is issued for, of the session of these.

    Raises Unauthenticated when the session has ended, or ends with this.
    """
    if claims.session_id is None:  # of a 3.x server: it becomes a session now
        return claims.jti
    try:
        row, recent = _stored(claims)
        current = _next(claims, row, recent)
        if current == (row.current if row else claims.after or claims.jti):
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
        _end(claims, _locked(claims)[0])


def end_all(user: User) -> None:
    """No token of this user is good any more. The guard's transaction stores it."""
    with as_server(ServerWrite.SESSIONS):
        user.end_tokens()


def forget(settings: Settings) -> None:
    """Delete what is known of sessions all of whose tokens have expired since it was noted."""
    life_s = settings.refresh_token_expires_s + settings.clock_leeway_s + settings.refresh_grace_s
    with transaction() as sess:
        sess.execute(delete(LoginSession).where(LoginSession.changed_at <= database_now(life_s)))


def _next(claims: Claims, row: LoginSession | None, recent: bool) -> str:
    """The current refresh token, after this one was shown. Raises _Replaced."""
    if row is not None and row.ended:
        raise Unauthenticated("Token has been revoked")
    current = (row and row.current) or claims.after or claims.jti
    if claims.jti == current:
        return current
    if claims.after == current:
        return current if time.time() - claims.issued_at < _grace_s() else claims.jti
    if row is not None and recent and row.previous in (claims.jti, claims.after):
        return current
    raise _Replaced


def _take_over(claims: Claims) -> str:
    """As `_next`, and remember it. Others may have been here meanwhile."""
    row, recent = _locked(claims)
    current = _next(claims, row, recent)
    if row is None:
        row = LoginSession(id=claims.session_id, account_id=claims.account_id)
        session.add(row)
    if current != row.current:
        row.previous, row.current = row.current or claims.after, current
        row.changed_at = database_now()
    return current


def _end_reused(claims: Claims) -> None:
    with transaction():
        row, recent = _locked(claims)
        try:
            _next(claims, row, recent)
        except _Replaced:
            _end(claims, row)
            log.warning(
                "session %s of account %d is ended: a refresh token that was replaced at %s was"
                " used again, so somebody has a copy of its tokens (or programs share one login)",
                claims.session_id,
                claims.account_id,
                f"{row.changed_at:%Y-%m-%d %H:%M:%S}" if row else "some time",
            )


def _end(claims: Claims, row: LoginSession | None) -> None:
    if row is None:
        row = LoginSession(id=claims.session_id, account_id=claims.account_id)
        session.add(row)
    row.ended, row.changed_at = True, database_now()
    session.flush()
    raise_revisions(session(), {"members"})  # sockets are looked at again


def _stored(claims: Claims) -> tuple[LoginSession | None, bool]:
    """What is known of the session, and whether that was noted just now."""
    recent = LoginSession.changed_at > database_now(_grace_s())
    query = select(LoginSession, recent).where(LoginSession.id == claims.session_id)
    fresh = {"populate_existing": True}
    found = session.execute(query, execution_options=fresh).one_or_none()
    return (None, False) if found is None else (found[0], bool(found[1]))


def _locked(claims: Claims) -> tuple[LoginSession | None, bool]:
    """As `_stored`, in a transaction in which nobody else changes sessions of the account."""
    query = select(Account.id).where(Account.id == claims.account_id).with_for_update()
    if session.scalar(query) is None:
        raise Unauthenticated(f"Error loading the user {claims.account_id}")
    return _stored(claims)


def _grace_s() -> float:
    settings: Settings = current_app.config["SETTINGS"]
    return settings.refresh_grace_s
