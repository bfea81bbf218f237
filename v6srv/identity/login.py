"""Logging in: users with password and code; refreshing; container tokens.

Hashing takes a quarter of a second, so it never happens inside a transaction: what is needed is
read, the read ends, the hash is compared, and a short writing transaction draws the conclusions
from the row as it is by then. These flows commit themselves for that reason.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import with_polymorphic

from v6srv import meters, names, passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, let_go, session, transaction, utcnow
from v6srv.errors import Invalid, TooManyRequests, Unauthenticated, Unavailable
from v6srv.identity import one_time, principals, sessions, tokens, totp
from v6srv.identity.attempts import attempts, failed, locked_out
from v6srv.identity.claims import Claims
from v6srv.identity.totp import Code
from v6srv.model import Account, Node, User
from v6srv.service import accounts, mail_queue
from v6srv.service.mail import BLOCKED
from v6srv.settings import Settings
from v6srv.vocabulary import V3, PrincipalKind

log = logging.getLogger(__name__)

_FAILED = "Failed to login"
_LOCKED = "locked out"
_COMPARISONS = 3
"""How often a password is compared, if the stored one is replaced each time meanwhile."""
_NOT_CURRENT = "Your current password is not correct!"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Logged in: a pair of tokens for this account."""

    kind: PrincipalKind
    account_id: int
    access_token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The password is right; the authenticator app is still to be set up with this secret."""

    qr_uri: str
    otp_secret: str
    msg: str = (
        "Two-factor authentication is obligatory on this server. Please visualize the QR code to "
        "set up authentication."
    )


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password is right; the code of the authenticator app is missing."""

    msg: str = "Please include your two-factor authentication code"


_UNUSABLE_CODES = {
    Code.WRONG: "Your two-factor authentication code is incorrect!",
    Code.USED: (
        "Your two-factor authentication code was already used: wait until your app shows the next"
    ),
}


def log_in(
    username: str, password: str, code: str | None, source: str, dialect: int = V3
) -> Tokens | Enrolment | CodeNeeded:
    """Log a user in (auth.md 3.1). `source` is the address the request comes from.

    Raises Unauthenticated with one and the same text for unknown names, wrong passwords and locked
    accounts, and TooManyRequests when this address has failed too often to get into this account.
    """
    if one_time.is_one(password) and (found := _log_in_once(username, password, dialect)):
        return found
    with check_user(username, None, password, source, code) as user:
        missing = _missing_factor(user, code, source)
        if missing is None:
            user.failed_login_attempts = user.wrong_codes = 0
            user.recovered_at = None
            user.last_seen = database_now()
            meters.LOGINS.labels("user", "granted").inc()
            names = accounts.role_names(user.id, tokens.MAX_ROLE_NAMES)
            begun = sessions.begin(user, dialect)
            pair, stored = token_pair(user, names, begun, dialect=dialect), user.password or ""
    if missing is None:
        if passwords.is_outdated(stored, password):
            _renew_hash(pair.account_id, password, stored)
        return pair
    if isinstance(missing, Code):
        attempts().of_users.note(source, username)
        failed("login", username, source, f"{missing.value} code")
        raise Unauthenticated(_UNUSABLE_CODES[missing])
    return missing


def _log_in_once(username: str, password: str, dialect: int) -> Tokens | None:
    """Who gave it out has looked at all that is asked for here."""
    let_go()
    with as_server(ServerWrite.LOGIN), transaction():
        user = one_time.redeem(username, password)
        if user is None:
            return None
        user.last_seen = database_now()
        meters.LOGINS.labels("user", "granted").inc()
        names = accounts.role_names(user.id, tokens.MAX_ROLE_NAMES)
        return token_pair(user, names, sessions.begin(user, dialect), dialect=dialect)


@contextmanager
def check_user(
    username: str | None, email: str | None, password: str, source: str, code: str | None = None
) -> Iterator[User]:
    """Inside the block: the user with this password, in a transaction that commits at its end.

    Wrong passwords count towards the lock-out; the first attempt while locked tells the owner by
    mail. An unused `code` opens the lock, and is still to be accepted. Raises as `log_in` does.
    """
    # Every spelling of an address is one: nobody gets more attempts by writing it otherwise.
    name = username or names.key(email or "")
    _check_rate(name, source)
    for _ in range(_COMPARISONS):
        user_id, stored = accounts.find_user(username, email)
        let_go()  # hashing must not keep a transaction open
        right = passwords.check_password(password, stored)
        with as_server(ServerWrite.LOGIN), transaction():
            user = accounts.lock_user(user_id)
            if user is not None and user.password != stored:
                reason: str | None = "the password has just changed"
                continue  # or only its hash, which somebody who logged in has renewed
            reason = _refusal(user, right, code, source)
            if user is not None and reason is None:
                yield user
                return
            _leave_traces(user, reason, source)
            break
    attempts().of_users.note(source, name)
    failed("login", name, source, reason or "")
    raise Unauthenticated(_FAILED)


