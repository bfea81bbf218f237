"""The database of a server of 3.x or 4.x, as it is read: schema, connection, values.

Nothing here writes: the connection is read-only, for the database as well.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    Integer,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError

from v6srv.db import LARGEST_ID
from v6srv.errors import Invalid
from v6srv.service.takeover.releases import RELEASES, Release

BATCH = 500
"""Rows that are held in memory at once: results have large texts."""


@contextmanager
def open_source(address: str, release: Release) -> Iterator[Connection]:
    """A connection to the database of a server at this URL, in one read-only transaction.

    Raises Invalid when it is no URL of a SQLite file or a PostgreSQL database, or when the tables
    of the release are not there; no text of it repeats the URL, which may hold a password.
    """
    engine = _engine(_url(address))
    try:
        with engine.connect() as connection, connection.begin():
            _require_schema(connection, release)
            yield connection
    finally:
        engine.dispose()


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:
        raise Invalid("The source is not a database URL") from error
    if "@" in (url.host or ""):  # or an error message of the driver shows half a password
        raise Invalid("The source is not a database URL: write @ in a password as %40")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise Invalid("The source must be the URL of a SQLite or PostgreSQL database")
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            isolation_level="REPEATABLE READ",
            execution_options={"postgresql_readonly": True},
        )
    path = Path(url.database or "")
    if not path.is_file():
        raise Invalid(f"There is no database at {path}")
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    engine = create_engine(
        "sqlite://",
        poolclass=NullPool,
        creator=lambda: sqlite3.connect(address, uri=True, isolation_level=None),
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _require_schema(connection: Connection, release: Release) -> None:
    there = inspect(connection)
    names = set(there.get_table_names())
    if "policy_revision" in names:
        raise Invalid(
            f"The source is the database of a v6srv server, not of a {release.name} server"
        )
    missing = _missing(release, names)
    if missing:
        problems = [f"The source has no table {name}" for name in missing]
        other = next((one for one in RELEASES if not _missing(one, names)), None)
        what = f"It is not the database of a {release.name} server"
        advice = f"{what} but of a {other.name} server: use {other.command}" if other else what
        raise Invalid("\n".join([*problems, advice]))
    problems = []
    for table in release.tables.values():
        columns = {column["name"] for column in there.get_columns(table.name)}
        problems += [
            f"Table {table.name} of the source has no column {column.name}"
            for column in table.c
            if column.name not in columns
        ]
    if problems:
        advice = f"A {release.version} server adds missing columns when it starts"
        raise Invalid("\n".join([*problems, f"{advice}: start it once on this database"]))


def _missing(release: Release, names: Collection[str]) -> list[str]:
    return [table.name for table in release.tables.values() if table.name not in names]


def rows_of(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table, by id where it has one, a few in memory at a time.

    By the keys of its columns. Raises Invalid for values that a database of this server cannot
    store.
    """
    query = select(*(column.label(column.key) for column in table.c))
    query = query.order_by(*(column for column in table.c if column.key == "id"))
    rows = connection.execution_options(yield_per=BATCH).execute(query).mappings()
    try:
        for row in rows:
            yield {key: _storable(value, table.c[key]) for key, value in row.items()}
    except (ValueError, TypeError) as error:  # of the types, while a row is fetched
        raise Invalid(f"Table {table.name} of the source: a value cannot be read") from error


def _storable(value: Any, column: Column[Any]) -> Any:
    """The value as its column needs it: SQLite keeps any value in any column."""
    kind, at = column.type, f"Table {column.table.name} of the source"
    if value is None:
        return None
    if isinstance(kind, Integer) and not (isinstance(value, int) and abs(value) <= LARGEST_ID):
        raise Invalid(f"{at}: the {column.name} {value} cannot be stored")
    if not isinstance(kind, Text):
        return value
    text = value.decode() if isinstance(value, bytes) else str(value)
    if "\x00" in text:
        raise Invalid(f"{at}: {column.name} holds a NUL character")
    return text


def require_unique(rows: Iterable[dict[str, Any]], kind: str, column: str) -> None:
    """Raise Invalid when two rows (of `kind`) have the same value, which is not allowed here."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            ids[row[column]].append(str(row["id"]))
    problems = [
        f"{kind} {', '.join(same)} of the source have the same {column} {value}"
        for value, same in ids.items()
        if len(same) > 1
    ]
    if problems:
        raise Invalid("\n".join(problems))


def closing_circles(parents: Mapping[int, int]) -> list[int]:
    """Tasks to take out of `parents` so that nobody is an ancestor of itself."""
    found: list[int] = []
    done: set[int] = set()
    for start in parents:
        path: list[int] = []
        on_path: set[int] = set()
        id_: int | None = start
        while id_ is not None and id_ not in done:
            path.append(id_)
            on_path.add(id_)
            parent = parents.get(id_)
            if parent in on_path:
                found.append(id_)
                break
            id_ = parent
        done.update(path)
    return found
