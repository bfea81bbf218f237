"""What keeps the database from working, as callers, admins and monitoring are told.

Whatever fails for such a reason, a request, a socket, a loop, raises DatabaseUnavailable. Its cause
is a standing problem (`v6srv.problems`): one line in the log when it begins, one when it is over.
"""

import sqlite3
import sys
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, ExceptionContext, ExecutionContext

from v6srv import problems
from v6srv.errors import DatabaseUnavailable


@dataclass(frozen=True, slots=True)
class Outage:
    """A reason why the database cannot be used."""

    text: str
    """For anybody: callers and `/health`."""
    quiet_s: float
    """Over when something succeeds again and nothing has failed so long: longer than somebody
    waits before it fails once more."""
    needs_write: bool = False
    """Only a write that succeeds shows that it is over."""
    retry_after_s: int = 2


AWAY = Outage("the database cannot be reached", 1.0, retry_after_s=5)
FULL = Outage("nothing can be written: the disk of the database is full", 3.0, True, 30)
READ_ONLY = Outage("nothing can be written: the database is read-only", 3.0, True, 30)
LOCKED = Outage("the database is busy: a lock is held for too long", 30.0)
SLOW = Outage("the database is busy: a statement takes too long", 60.0)
EXHAUSTED = Outage("the database is busy: all connections are in use", 15.0)
OTHER_TABLES = Outage("the tables of the database are not those of this release", 5.0)

_SQLITE = {
    sqlite3.SQLITE_BUSY: LOCKED,
    sqlite3.SQLITE_LOCKED: LOCKED,
    sqlite3.SQLITE_PROTOCOL: LOCKED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_IOERR: AWAY,
    sqlite3.SQLITE_CANTOPEN: AWAY,
    sqlite3.SQLITE_CORRUPT: AWAY,
    sqlite3.SQLITE_NOTADB: AWAY,
}
_SQLSTATES = {
    "0A000": OTHER_TABLES,
    "25006": READ_ONLY,
    "40001": LOCKED,
    "40P01": LOCKED,
    "42P01": OTHER_TABLES,
    "53100": FULL,
    "53300": EXHAUSTED,
    "55P03": LOCKED,
    "57014": SLOW,
}

_FAILED = "v6srv_failed"
_WROTE = "v6srv_wrote"
_failed_at: dict[Outage, float] = {}


def outage_of(error: BaseException) -> Outage | None:
    """Why an error of a driver is no fault of the statement; None when it is one."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_ERROR:
            return OTHER_TABLES if str(error).startswith("no such table") else None
        found = _SQLITE.get((code or 0) & 0xFF)
        return found or (AWAY if isinstance(error, sqlite3.OperationalError) else None)
    psycopg = sys.modules.get("psycopg")  # without it no error is its own
    if psycopg is not None and isinstance(error, psycopg.Error):
        found = _SQLSTATES.get(error.sqlstate or "")
        return found or (AWAY if isinstance(error, psycopg.OperationalError) else None)
    return None


def begin(outage: Outage, cause: object) -> DatabaseUnavailable:
    """Note the outage, and return what to raise."""
    _failed_at[outage] = time.monotonic()
    problems.begin(outage.text, outage.text, cause)
    return DatabaseUnavailable(
        f"The database cannot be used right now: {outage.text}", outage.retry_after_s
    )


def worked(*, wrote: bool = False) -> None:
    """Something succeeded: outages that this disproves are over."""
    if not _failed_at:
        return
    now = time.monotonic()
    for outage, failed_at in list(_failed_at.items()):
        if now - failed_at >= outage.quiet_s and (wrote or not outage.needs_write):
            _failed_at.pop(outage, None)
            problems.end(outage.text)


def translate(context: ExceptionContext) -> None:
    """Raise DatabaseUnavailable instead of what a driver raised for no fault of the statement."""
    if context.is_pre_ping:
        return
    error = context.original_exception
    outage = outage_of(error)
    if outage is None:
        return
    if outage is OTHER_TABLES:
        # What is prepared fits the old ones: new connections for all, and it is over.
        context.is_disconnect = True
    if context.connection is not None and not context.is_disconnect:
        context.connection.info[_FAILED] = True
    raise begin(outage, error) from error


def executed(
    connection: Connection,
    cursor: Any,
    _statement: object,
    _parameters: object,
    context: ExecutionContext | None,
    _many: bool,
) -> None:
    """A statement worked; note whether it changed anything."""
    kind: Any = context
    # How many rows a statement that returns them has changed is not known yet.
    changed = cursor.rowcount or cursor.description
    if kind is not None and (kind.isinsert or kind.isupdate or kind.isdelete) and changed:
        connection.info[_WROTE] = True


def rolled_back(connection: Connection) -> None:
    """What was written is not there."""
    if not connection.invalidated:  # else it has no info any more
        connection.info.pop(_WROTE, None)


def came_back(connection: object, record: Any) -> None:
    """A connection is no longer needed: it worked, unless something is known against it."""
    failed, wrote = record.info.pop(_FAILED, False), record.info.pop(_WROTE, False)
    if connection is not None and not failed:
        worked(wrote=wrote)