def refresh(authorization: str | None, dialect: int = V3) -> Tokens:
    """A new pair for the refresh token in this `Authorization` header (auth.md 3.5).

    The new pair belongs to the same session as the old one; `dialect` is that of the request, but
    what a node was seen to be goes before it. Raises as `tokens.read_bearer` does, and
    Unauthenticated when the account is gone or no longer honours the token.
    """
    claims = tokens.read_bearer(authorization, refresh=True)
    account = _honouring(claims)
    after = sessions.go_on(claims)
    if not session().in_transaction():  # it was noted, and what was read before may have changed
        account = _honouring(claims)
    names = (
        accounts.role_names(account.id, tokens.MAX_ROLE_NAMES)
        if claims.kind is PrincipalKind.USER
        else []
    )
    generation = account.generation if isinstance(account, Node) else None
    spoken = generation or dialect
    return token_pair(account, names, claims.session_id, after, spoken, claims.began_at)


def log_out(authorization: str | None) -> None:
    """End the session of the access or refresh token in this `Authorization` header.

    Raises as `refresh` does, and Invalid for a token that belongs to no session.
    """
    claims = tokens.read_bearer(authorization, either=True)
    if claims.kind is PrincipalKind.CONTAINER:
        raise Invalid("An algorithm has no session: its token ends with its task")
    principals.load(claims)
    sessions.end(claims)
    log.info("%s %d has logged out", claims.kind.value, claims.account_id)


_with_nodes = with_polymorphic(Account, [Node])
"""Accounts, with what is told of nodes at once."""


def _honouring(claims: Claims) -> Account:
    """The account of these claims. Raises Unauthenticated when it honours them no more."""
    query = select(_with_nodes).where(_with_nodes.id == claims.account_id)
    account = session.scalars(query).one_or_none()
    if account is None or account.type != claims.kind.value:
        raise Unauthenticated(f"Error loading the user {claims.account_id}")
    if not claims.honoured(account.token_version, account.kept_session):
        raise Unauthenticated("Token has been revoked")
    return account


def container_token(
    who: Principal, authz: Authorizer, task_id: int, image: str, dialect: int = V3
) -> str:
    """A token for the algorithm that the node `who` is about to start (auth.md 3.3)."""
    container, version = accounts.container_of(who, authz, task_id, image)
    return tokens.issue_container_token(container, version, dialect)


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A change of a password that was checked; it is stored if the old one is still what it was."""

    old: str | None
    sealed: str


def check_new_password(account_id: int, current: str, new: str, source: str) -> NewPassword:
    """What is to be stored when this user changes the password (auth.md 7).

    A wrong current password counts like one at a login: who has found a token must not guess on.
    Raises TooManyRequests as `log_in` does, Unauthenticated, and Invalid for a new password that
    breaks a rule.
    """
    username = session.scalar(select(User.username).where(User.id == account_id))
    try:
        with check_user(username or "", None, current, source) as user:
            old, called = user.password, user.called
    except Unauthenticated:
        raise Unauthenticated(_NOT_CURRENT) from None
    if current == new:
        raise Invalid("New password is the same as current password!")
    return NewPassword(old, passwords.seal(new, called, "new_password"))


def confirm(account_id: int, password: str, code: str | None, source: str) -> None:
    """Make sure that it is still this user who asks, before something that matters much.

    By the password, and by a code where log-ins need one and the user has set it up. What is wrong
    counts as at a login. Raises Unauthenticated, and TooManyRequests as `log_in` does.
    """
    username = session.scalar(select(User.username).where(User.id == account_id)) or ""
    settings: Settings = current_app.config["SETTINGS"]
    judged: Code | None = Code.RIGHT
    try:
        with check_user(username, None, password, source, code) as user:
            if settings.two_factor_auth and user.otp_confirmed:
                judged = totp.accept_code(user, code) if code else None
            if judged in _UNUSABLE_CODES:
                _count(user, source, wrong_code=True)
    except Unauthenticated:
        raise Unauthenticated(_NOT_CURRENT) from None
    if judged is None:
        raise Unauthenticated(CodeNeeded().msg)
    if judged is not Code.RIGHT:
        attempts().of_users.note(source, username)
        failed("confirmation", username, source, f"{judged.value} code")
        raise Unauthenticated(_UNUSABLE_CODES[judged])


def change_password(who: Principal, change: NewPassword) -> None:
    """The caller changes its own password; the guard's transaction stores it.

    All tokens end but those of the session that asks (A12).
    """
    user = accounts.lock_user(who.account_id)
    if user is None or user.password != change.old:
        raise Unauthenticated(_NOT_CURRENT)
    user.password = change.sealed
    user.end_tokens(keep=who.session_id)


def enrol(user: User) -> Enrolment:
    """A new secret for the user's authenticator app, pending until its first valid code."""
    secret = totp.start_enrolment(user)
    return Enrolment(totp.uri(user, secret), secret)


