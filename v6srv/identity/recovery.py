"""Lost passwords, lost second factors and new node keys (auth.md 5.2, 6, 8).

Whether an account exists, is locked or has an address is told by no answer here (Q-40).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from v6srv import passwords
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import let_go, transaction, utcnow
from v6srv.errors import Invalid, Unauthenticated
from v6srv.identity import login, tokens
from v6srv.identity.login import Enrolment, check_user
from v6srv.identity.tokens import Recovery
from v6srv.model import Node, User
from v6srv.service import accounts, mail_queue
from v6srv.service.mail import PASSWORD_CHANGED, PASSWORD_RESET, SECOND_FACTOR_RESET

log = logging.getLogger(__name__)

_UNUSABLE = "Invalid recovery token!"
_BOTH = "the password was recovered by mail, and nobody has logged in with it"


def mail_password_token(username: str | None, email: str | None) -> None:
    """Mail a token for a new password to the owner of this account, if there is one.

    The same work is done when there is none, or when a token was mailed a moment ago.
    """
    user_id, _ = accounts.find_user(username, email)
    _mail(user_id, PASSWORD_RESET)


def reset_password(token: str, password: str) -> None:
    """Set a new password with a mailed token.

    The account is unlocked and every token of it ends; the second factor stays, and is not replaced
    by mail before somebody has logged in with it. Raises Invalid for a token that cannot be used or
    a password against the rules, and Expired.
    """
    recovery = tokens.read_purpose_token(token, tokens.PASSWORD)
    names = _owner(recovery).called
    let_go()  # hashing must not keep a transaction open
    sealed = passwords.seal(password, names)
    with _recovering(recovery) as user:
        user.password = sealed
        user.failed_login_attempts = user.wrong_codes = 0
        user.recovered_at = utcnow()
        mail_queue.put(PASSWORD_CHANGED, user.id)


def mail_second_factor_token(
    username: str | None, email: str | None, password: str, source: str
) -> None:
    """Mail a token for a new second factor, if the password is right.

    A wrong password counts like one at login. A password that was itself set with a mailed token
    will not do until somebody has logged in with it: who reads the owner's mails would replace
    both. Raises TooManyRequests as login does.
    """
    try:
        with check_user(username, email, password, source) as user:
            user_id = user.id
            both = user.recovered_at is not None and user.otp_confirmed
    except Unauthenticated:
        return  # the same answer as for the right password
    if both:
        log.warning("no mail for a second factor of user %d: %s", user_id, _BOTH)
    else:
        _mail(user_id, SECOND_FACTOR_RESET)


def reset_second_factor(token: str) -> Enrolment:
    """A new secret, pending, for a mailed token. Every bearer token of the account ends.

    Raises Invalid for a token that cannot be used, and Expired.
    """
    recovery = tokens.read_purpose_token(token, tokens.SECOND_FACTOR)
    with _recovering(recovery) as user:
        return login.enrol(user)


def renew_key(node: Node) -> str:
    """Give the node a new API key and return it: this once it can be read.

    The old key and every token of the node end. The guard's transaction stores it.
    """
    key = str(uuid4())
    node.key_digest, node.api_key = passwords.key_digest(key), None
    node.end_tokens()
    return key


def _mail(user_id: int, kind: str) -> None:
    """Mail a token to the owner of an account; see `mail_queue.put_token` for when."""
    with as_server(ServerWrite.RECOVERY), transaction():
        mail_queue.put_token(kind, user_id)


@contextmanager
def _recovering(recovery: Recovery) -> Iterator[User]:
    """The account of a mailed token, to be changed; every bearer token of it ends."""
    with as_server(ServerWrite.RECOVERY), transaction():
        user = _owner(recovery)
        yield user
        user.end_tokens()
        user.password_mail_at = user.second_factor_mail_at = None


def _owner(recovery: Recovery) -> User:
    user = accounts.lock_user(recovery.account_id)
    if user is None or not recovery.fits(user):
        raise Invalid(_UNUSABLE)
    return user
