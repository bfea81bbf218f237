"""The database as it was when a backup was made: all of it, or what was there stays.

A backup brings back what ended after it was made: tokens that were taken back, passwords that were
changed. And what was made after it had ids, which programs still know. So a restored database
honours no token from before, and gives no id a second time, unless it is told that nothing happened
since.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from sqlalchemy import Engine, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from v6srv import migrations
from v6srv.db import Base, make_engine, sqlite_file
from v6srv.engine import outages
from v6srv.errors import Conflict, Invalid, NotFound, Unavailable
from v6srv.service import backup
from v6srv.service.agreement import GONE_S, present

_SQLITE, _POSTGRESQL = b"SQLite format 3\0", b"PGDMP"
_PROGRAMS = ("pg_restore", "psql")
_PATIENCE_S = 10
"""For a lock that somebody holds who is no server."""

SPENT_VERSIONS = 1_000
"""How often an account may have ended its tokens since the backup."""
SPENT_IDS = 1_000_000
"""How many rows of a table may have been made since the backup."""

_NO_TOKENS = (
    f"UPDATE authenticatable SET token_version = token_version + {SPENT_VERSIONS},"  # noqa: S608
    " kept_session = NULL"
)
_NO_IDS_SQLITE = (
    "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM sqlite_master WHERE type = 'table'"
    " AND sql LIKE '%AUTOINCREMENT%' AND name NOT IN (SELECT name FROM sqlite_sequence)",
    f"UPDATE sqlite_sequence SET seq = seq + {SPENT_IDS}",  # noqa: S608
)
_NO_IDS_POSTGRESQL = (
    "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass,"  # noqa: S608
    f" coalesce(last_value, 0) + {SPENT_IDS}) FROM pg_sequences"
    " WHERE schemaname = current_schema();\n"
)


def examine(file: Path) -> str:
    """The revision of a backup that is whole. Raises NotFound, Invalid and Unavailable."""
    if _kind(file) == _POSTGRESQL:
        with _program("pg_restore", "--file=-", str(file)) as (reader, said):
            _require_success(file, reader, said)
        return _known_revision(file, _revision_in_archive(file))
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            backup.require_whole(opened)
            return _known_revision(file, _revision_in(opened))
    except sqlite3.Error as error:
        raise Unavailable(f"{file} cannot be restored: {error}") from error


def restore(uri: str, file: Path, *, replace: bool = False, keep_sessions: bool = False) -> str:
    """Put the content of a backup in the place of the database; the revision of its schema.

    `replace`: also where there is a database already. `keep_sessions`: the server has not worked
    since the backup, as when it moves to another machine; tokens and ids go on.

    Nothing is changed when it fails. Raises NotFound for a file that there is not, Invalid for one
    that is no backup of this kind of database or of a newer release, Conflict where servers are
    running or a database is not to be replaced, and Unavailable when it cannot be done.
    """
    kind = _kind(file)
    into = sqlite_file(uri)
    wanted = _POSTGRESQL if into is None else _SQLITE
    if make_url(uri).get_backend_name() == "sqlite" and into is None:
        raise Invalid("A database in memory ends with its process: nothing can be restored to it")
    if kind != wanted:
        raise Invalid(
            f"{file} is a backup of {_NAMES[kind]}, and the database is {_NAMES[wanted]}'s"
        )
    if into is None:
        return _restore_postgresql(uri, file, replace, keep_sessions)
    return _restore_sqlite(uri, into, file, replace, keep_sessions)


_NAMES = {_SQLITE: "SQLite", _POSTGRESQL: "PostgreSQL"}


def _kind(file: Path) -> bytes:
    if not file.is_file():
        raise NotFound(f"There is no file {file}")
    with file.open("rb") as opened:
        head = opened.read(16)
    for kind in _NAMES:
        if head.startswith(kind):
            return kind
    raise Invalid(
        f"{file} is no backup: neither a copy by v6srv backup, nor an archive by pg_dump"
        " --format=custom"
    )


def _require_room(engine: Engine, replace: bool) -> None:
    """Raise Conflict unless nobody uses the database, and it is empty or may be replaced."""
    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
        running = len(present(connection))
    if running:
        raise Conflict(
            f"{running} server processes use this database: stop them first. One that has crashed"
            f" is forgotten after {GONE_S:.0f} seconds"
        )
    if tables and not replace:
        raise Conflict("There is a database already: --replace puts the backup in its place")


# --- SQLite


def _restore_sqlite(uri: str, into: Path, file: Path, replace: bool, keep_sessions: bool) -> str:
    if into.exists() and into.samefile(file):
        raise Conflict(f"{file} is the database itself")
    into.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    try:
        with backup.fresh_beside(into) as fresh:
            backup.copy_to(file, fresh, mode="ro")
            with closing(sqlite3.connect(fresh)) as restored, restored:
                revision = _known_revision(file, _revision_in(restored))
                if not keep_sessions:
                    for statement in (_NO_TOKENS, *_NO_IDS_SQLITE):
                        restored.execute(statement)
            _give_way(uri, into, replace)
            backup.put_in_place(fresh, into)
    except sqlite3.Error as error:
        raise Unavailable(f"{file} cannot be restored: {error}. Nothing was changed") from error
    return revision


def _revision_in(restored: sqlite3.Connection) -> str | None:
    with suppress(sqlite3.OperationalError):  # there is no such table
        for [revision] in restored.execute("SELECT version_num FROM alembic_version"):
            return str(revision)
    return None


def _give_way(uri: str, into: Path, replace: bool) -> None:
    """See to it that nobody has the old database open, and that nothing of it lies beside it."""
    if into.exists() and into.stat().st_size:
        engine = make_engine(uri)
        try:
            _require_room(engine, replace)
            engine.dispose()
            with closing(sqlite3.connect(into, timeout=_PATIENCE_S)) as old:
                # This takes what is in the -wal into the file, and cannot be done while somebody
                # else has the database open.
                old.execute("PRAGMA journal_mode=DELETE").fetchall()
        except (SQLAlchemyError, sqlite3.Error) as error:
            if outages.outage_of(getattr(error, "orig", None) or error) is outages.LOCKED:
                raise Conflict(f"Another program has {into} open: stop it first") from error
            raise Unavailable(
                f"The database {into} cannot be read: {error}. Stop all servers, move it away, and"
                " try again"
            ) from error
        finally:
            engine.dispose()
    backup.remove_parts(into)


# --- PostgreSQL


def _restore_postgresql(uri: str, file: Path, replace: bool, keep_sessions: bool) -> str:
    for program in _PROGRAMS:
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: it comes with the client of PostgreSQL")
    revision = _known_revision(file, _revision_in_archive(file))
    engine = make_engine(uri)
    try:
        _require_room(engine, replace)
    finally:
        engine.dispose()
    tables = ", ".join(f'"{name}"' for name in [*Base.metadata.tables, "alembic_version"])
    before = f"SET lock_timeout = '{_PATIENCE_S}s'; BEGIN; DROP TABLE IF EXISTS {tables};\n"
    after = "\nRESET search_path; TRUNCATE server_process;\n"
    if not keep_sessions:
        after += f"{_NO_TOKENS};\n{_NO_IDS_POSTGRESQL}"
    _load(uri, file, before, after)
    return revision


def _revision_in_archive(file: Path) -> str | None:
    """The one that an archive holds. Raises Unavailable for one that cannot be read."""
    arguments = ("--data-only", "--table=alembic_version", "--file=-", str(file))
    with _program("pg_restore", *arguments, stdout=subprocess.PIPE) as (reader, said):
        printed, _ = reader.communicate()
        _require_success(file, reader, said)
    found = re.search(r"^COPY .*alembic_version .*\n(.+)\n\\\.$", printed.decode(), re.M)
    return found[1] if found else None


def _load(uri: str, file: Path, before: str, after: str) -> None:
    """One transaction, which is committed when the archive was read to its end."""
    arguments = ("--no-owner", "--no-privileges", "--file=-", str(file))
    into = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", backup.without_password(uri))
    with (
        _program("pg_restore", *arguments, stdout=subprocess.PIPE) as (reader, said),
        _program("psql", *into, stdin=subprocess.PIPE, env=backup.password_of(uri)) as (
            writer,
            answered,
        ),
    ):
        assert reader.stdout is not None
        assert writer.stdin is not None
        with suppress(BrokenPipeError), writer.stdin as script:
            script.write(before.encode())
            _pour(reader.stdout, script)
            if reader.wait() == 0:
                # Without this the transaction is taken back when the connection ends.
                script.write(f"{after}COMMIT;\n".encode())
        _require_success(file, writer, answered)
        _require_success(file, reader, said)


@contextmanager
def _program(
    name: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A program of PostgreSQL, and what it says of its errors. It ends with the block."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            [name, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=said,
            env={**os.environ, **(env or {})},
        )
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


def _require_success(file: Path, process: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    if process.wait():
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        reason = lines[0] if lines else "no reason was given"
        raise Unavailable(f"{file} cannot be restored: {reason}. Nothing was changed")


def _pour(source: IO[bytes], target: IO[bytes]) -> None:
    """All of it, but for a setting that newer programs make and older servers do not know."""
    head = source.read(4096)
    target.write(head.replace(b"SET transaction_timeout = 0;\n", b""))
    shutil.copyfileobj(source, target, 1 << 20)


def _known_revision(file: Path, revision: str | None) -> str:
    if revision is None:
        raise Invalid(f"{file} is no backup of this server: it has no revision of a schema")
    migrations.require_known(revision)
    return revision
