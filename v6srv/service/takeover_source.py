"""The database of a 3.x server (models.md), as it is read: schema, connection, values.

Nothing here writes: the connection is read-only, for the database as well.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Boolean,
    Column,
    Connection,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
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

BATCH = 500
"""Rows that are held in memory at once: results have large texts."""

METADATA = MetaData()


def _table(name: str, /, **columns: type[Any]) -> Table:
    return Table(name, METADATA, *(Column(column, type_()) for column, type_ in columns.items()))


ACCOUNT = _table("authenticatable", id=Integer, type=Text, ip=Text, last_seen=DateTime, status=Text)
ORGANIZATION = _table(
    "organization",
    id=Integer,
    name=Text,
    domain=Text,
    address1=Text,
    address2=Text,
    zipcode=Text,
    country=Text,
    _public_key=LargeBinary,
)
COLLABORATION = _table("collaboration", id=Integer, name=Text, encrypted=Boolean)
USER = _table(
    "user",
    id=Integer,
    username=Text,
    password=Text,
    firstname=Text,
    lastname=Text,
    email=Text,
    organization_id=Integer,
    failed_login_attempts=Integer,
    last_login_attempt=DateTime,
    otp_secret=Text,
)
NODE = _table(
    "node", id=Integer, name=Text, api_key=Text, collaboration_id=Integer, organization_id=Integer
)
NODECONFIG = _table("nodeconfig", id=Integer, node_id=Integer, key=Text, value=Text)
RULE = _table("rule", id=Integer, name=Text, operation=Text, scope=Text)
ROLE = _table("role", id=Integer, name=Text, description=Text, organization_id=Integer)
TASK = _table(
    "task",
    id=Integer,
    name=Text,
    description=Text,
    image=Text,
    database=Text,
    collaboration_id=Integer,
    run_id=Integer,
    parent_id=Integer,
    initiator_id=Integer,
    init_user_id=Integer,
    created_at=DateTime,
)
RESULT = _table(
    "result",
    id=Integer,
    task_id=Integer,
    organization_id=Integer,
    input=Text,
    result=Text,
    log=Text,
    assigned_at=DateTime,
    started_at=DateTime,
    finished_at=DateTime,
    status=Text,
)
PORT = _table("algorithmport", id=Integer, port=Integer, result_id=Integer, label=Text)
MEMBER = _table("Member", organization_id=Integer, collaboration_id=Integer)
PERMISSION = _table("Permission", role_id=Integer, user_id=Integer)
USER_PERMISSION = _table("UserPermission", rule_id=Integer, user_id=Integer)
ROLE_RULE = _table("role_rule_association", role_id=Integer, rule_id=Integer)


@contextmanager
def open_source(address: str) -> Iterator[Connection]:
    """A connection to the database of a 3.x server at this URL, in one read-only transaction.

    Raises Invalid when it is no URL of a SQLite file or a PostgreSQL database, or when the tables
    of release 3.11 are not there; no text of it repeats the URL, which may hold a password.
    """
    engine = _engine(_url(address))
    try:
        with engine.connect() as connection, connection.begin():
            _require_schema(connection)
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


def _require_schema(connection: Connection) -> None:
    there = inspect(connection)
    names = set(there.get_table_names())
    if "policy_revision" in names:
        raise Invalid("The source is the database of a v6srv server, not of a 3.x server")
    problems = [f"The source has no table {name}" for name in METADATA.tables if name not in names]
    if problems:
        raise Invalid("\n".join([*problems, "It is not the database of a 3.x server"]))
    for table in METADATA.tables.values():
        columns = {column["name"] for column in there.get_columns(table.name)}
        problems += [
            f"Table {table.name} of the source has no column {column.name}"
            for column in table.c
            if column.name not in columns
        ]
    if problems:
        advice = "A 3.11 server adds missing columns when it starts: start it once on this database"
        raise Invalid("\n".join([*problems, advice]))


def rows_of(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    """The rows of a table, by id where it has one, a few in memory at a time.

    Raises Invalid for values that a database of this server cannot store.
    """
    query = select(table).order_by(*[column for column in table.c if column.name == "id"])
    rows = connection.execution_options(yield_per=BATCH).execute(query).mappings()
    try:
        for row in rows:
            yield {key: _storable(value, table, str(key)) for key, value in row.items()}
    except (ValueError, TypeError) as error:  # of the types, while a row is fetched
        raise Invalid(f"Table {table.name} of the source: a value cannot be read") from error


def _storable(value: Any, table: Table, column: str) -> Any:
    """The value as its column needs it: SQLite keeps any value in any column."""
    kind = table.c[column].type
    if value is None:
        return None
    if isinstance(kind, Integer) and not (isinstance(value, int) and abs(value) <= LARGEST_ID):
        raise Invalid(f"Table {table.name} of the source: the {column} {value} cannot be stored")
    if not isinstance(kind, Text):
        return value
    text = value.decode() if isinstance(value, bytes) else str(value)
    if "\x00" in text:
        raise Invalid(f"Table {table.name} of the source: {column} holds a NUL character")
    return text


def require_unique(rows: Iterable[dict[str, Any]], kind: str, column: str) -> None:
    """Raise Invalid when two rows have the same value, which this server does not allow."""
    ids: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row[column] is not None:
            ids[row[column]].append(str(row["id"]))
    problems = [
        f"{kind}s {', '.join(same)} of the source have the same {column} {value}"
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
