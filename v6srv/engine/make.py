"""Engines, as `settings.database` wants them."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from v6srv.engine import outages, sqlite
from v6srv.engine.gates import GatedPool, Gates, is_writing, let_out

if TYPE_CHECKING:
    from v6srv.settings import DatabaseLimits

SPENT = "v6srv_spent"
"""Key of `Connection.info`: it is closed when it is given back."""


@cache
def patient() -> "DatabaseLimits":
    """The limits of commands: somebody waits for their end and would rather wait longer."""
    from v6srv.settings import DatabaseLimits

    return DatabaseLimits(lock_timeout_s=60, pool_timeout_s=60)


def make_engine(uri: str, limits: "DatabaseLimits | None" = None, **options: Any) -> Engine:
    """An engine for SQLite (WAL, foreign keys) or PostgreSQL.

    With `limits`, for servers: nothing takes longer than they say, and what cannot be done because
    of the state of the database raises Unavailable. Without, for commands: statements take the time
    that they take, and errors are those of SQLAlchemy.
    """
    url, kept = make_url(uri), limits or patient()
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        options["connect_args"] = {
            "check_same_thread": False,
            "timeout": 0,
            "factory": sqlite.Connection,
        }
    else:
        from v6srv.engine import postgresql  # it brings a driver along

        given = postgresql.parameters(kept).items()
        options["connect_args"] = {name: value for name, value in given if name not in url.query}
        options.setdefault("pool_pre_ping", True)
    if is_sqlite and url.database in (None, "", ":memory:"):
        engine = create_engine(url, poolclass=StaticPool, **options)
    else:
        engine = create_engine(url, **_pool(kept, is_sqlite=is_sqlite), **options)
        event.listen(engine, "checkin", let_out)
    if is_sqlite:
        event.listen(engine, "connect", partial(_prepare_sqlite, kept))
        event.listen(engine, "begin", _begin_sqlite)
    elif limits:
        event.listen(engine, "do_connect", partial(_connect_postgresql, limits))
    if limits:
        event.listen(engine, "handle_error", outages.translate)
        event.listen(engine, "after_cursor_execute", outages.executed)
        event.listen(engine, "rollback", outages.rolled_back)
        event.listen(engine, "checkin", outages.came_back)
    if not is_sqlite:
        event.listen(engine, "checkin", _close_spent)
    return engine


def _close_spent(_connection: object, record: ConnectionPoolEntry) -> None:
    """Drivers of PostgreSQL keep as much memory as the largest value took that passed through."""
    if record.info.pop(SPENT, False):
        record.invalidate()


def _pool(limits: "DatabaseLimits", *, is_sqlite: bool) -> dict[str, Any]:
    most = limits.pool_size + limits.max_overflow
    writer_s = limits.lock_timeout_s if is_sqlite else None
    return {
        "poolclass": GatedPool,
        "pool_size": limits.pool_size,
        "max_overflow": limits.max_overflow,
        "pool_timeout": limits.pool_timeout_s,
        # The one that was used last has the statements at hand, and others need no memory for them.
        "pool_use_lifo": True,
        "gates": Gates(max(1, most // 3), limits.pool_timeout_s, writer_s),
    }


def _prepare_sqlite(limits: "DatabaseLimits", connection: Any, _record: object) -> None:
    sqlite.prepare(connection, limits.lock_timeout_s)


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing() else "BEGIN")


def _connect_postgresql(
    limits: "DatabaseLimits", _dialect: object, _record: object, arguments: Any, parameters: Any
) -> Any:
    from v6srv.engine import postgresql

    return postgresql.connect(limits, *arguments, **parameters)
