"""Whether a database answers, asked in a way that costs and takes little whatever is wrong."""

import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from v6srv.engine.make import make_engine
from v6srv.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from v6srv.settings import DatabaseLimits

WITHIN_S = 1.0
"""A database that has not answered by then does not answer."""


def _limits() -> "DatabaseLimits":
    from v6srv.settings import DatabaseLimits

    return DatabaseLimits(
        pool_size=1,
        max_overflow=0,
        pool_timeout_s=WITHIN_S,
        connect_timeout_s=2,
        lock_timeout_s=WITHIN_S,
        statement_timeout_s=WITHIN_S,
    )


class Probe:
    """Asks a database on a connection of its own, once for all who want to know at the same time.

    The pool of the requests may be exhausted, and anybody may ask.
    """

    def __init__(self, uri: str) -> None:
        self.engine = make_engine(uri, _limits())
        self._lock = Lock()
        self._asked: _Question | None = None

    def answers(self) -> bool:
        """Whether the database answers; known after `WITHIN_S` at the latest."""
        with self._lock:
            if self._asked is None or self._asked.over.is_set():
                self._asked = _Question()
                Thread(target=self._ask, args=(self._asked,), daemon=True).start()
            asked = self._asked
        asked.over.wait(max(0.0, asked.began + WITHIN_S - time.monotonic()))
        return asked.answered

    def _ask(self, asked: "_Question") -> None:
        # On SQLite something that looks at the file.
        on_sqlite = self.engine.dialect.name == "sqlite"
        statement = "PRAGMA schema_version" if on_sqlite else "SELECT 1"
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql(statement).scalar()
            asked.answered = True
        except (DatabaseUnavailable, SQLAlchemyError):
            pass  # that is the answer
        finally:
            asked.over.set()


class _Question:
    """One question, and what came of it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.answered = False
        self.over = Event()
