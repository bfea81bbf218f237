"""Sends the mails that are due, outside any transaction and any request."""

import logging
from collections.abc import Callable

from flask import current_app

from v6srv import meters, problems
from v6srv.db import let_go, session
from v6srv.identity import notifications, tokens
from v6srv.model import User
from v6srv.service import mail_queue
from v6srv.service.mail import (
    PASSWORD_RESET,
    SECOND_FACTOR_RESET,
    TASK_ENDED,
    Mailer,
    NotSent,
)
from v6srv.service.mail_queue import Due

log = logging.getLogger(__name__)

_PURPOSES = {PASSWORD_RESET: tokens.PASSWORD, SECOND_FACTOR_RESET: tokens.SECOND_FACTOR}
"""Mails with a token. It is made when the mail is sent: a stored one could be read and used."""

_PROBLEM = "mail"
_LATE = "late mails"


def send_due(stopping: Callable[[], bool] = lambda: False) -> None:
    """Send what is due, one mail after the other, until `stopping` or the mail server is away."""
    while not stopping():
        due = mail_queue.take()
        if due is None or not _deliver(due):
            break
    late = mail_queue.is_late()
    if late is None:  # perhaps another process has sent what this could not
        problems.end(_PROBLEM)
    if late:
        problems.begin(_LATE, "mails wait for more than half an hour")
    else:
        problems.end(_LATE)


def _deliver(due: Due) -> bool:
    """Send a mail; False when it makes no sense to try the next one now."""
    user = session.get(User, due.user_id)
    to, values = (None, {}) if user is None else (user.email, _values(user, due))
    if due.kind == TASK_ENDED and not notifications.may_know(due):
        to = None
    let_go()  # sending must not keep a transaction open
    if not to:
        mail_queue.remove(due)
        return True
    mailer: Mailer = current_app.extensions["mailer"]
    try:
        mailer.send(due.kind, to, values)
    except NotSent as error:
        meters.MAILS.labels("failed").inc()
        return _not_sent(due, error)
    meters.MAILS.labels("sent").inc()
    mail_queue.sent(due)
    problems.end(_PROBLEM)
    return True


def _values(user: User, due: Due) -> dict[str, object]:
    values = {"firstname": user.firstname or "", **due.details}
    if due.kind in _PURPOSES:
        values["token"] = tokens.issue_purpose_token(user, _PURPOSES[due.kind])
    return values


def _not_sent(due: Due, error: NotSent) -> bool:
    if error.away:
        problems.begin(_PROBLEM, "mails are not sent: the mail server cannot be used", error)
    else:
        log.warning("a mail (%s) to user %d was not sent: %s", due.kind, due.user_id, error)
    if error.for_good:
        mail_queue.remove(due)
    elif mail_queue.put_back(due):
        return not error.away
    log.error(
        "a mail (%s) to user %d is given up after %d attempts", due.kind, due.user_id, due.attempts
    )
    return not error.away
