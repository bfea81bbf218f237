"""A copy of the database while servers work with it."""

import os
import secrets
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import make_url

from v6srv.db import sqlite_file
from v6srv.errors import Conflict, Invalid, NotFound, Unavailable

_PATIENCE_S = 60.0
"""For a lock of the file; only a database that is not in WAL mode needs it."""
_SECRETS = ("password", "sslpassword", "passfile")
"""Parameters of a PostgreSQL URL that are not repeated."""


def copy(uri: str, target: Path, *, replace: bool = False) -> int:
    """Copy a SQLite database to `target`, as it stands at one moment; returns the size in bytes.

    Everything that was committed before the call is in it, what only the `-wal` holds included.
    Servers go on reading and writing meanwhile. The copy is one file of mode 0600, checked, and
    appears under its name only when it is complete.

    Raises Conflict when `target` exists (unless `replace`) or is the database; NotFound when there
    is no database; Invalid for one that is not SQLite's; Unavailable when it cannot be copied.
    """
    source = sqlite_file(uri)
    if source is None:
        raise Invalid("Only the database of a file can be copied to a file")
    if not source.exists():
        raise NotFound(f"There is no database at {source}")
    if target.exists():
        if target.samefile(source):
            raise Conflict(f"{target} is the database itself")
        if not replace:
            raise Conflict(f"{target} exists already: nothing was copied (--force replaces it)")
    try:
        with fresh_beside(target) as fresh:
            copy_to(source, fresh)
            size = fresh.stat().st_size
            put_in_place(fresh, target)
    except sqlite3.Error as error:
        raise Unavailable(f"{source} cannot be copied to {target}: {error}") from error
    return size


@contextmanager
def fresh_beside(target: Path) -> Iterator[Path]:
    """An empty file for the owner alone, beside another. What is left of it goes at the end."""
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)
        remove_parts(fresh)


def remove_parts(database: Path) -> None:
    """What SQLite keeps beside a database: it belongs to no other one."""
    for part in ("-journal", "-wal", "-shm"):
        database.with_name(f"{database.name}{part}").unlink(missing_ok=True)


def put_in_place(fresh: Path, target: Path) -> None:
    """Give a complete file the name of another. One of them is there, also after a power cut."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(target)
    _flush(target.parent)


def dump_command(uri: str, target: Path) -> str:
    """The command that copies a PostgreSQL database; it asks for the password itself."""
    words = ["pg_dump", "--format=custom", f"--file={target}", f"--dbname={without_password(uri)}"]
    return shlex.join(words)


def without_password(uri: str) -> str:
    """The URL of a PostgreSQL database for its own programs, as others may see it."""
    url = make_url(uri)
    shown = url.set(
        drivername="postgresql",
        query={name: value for name, value in url.query.items() if name not in _SECRETS},
    )
    # `set` cannot take a password away, and rendering shows stars for it.
    return shown._replace(password=None).render_as_string()


def password_of(uri: str) -> dict[str, str]:
    """The variables that give the password of a URL to PostgreSQL's own programs."""
    url = make_url(uri)
    password = url.password or url.query.get("password")
    given = {"PGPASSWORD": password, "PGPASSFILE": url.query.get("passfile")}
    return {name: str(value) for name, value in given.items() if value}


def copy_to(source: Path, fresh: Path, mode: str = "rw") -> None:
    """Copy a SQLite database to an empty file, and check it. Raises sqlite3.Error.

    `mode`: `ro` for one that nobody writes to, perhaps where nobody can.
    """
    # In one step: SQLite begins anew at each write of others between two steps, so under writes
    # several would never come to an end. A reader of a database in WAL mode holds up no writer.
    location = f"{source.absolute().as_uri()}?mode={mode}"
    with (
        closing(sqlite3.connect(location, uri=True, timeout=_PATIENCE_S)) as here,
        closing(sqlite3.connect(fresh)) as there,
    ):
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it
        _forget_processes(there)
        require_whole(there)


def require_whole(database: sqlite3.Connection) -> None:
    """Raise sqlite3.DatabaseError for a database that is damaged."""
    [[found]] = database.execute("PRAGMA integrity_check(1)").fetchall()
    if found != "ok":
        raise sqlite3.DatabaseError(f"it is not whole: {found}")


def _forget_processes(copied: sqlite3.Connection) -> None:
    """Who serves the original does not serve the copy, and must not hinder who does."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'server_process'"
    if copied.execute(query).fetchone():  # a database may be older than the program
        with copied:
            copied.execute("DELETE FROM server_process")


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
