"""Where users are told that their tasks have ended: set by themselves, sent after the commit.

A request to a program is signed with a secret that its owner has seen once, so that the program
knows who sent it. It says what a mail says, and no more: no input and no result.
"""

import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import requests
from cryptography.fernet import InvalidToken
from flask import current_app
from sqlalchemy import Select, func, select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.question import Form, Question
from v6srv.db import let_go, session
from v6srv.errors import Conflict, Invalid, NotFound
from v6srv.identity import principals
from v6srv.identity.vault import vault
from v6srv.model import Notification, Task, User
from v6srv.service import mail_queue
from v6srv.service.mail_queue import Due
from v6srv.service.outside import Silent, as_it_is, converse
from v6srv.settings import Settings
from v6srv.settings.groups import is_safe
from v6srv.vocabulary import Operation, Resource

log = logging.getLogger(__name__)

MOST = 5
"""Programs of one user."""
ANSWER_WITHIN_S = 10.0
SIGNATURE = "V6srv-Signature"
"""`t=<seconds>,v1=<hexadecimal>`: HMAC-SHA256 of `<seconds>.<body>` with the secret."""
_USE = "web hook"


def hosts() -> Sequence[str]:
    """Where programs may be, as the settings have it; empty: there are none."""
    settings: Settings = current_app.config["SETTINGS"]
    return settings.web_hooks.hosts


def of_user(user: User) -> Sequence[Notification]:
    """Those of a user, in the order in which they were made."""
    return session.scalars(rows_of(user)).all()


def rows_of(user: User) -> Select[Notification]:
    """As `of_user`, to be read in pages."""
    query = select(Notification).where(Notification.user_id == user.id)
    return query.order_by(Notification.id)


def add_mail(user: User) -> Notification:
    """Tell the user by mail from now on; nothing happens where that is so already."""
    there = session.scalars(_by_mail(user)).first()
    if there is None:
        there = Notification(user_id=user.id)
        session.add(there)
    return there


def remove_mail(user: User) -> None:
    """Tell the user by mail no more."""
    for one in session.scalars(_by_mail(user)):
        session.delete(one)


def _by_mail(user: User) -> Select[Notification]:
    return rows_of(user).where(Notification.url.is_(None))


def add_program(user: User, url: str) -> tuple[Notification, str]:
    """Tell a program of the user at this address as well; with the secret, which is known now only.

    Raises Invalid for an address that this server does not call, Conflict when there are enough.
    """
    _require_allowed(url)
    those = Notification.user_id == user.id, Notification.url.is_not(None)
    if (session.scalar(select(func.count()).where(*those)) or 0) >= MOST:
        raise Conflict(f"You have {MOST} programs that are told: remove one first")
    secret = secrets.token_hex(32)
    row = Notification(
        user_id=user.id, url=url, secret=vault(_USE).encrypt(secret.encode()).decode()
    )
    session.add(row)
    return row, secret


def remove(user: User, id: int) -> None:
    """One of the user is told no more. Raises NotFound for one that the user does not have."""
    row = session.scalars(rows_of(user).where(Notification.id == id)).one_or_none()
    if row is None:
        raise NotFound(f"Notification id={id} is not found!")
    session.delete(row)


def _require_allowed(url: str) -> None:
    host = (urlsplit(url).hostname or "").rstrip(".") if is_safe(url) else ""
    if not host:
        problem = "This has to be an address that begins with https://"
    elif not any(fnmatchcase(host, pattern.lower()) for pattern in hosts()):
        problem = "This server calls no program at that host (setting web_hooks.hosts)"
    else:
        return
    raise Invalid(problem, {"url": [problem]})


# --- sending


def send_due(stopping: Callable[[], bool] = lambda: False) -> None:
    """Send the requests that are due, one after the other; one that fails is tried again later."""
    while not stopping() and (due := mail_queue.take(web_hooks=True)) is not None:
        _send(due)


def _send(due: Due) -> None:
    row = session.get(Notification, due.details["notification"])
    told = {name: value for name, value in due.details.items() if name != "notification"}
    secret = None if row is None else _secret(row)
    if row is None or row.url is None or secret is None or not may_know(due):
        let_go()
        mail_queue.remove(due)
        return
    url, body = row.url, json.dumps({"event": "task_ended", "id": due.id, **told})
    let_go()
    try:
        _require_allowed(url)
        _post(url, body, secret)
    except (Invalid, Silent, _Refused) as problem:
        log.info("a program of user %d is not told: %s", due.user_id, problem)
        if not mail_queue.put_back(due):
            log.warning("a program of user %d was not told for a day: given up", due.user_id)
    else:
        mail_queue.sent(due)


class _Refused(Exception):
    """The program did not take it."""


def _post(url: str, body: str, secret: str) -> None:
    """Raises Silent and _Refused. A redirection is a refusal: it may lead anywhere."""
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        SIGNATURE: f"t={at},v1={signature(secret, at, body)}",
    }

    def ask(client: requests.Session) -> int:
        answer = client.post(url, data=body, headers=headers, auth=as_it_is, allow_redirects=False)
        return answer.status_code

    status = converse(requests.Session(), ask, ANSWER_WITHIN_S)
    if not 200 <= status < 300:
        raise _Refused(f"it answers with status {status}")


def signature(secret: str, at: int, body: str) -> str:
    """What a request at this second is signed with."""
    return hmac.new(secret.encode(), f"{at}.{body}".encode(), "sha256").hexdigest()


def _secret(row: Notification) -> str | None:
    try:
        return vault(_USE).decrypt((row.secret or "").encode()).decode()
    except InvalidToken:
        log.error("the secret of notification %d cannot be read: was the key changed?", row.id)
        return None


def may_know(due: Due) -> bool:
    """Whether the user may still view the task."""
    authz: Authorizer = current_app.extensions["authz"]
    try:
        who = principals.named(f"user:{due.user_id}").principal
    except NotFound:
        return False
    task = Resource.TASK, Operation.VIEW, Task, due.details["task"]
    return authz.policy.answer(Question(Form.ROW, who, *task)).allowed
