"""What errors of the database mean, and when an outage is over."""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Column, Integer, MetaData, Table, event, text

from v6srv import problems
from v6srv.db import make_engine
from v6srv.engine import outages
from v6srv.engine.outages import (
    AWAY,
    EXHAUSTED,
    FULL,
    LOCKED,
    OTHER_TABLES,
    READ_ONLY,
    SLOW,
    Outage,
    outage_of,
)
from v6srv.errors import DatabaseUnavailable
from v6srv.settings import DatabaseLimits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(outages, "time", made)
    monkeypatch.setattr(outages, "_failed_at", {})
    monkeypatch.setattr(problems, "_standing", {})
    return made


def of_sqlite(code: int, text: str = "it failed") -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (of_sqlite(sqlite3.SQLITE_BUSY), LOCKED),
        (of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), LOCKED),
        (of_sqlite(sqlite3.SQLITE_FULL), FULL),
        (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), READ_ONLY),
        (of_sqlite(sqlite3.SQLITE_IOERR_READ), AWAY),
        (of_sqlite(sqlite3.SQLITE_CANTOPEN), AWAY),
        (of_sqlite(sqlite3.SQLITE_ERROR, "no such table: task"), OTHER_TABLES),
        (of_sqlite(sqlite3.SQLITE_ERROR, 'near "SELEKT": syntax error'), None),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), None),
        (psycopg.OperationalError("connection refused"), AWAY),
        (psycopg.errors.AdminShutdown("terminating connection"), AWAY),
        (psycopg.errors.CannotConnectNow("starting up"), AWAY),
        (psycopg.errors.LockNotAvailable("lock timeout"), LOCKED),
        (psycopg.errors.DeadlockDetected("deadlock"), LOCKED),
        (psycopg.errors.QueryCanceled("statement timeout"), SLOW),
        (psycopg.errors.DiskFull("no space left"), FULL),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), READ_ONLY),
        (psycopg.errors.TooManyConnections("too many clients"), EXHAUSTED),
        (psycopg.errors.UndefinedTable("no relation"), OTHER_TABLES),
        (psycopg.errors.FeatureNotSupported("cached plan must not change"), OTHER_TABLES),
        (psycopg.errors.SyntaxError("syntax"), None),
        (psycopg.errors.UniqueViolation("duplicate key"), None),
        (psycopg.DataError("text fields cannot contain NUL"), None),
        (ValueError("something else"), None),
    ],
)
def test_the_fault_of_the_database_is_told_from_that_of_the_statement(error, outage):
    assert outage_of(error) is outage


def test_an_outage_is_one_line_when_it_begins_and_one_when_it_is_over(clock, caplog):
    for _ in range(5):
        error = outages.begin(AWAY, "connection refused")
        assert isinstance(error, DatabaseUnavailable)
        assert error.retry_after_s
    clock.now += AWAY.quiet_s
    outages.worked()
    outages.worked()
    assert [record.getMessage() for record in caplog.records] == [
        f"{AWAY.text} (connection refused)",
        f"over: {AWAY.text}",
    ]


@pytest.mark.parametrize("outage", [AWAY, FULL, LOCKED, EXHAUSTED])
def test_an_outage_is_not_over_while_something_still_fails(clock, outage: Outage):
    outages.begin(outage, "")
    clock.now += outage.quiet_s - 0.1
    outages.worked(wrote=True)
    assert problems.standing() == [outage.text]


def test_only_a_write_shows_that_writing_works(clock):
    outages.begin(FULL, "")
    clock.now += 1000
    outages.worked()
    assert problems.standing() == [FULL.text]
    outages.worked(wrote=True)
    assert problems.standing() == []


def test_a_transaction_that_changes_nothing_shows_nothing_of_writing(clock, tmp_path: Path):
    """Loops commit all the time, whether or not there was something to do."""
    engine = make_engine(f"sqlite:///{tmp_path}/some.sqlite", DatabaseLimits())
    table = Table("some", MetaData(), Column("number", Integer))
    table.create(engine)
    outages.begin(FULL, "")
    clock.now += 1000
    with engine.begin() as connection:
        connection.execute(table.delete())
    with engine.connect() as connection:
        connection.execute(table.insert(), {"number": 1})
        connection.rollback()
    assert problems.standing() == [FULL.text]
    with engine.begin() as connection:
        connection.execute(table.insert(), {"number": 1})
    assert problems.standing() == []


def test_a_connection_whose_statement_failed_proves_nothing(clock, tmp_path: Path):
    """Its transaction is rolled back all the same, and it goes back to the pool."""
    engine = make_engine(f"sqlite:///{tmp_path}/some.sqlite", DatabaseLimits())
    with engine.connect() as connection:
        with pytest.raises(DatabaseUnavailable):
            connection.exec_driver_sql("SELECT * FROM missing")
        clock.now += 1000
    assert problems.standing() == [OTHER_TABLES.text]


def test_no_connection_left_is_an_outage_too(clock, tmp_path: Path):
    limits = DatabaseLimits(pool_size=1, max_overflow=0, pool_timeout_s=0.01)
    engine = make_engine(f"sqlite:///{tmp_path}/some.sqlite", limits)
    with engine.connect(), pytest.raises(DatabaseUnavailable):
        engine.connect()
    assert problems.standing() == [EXHAUSTED.text]


def test_what_ends_a_process_in_a_statement_stays_what_it_is(tmp_path: Path) -> None:
    """Its connection is given up; ending the transaction is no error of its own."""

    def ends(*_: object) -> None:
        raise SystemExit("the worker ends")

    engine = make_engine(f"sqlite:///{tmp_path / 'a.sqlite'}", DatabaseLimits())
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        event.listen(engine, "before_cursor_execute", ends)
        with pytest.raises(SystemExit, match="the worker ends"):
            connection.execute(text("SELECT 2"))
        connection.rollback()
    engine.dispose()