def _renew_hash(user_id: int, password: str, stored: str) -> None:
    """Hash a password at the cost that new ones have. Who logs in does it, once, if there is time.

    After the lock and the code have been looked at: nobody else learns by it what is right.
    """
    try:
        renewed = passwords.hash_password(password, yielding=True)
    except Unavailable:
        return
    with as_server(ServerWrite.LOGIN), transaction():
        user = accounts.lock_user(user_id)
        if user is not None and user.password == stored:
            user.password = renewed


def _check_rate(name: str, source: str) -> None:
    try:
        attempts().of_users.check(source, name)
    except TooManyRequests:
        failed("login", name, source, "too often")
        raise


def _refusal(user: User | None, right: bool, code: str | None, source: str) -> str | None:
    """Why this password does not let the user in, for the log; None when it does."""
    if user is None:
        return "unknown account"
    lock_out, now = attempts().lock_out, utcnow()
    if lock_out.holds(user, now):
        fits = _fits(user, code)
        if right and lock_out.yields(user, now, fits is True):
            return None
        if right and fits is False:
            _count(user, source, wrong_code=True)
        return _LOCKED
    if right:
        return None
    _count(user, source)
    return "wrong password"


def _fits(user: User, code: str | None) -> bool | None:
    """Whether a code is right and unused; None when none is asked for, given or set up."""
    settings: Settings = current_app.config["SETTINGS"]
    if not code or not settings.two_factor_auth or not user.otp_confirmed:
        return None
    return totp.judge(user, code)[0] is Code.RIGHT


def _leave_traces(user: User | None, reason: str | None, source: str) -> None:
    """Store what was counted, and tell the owner of a lock: the same statements in all cases."""
    lock_out, now = attempts().lock_out, utcnow()
    if user is not None and reason == _LOCKED and lock_out.must_tell_owner(user, now):
        to, details = (
            user.id,
            {
                "attempts": lock_out.max_attempts,
                "address": source,
                "time": f"{now:%Y-%m-%d %H:%M}",
                "minutes": lock_out.minutes_left(user, now),
            },
        )
    else:
        to, details = None, {}
    accounts.write_attempt(user)
    mail_queue.put(BLOCKED, to, **details)


def _count(user: User, source: str, wrong_code: bool = False) -> None:
    """A wrong password or code."""
    lock_out, now = attempts().lock_out, utcnow()
    before = lock_out.holds(user, now)
    lock_out.count(user, now, wrong_code)
    if lock_out.holds(user, now) and not before:
        locked_out(user, lock_out.minutes, source)


def _missing_factor(
    user: User, code: str | None, source: str
) -> Enrolment | CodeNeeded | Code | None:
    """What the right password still lacks; None when nothing. An unusable code counts (A7)."""
    settings: Settings = current_app.config["SETTINGS"]
    if not settings.two_factor_auth:
        return None
    if not user.otp_secret:
        return enrol(user)
    if code:
        judged = totp.accept_code(user, code)
        if judged is Code.RIGHT:
            return None
        _count(user, source, wrong_code=True)
        return judged
    pending = None if user.otp_confirmed else totp.secret_of(user)
    return Enrolment(totp.uri(user, pending), pending) if pending else CodeNeeded()


def token_pair(
    account: Account,
    names: Iterable[str] = (),
    session_id: str | None = None,
    after: str | None = None,
    dialect: int = V3,
    began_at: float | None = None,
) -> Tokens:
    """Tokens for an account; `names` are those of its roles, the rest as `tokens.issue_pair`."""
    access, renewal = tokens.issue_pair(account, names, session_id, after, dialect, began_at)
    return Tokens(PrincipalKind(account.type), account.id, access, renewal)
