"""Session, transactions, and the base of all tables.

One transaction per request: reads never commit, writes commit once, a refusal rolls back. Nothing
commits but `transaction`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    DateTime,
    Dialect,
    Engine,
    Float,
    MetaData,
    event,
    literal,
    make_url,
    text,
)
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    ORMExecuteState,
    Session,
    SessionTransaction,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeDecorator

from v6srv.engine import SPENT, Probe, is_writing, make_engine, work_on, writing
from v6srv.errors import Conflict, Invalid

if TYPE_CHECKING:
    from v6srv.settings import DatabaseLimits

__all__ = [
    "AS_A_WHOLE",
    "FLUSHING",
    "LARGEST_ID",
    "Base",
    "JsonArray",
    "UtcDateTime",
    "answers",
    "connect",
    "database_now",
    "has_written",
    "json_rows",
    "let_go",
    "make_engine",
    "nothing_more",
    "reading",
    "session",
    "something_large",
    "sqlite_file",
    "transaction",
    "utcnow",
    "wait_for_others",
    "work_on",
]

LARGEST_ID = 2**31 - 1
"""No row has a larger id; drivers refuse what does not fit the column."""


class UtcDateTime(TypeDecorator[datetime]):
    """Aware datetimes in Python, UTC without offset in the database.

    A naive value is stored as it is: the contract prints node-local times with `+00:00` (H15).
    """

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, naive."""
        if value is None or value.tzinfo is None:
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To aware."""
        return None if value is None else value.replace(tzinfo=UTC)


def utcnow() -> datetime:
    """Now, aware, UTC."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}


class JsonArray(TypeDecorator[list[Any]]):
    """The result of `json_rows`: a sorted list, empty when there are no rows."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], list[Any]]:
        """Sorted, and never null. SQLite gives text, PostgreSQL's driver what it says."""

        def read(value: Any) -> list[Any]:
            found = orjson.loads(value) if isinstance(value, str) else value
            return sorted(found) if found else []

        return read


class json_rows(FunctionElement[list[Any]]):  # noqa: N801 - it is written like a SQL function
    """Aggregate: one list of the rows of a subquery, by first column.

    One column gives a list of values, several a list of lists. The first column must be unique.
    """

    name = "json_rows"
    type = JsonArray()
    inherit_cache = True


@compiles(json_rows, "sqlite")
def _json_rows_sqlite(element: json_rows, compiler: SQLCompiler, **kw: Any) -> str:
    columns = compiler.process(element.clauses, **kw)
    return f"json_group_array({columns if len(element.clauses) == 1 else f'json_array({columns})'})"


@compiles(json_rows, "postgresql")
def _json_rows_postgresql(element: json_rows, compiler: SQLCompiler, **kw: Any) -> str:
    columns = compiler.process(element.clauses, **kw)
    return f"json_agg({columns if len(element.clauses) == 1 else f'json_build_array({columns})'})"


class is_found(FunctionElement[bool]):  # noqa: N801 - it is written like a SQL function
    """Whether a value is what a query finds, which is run once and not for each row.

    Takes the value and the query as a scalar sub-query.
    """

    name = "is_found"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: Any = None) -> Any:
        """Itself: for SQLite it would be `... = 1`, which no index is used for."""
        return self


@compiles(is_found, "sqlite")
def _found_by_sqlite(element: is_found, compiler: SQLCompiler, **kw: Any) -> str:
    value, query = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({value} IN {query})"


@compiles(is_found, "postgresql")
def _found_by_postgresql(element: is_found, compiler: SQLCompiler, **kw: Any) -> str:
    # It would join what `IN` finds and read the whole table for it, however little is found.
    value, query = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({value} = ANY (ARRAY{query}))"


class database_now(FunctionElement[datetime]):  # noqa: N801 - it is written like a SQL function
    """The time of the database, `ago_s` seconds before now.

    The one clock that all processes share: what one of them writes and another judges by its age
    must be written and judged by it. The time at which the statement began. `ago_s` can be a value
    of a row.
    """

    name = "database_now"
    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, ago_s: float | ColumnElement[int] = 0.0) -> None:
        super().__init__(literal(-ago_s, Float()) if isinstance(ago_s, (int, float)) else -ago_s)


