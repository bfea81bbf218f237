"""SQLite without waiting in C: whoever waits there stops everybody else under gevent.

SQLite's own `busy_timeout` sleeps inside of the library, and with it the event loop. So it is off,
and what finds the file locked is tried again after a short sleep that lets others run.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Any

FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.02

_PRAGMAS = (
    "busy_timeout=0",
    "journal_mode=WAL",
    "foreign_keys=ON",
    "synchronous=NORMAL",
)


class Connection(sqlite3.Connection):
    """Statements wait for locks of other connections up to `patience_s`, and let others run."""

    patience_s = 60.0

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that waits like this connection."""
        return super().cursor(factory or Cursor)

    def commit(self) -> None:
        """As in sqlite3; after a wait, if need be."""
        self.patiently(super().commit)

    def rollback(self) -> None:
        """As in sqlite3; after a wait, if need be."""
        self.patiently(super().rollback)

    def patiently(self, do: Callable[..., Any], *arguments: Any) -> Any:
        """Do it, and again as long as somebody else has the lock that it needs."""
        deadline = None
        pause = FIRST_PAUSE_S
        while True:
            try:
                return do(*arguments)
            except sqlite3.OperationalError as error:
                if not _is_held(error):
                    raise
                now = time.monotonic()
                if deadline is None:
                    deadline = now + self.patience_s
                if now >= deadline:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


class Cursor(sqlite3.Cursor):
    """Waits like its connection."""

    connection: Connection

    def execute(self, *arguments: Any) -> "Cursor":
        """As in sqlite3; after a wait, if need be."""
        self.connection.patiently(super().execute, *arguments)
        return self

    def executemany(self, *arguments: Any) -> "Cursor":
        """As in sqlite3. Only its first row can find the file locked: then nothing is done yet."""
        self.connection.patiently(super().executemany, *arguments)
        return self


def _is_held(error: sqlite3.OperationalError) -> bool:
    """Whether a lock is in the way that will be free some time.

    Not so when the transaction has read what is not the newest any more: it can never write.
    """
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT


def prepare(connection: Connection, patience_s: float) -> None:
    """Settings of a new connection."""
    connection.isolation_level = None  # transactions are begun by the engine
    connection.patience_s = patience_s
    for pragma in _PRAGMAS:
        connection.cursor().execute(f"PRAGMA {pragma}")
