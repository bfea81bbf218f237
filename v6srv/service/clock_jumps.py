"""The clock was wrong and is set right: what it said must neither lock anybody out nor delete data.

Times that were written while it was ahead lie in the future afterwards. A lock of an account, a
mail that waits or a node that fell silent would stay so until that time has come.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, update
from sqlalchemy.orm import InstrumentedAttribute

from v6srv import problems
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, session, transaction
from v6srv.model import (
    Account,
    LoginSession,
    Mail,
    Notification,
    OneTimePassword,
    Outbox,
    ServerProcess,
    SocketConnection,
    User,
)
from v6srv.service.events import by_the_database
from v6srv.service.mail_queue import LONGEST_WAIT_S

LOOK_EVERY_S = 15.0
APART_S = 60.0
"""What clocks of servers and database may differ by."""
JUMP_S = 3600.0
BELIEVED_AFTER_S = 24 * 3600.0
"""How long data is not deleted for its age after a jump, if the clock is not set again."""

ONE_TIME_S = 300.0
"""How long a password for once is good."""

OF_THE_PAST: Mapping[InstrumentedAttribute[Any], float] = {
    Account.last_seen: 0.0,
    User.last_login_attempt: 0.0,
    User.blocked_mail_at: 0.0,
    User.password_mail_at: 0.0,
    User.second_factor_mail_at: 0.0,
    User.recovered_at: 0.0,
    SocketConnection.seen_at: 0.0,
    ServerProcess.seen_at: 0.0,
    Outbox.created_at: 0.0,
    Outbox.sent_at: 0.0,
    Mail.created_at: 0.0,
    Mail.due_at: LONGEST_WAIT_S,
    Notification.created_at: 0.0,
    LoginSession.changed_at: 0.0,
    LoginSession.begun_at: 0.0,
    LoginSession.refreshed_at: 0.0,
    OneTimePassword.ends_at: ONE_TIME_S,
}
"""What is never further in the future than so many seconds, if the clock is right."""

_PROBLEM = "clock"
_JUMPED = "the clock has jumped: data is not deleted for its age"


def bring_back() -> None:
    """Times that the clock has not reached become now: a lock holds for its time, and no longer."""
    with as_server(ServerWrite.CLOCK), transaction():
        for stored, ahead_s in OF_THE_PAST.items():
            table = cast(Table, stored.class_.__table__)
            column = table.c[stored.key]
            in_future = column > database_now(-APART_S - ahead_s)
            session.execute(update(table).where(in_future).values({column: database_now()}))


class Clock:
    """Whether the clock of the database goes as fast as time does, seen from one process."""

    def __init__(self) -> None:
        self._began: tuple[datetime, float] | None = None
        self._ahead_s = float("inf")
        """Of what it was at the first look, as seen last."""
        self._believed_s = 0.0
        self._doubtful_since: float | None = None

    def look(self) -> None:
        """Compare once more, and mend what a clock left that was ahead."""
        moment = time.monotonic()
        said = by_the_database(moment)
        began, at = self._began = self._began or (said, moment)
        before_s, self._ahead_s = self._ahead_s, (said - began).total_seconds() - (moment - at)
        if self._ahead_s < before_s - APART_S:
            bring_back()
        if self._doubtful_since is not None and moment - self._doubtful_since > BELIEVED_AFTER_S:
            self._believed_s = self._ahead_s
        jump_s = self._ahead_s - self._believed_s
        if abs(jump_s) <= JUMP_S:
            self._doubtful_since = None
            problems.end(_PROBLEM)
        elif self._doubtful_since is None:
            self._doubtful_since = moment
            problems.begin(_PROBLEM, _JUMPED, f"by {jump_s:.0f} seconds")

    @property
    def is_doubtful(self) -> bool:
        """Whether it has jumped, and nobody has set it right yet."""
        return self._doubtful_since is not None