@compiles(database_now, "sqlite")
def _database_now_sqlite(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    later = f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%.3f seconds', {seconds}))"
    return f"({later} || '000')"  # microseconds, as SQLAlchemy writes and reads them


@compiles(database_now, "postgresql")
def _database_now_postgresql(element: database_now, compiler: SQLCompiler, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    utc = "(statement_timestamp() AT TIME ZONE 'UTC')"
    return f"({utc} + make_interval(secs => {seconds}))"


AS_A_WHOLE: ContextVar[bool] = ContextVar("v6srv_as_a_whole", default=False)
"""Queries do not write what was changed before them, in whichever session."""


class UnitSession(Session):
    """A session that says in its `info` that it writes what was changed in it (`FLUSHING`).

    Whoever looks at the statements of a connection can tell these from what was given as SQL.
    """

    @property
    def autoflush(self) -> bool:
        """Whether queries write what was changed before them."""
        return self._autoflushes and not AS_A_WHOLE.get()

    @autoflush.setter
    def autoflush(self, value: bool) -> None:
        self._autoflushes = value

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Write what was changed."""
        outer = self.info.get(FLUSHING, False)
        self.info[FLUSHING] = True
        try:
            super().flush(objects)
        finally:
            self.info[FLUSHING] = outer


FLUSHING = "v6srv_flushing"

session = scoped_session(sessionmaker(class_=UnitSession, expire_on_commit=False))

_NOTHING_MORE = "v6srv_nothing_more"
_WRITTEN = "v6srv_written"
"""Key of `Session.info`: something has been written that is not stored yet."""


@contextmanager
def transaction(
    of: Session | None = None, *, keep: bool = True, pending: bool = False
) -> Iterator[Session]:
    """Store what is written inside, at its end, or nothing of it. Nothing else commits.

    SQLite's lock for writing is taken with the first statement, so nobody writes between what is
    read here and what is written. What the session has read before is let go.

    `of`: another session than that of the request. `keep`: False takes everything back at the end.
    `pending`: what was changed before the block is stored with it, as at a prompt.

    Raises Conflict for what contradicts stored rows, Invalid for a value that no column can hold,
    and RuntimeError inside of another transaction.
    """
    if is_writing():
        raise RuntimeError("a transaction inside of a transaction")
    sess = of or session()
    if not pending:
        let_go(sess)
    with writing(), _whole(sess):
        yield sess
        if keep:
            sess.commit()
        else:
            sess.rollback()


def reading() -> AbstractContextManager[None]:
    """What is only read inside; errors of the database become ours, as in `transaction`."""
    return _whole()


def wait_for_others(sess: Session, key: int) -> None:
    """Until the transaction of a session ends, whoever else calls this with the key waits.

    On SQLite a transaction that writes is alone anyway.
    """
    if sess.get_bind().dialect.name == "postgresql":
        sess.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


@contextmanager
def nothing_more() -> Iterator[None]:
    """Inside nothing is asked of the database: what is shown there was asked for before, and so
    decided. A related row that a template names would be read past the policies.

    Raises AssertionError, to whoever asks.
    """
    info = session().info
    info[_NOTHING_MORE] = True
    try:
        yield
    finally:
        del info[_NOTHING_MORE]


def something_large() -> None:
    """Something large passes through the connection of this transaction: it is used no more."""
    session.connection().info[SPENT] = True


def let_go(of: Session | None = None) -> None:
    """End what the session has read: nothing that takes its time may hold a transaction open.

    Raises RuntimeError when something has been written, which would be lost.
    """
    sess = of or session()
    changed = (*sess.new, *sess.deleted, *filter(sess.is_modified, sess.dirty))
    if has_written(sess) or changed:
        raise RuntimeError("what was written in this transaction is not stored yet")
    sess.rollback()


def has_written(sess: Session) -> bool:
    """Whether the transaction of a session has written something already."""
    return bool(sess.info.get(_WRITTEN))


@contextmanager
def _whole(of: Session | None = None) -> Iterator[None]:
    """All or nothing. `of`: as of `transaction`; who needs no session has none made."""
    try:
        yield
    except BaseException as error:
        if of is not None or session.registry.has():
            (of or session()).rollback()
        if isinstance(error, IntegrityError):
            told = "This contradicts what is stored, or what it refers to is gone"
            raise Conflict(told) from error
        if isinstance(error, DataError):
            raise Invalid("A value is too large or of the wrong type") from error
        raise


@event.listens_for(session, "after_flush")
def _flushed(sess: Session, _context: object) -> None:
    sess.info[_WRITTEN] = True


@event.listens_for(session, "do_orm_execute")
def _executed(state: ORMExecuteState) -> None:
    assert _NOTHING_MORE not in state.session.info, f"asked while it is shown: {state.statement}"
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info[_WRITTEN] = True


@event.listens_for(session, "after_transaction_end")
def _ended(sess: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        sess.info.pop(_WRITTEN, None)


_probe: Probe | None = None


def connect(uri: str, limits: "DatabaseLimits | None" = None) -> Engine:
    """Bind the session to the database of a SQLAlchemy URL and return its engine.

    `limits` are for servers, as those of `make_engine`.
    """
    global _probe
    engine = make_engine(uri, limits)
    session.remove()
    session.configure(bind=engine)
    if _probe is not None:
        _probe.engine.dispose()
    _probe = Probe(uri) if limits else None
    return engine


def answers() -> bool:
    """Whether the database of the server answers; known within a second, whatever is wrong."""
    return _probe is not None and _probe.answers()


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite database; None for one in memory or on a server."""
    url = make_url(uri)
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(url.database)
