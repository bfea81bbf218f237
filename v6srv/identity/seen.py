"""When accounts were last seen: noted by requests, written by a loop: no GET ever writes."""

import time
from datetime import timedelta
from typing import cast

from sqlalchemy import Table, bindparam, or_, update

from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import database_now, transaction, utcnow
from v6srv.identity.principals import Known
from v6srv.model import Account
from v6srv.vocabulary import PrincipalKind

AT_MOST_EVERY_S = 60.0
"""`last_seen` is written at most this often (Q-43)."""
WRITE_EVERY_S = 1.0

_table = cast(Table, Account.__table__)
_statement = (
    update(_table)
    .where(
        _table.c.id == bindparam("account"),
        or_(_table.c.last_seen.is_(None), _table.c.last_seen <= database_now(AT_MOST_EVERY_S)),
    )
    .values(last_seen=database_now())
)


class Seen:
    """What one process has seen and not yet written; not more than one entry for an account."""

    def __init__(self) -> None:
        self._noted: dict[int, float] = {}

    def note(self, known: Known) -> None:
        """A user or node was there just now.

        It is the database that says whether this is to be written: its clock may not be ours.
        """
        if known.principal.kind is PrincipalKind.CONTAINER:
            return
        if known.last_seen is not None:
            since = utcnow() - known.last_seen
            if timedelta(0) <= since < timedelta(seconds=AT_MOST_EVERY_S):
                return
        self._noted[known.principal.account_id] = time.monotonic()

    def write(self) -> None:
        """Write what was noted, in one transaction, which is tried again the next time if it fails.

        Not what was noted before a long outage of the database: it would be said to be now.
        """
        noted = dict(self._noted)
        young = time.monotonic() - AT_MOST_EVERY_S
        rows = [{"account": id} for id, at in sorted(noted.items()) if at > young]
        if rows:
            with as_server(ServerWrite.PRESENCE), transaction() as sess:
                sess.execute(_statement, rows)
        for id, at in noted.items():
            if self._noted.get(id) == at:
                del self._noted[id]
