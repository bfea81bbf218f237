"""PostgreSQL without waiting for ever: the server may be frozen, or the network may be cut.

Then neither the time-outs of the server help, which does not run, nor that of libpq, which is for
connecting. So each wait for an answer has a deadline here, too. At its end the connection is
closed, and the server rolls the transaction back whenever it comes back.
"""

from collections.abc import Generator
from typing import Any

import psycopg

from v6srv.settings import DatabaseLimits

GRACE_S = 2.0
"""What the server gets to say itself that a statement took too long."""


class Connection(psycopg.Connection[Any]):
    """Closes itself, and raises OperationalError, when the server does not answer in time."""

    ping_s: float | None = None
    """For what is asked outside of transactions, only to see whether the server is there."""
    busy_s: float | None = None
    """For each statement inside of one, the first as well: it may have to wait for a lock."""

    def wait(
        self, gen: Generator[Any, Any, Any], interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        """As in psycopg, with a deadline."""
        if timeout is None:
            timeout = self.ping_s if self.autocommit else self.busy_s
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            raise psycopg.OperationalError(f"no answer within {timeout:g} s") from error

    def rollback(self) -> None:
        """As in psycopg, but statements stay prepared, unless one has failed.

        There they are forgotten, because a table that was made in the transaction is gone with it.
        Servers make none, and each request that only reads ends so: it would be planned anew. What
        failed while it was prepared is known to PostgreSQL alone, and goes only with all others.
        """
        if self.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS:
            super().rollback()
            return
        prepared = self._prepared
        self._prepared = type(prepared)()
        try:
            super().rollback()
        finally:
            self._prepared = prepared


def connect(limits: DatabaseLimits, *arguments: Any, **parameters: Any) -> Connection:
    """A connection that ends what takes longer than its limits."""
    made = Connection.connect(*arguments, **parameters)
    made.ping_s = made.busy_s = limits.connect_timeout_s
    seconds = {
        "lock_timeout": limits.lock_timeout_s,
        "statement_timeout": limits.statement_timeout_s,
        # Who was cut off from us, in the middle of something, must not keep its locks.
        "idle_in_transaction_session_timeout": 2 * limits.statement_timeout_s,
    }
    wanted = {name: f"{int(limit * 1000)}ms" for name, limit in seconds.items()}
    # Conditions of policies look dear to its planner: to compile one took 460 ms, to run it one.
    wanted["jit"] = "off"
    try:
        made.execute(
            "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[])"
            " AS wanted(name, value)",
            (list(wanted), list(wanted.values())),
        )
        made.commit()
    except BaseException:
        made.close()
        raise
    made.busy_s = limits.statement_timeout_s + GRACE_S
    return made


def parameters(limits: DatabaseLimits) -> dict[str, Any]:
    """Of libpq: how long the network may be silent."""
    silent_s = limits.tcp_user_timeout_s
    return {
        "connect_timeout": limits.connect_timeout_s,
        "tcp_user_timeout": int(silent_s * 1000),
        "keepalives": 1,
        "keepalives_idle": max(1, round(silent_s / 2)),
        "keepalives_interval": max(1, round(silent_s / 6)),
        "keepalives_count": 3,
    }
