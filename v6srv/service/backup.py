"""A copy of the database while servers work with it."""

import os
import secrets
import shlex
import sqlite3
from contextlib import closing
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
    fresh = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy(source, fresh)
        size = fresh.stat().st_size
        fresh.replace(target)
        _flush(target.parent)
    except sqlite3.Error as error:
        raise Unavailable(f"{source} cannot be copied to {target}: {error}") from error
    finally:
        for part in ("", "-journal", "-wal", "-shm"):
            fresh.with_name(f"{fresh.name}{part}").unlink(missing_ok=True)
    return size


def dump_command(uri: str, target: Path) -> str:
    """The command that copies a PostgreSQL database; it asks for the password itself."""
    url = make_url(uri)
    shown = url.set(
        drivername="postgresql",
        query={name: value for name, value in url.query.items() if name not in _SECRETS},
    )
    # `set` cannot take a password away, and rendering shows stars for it.
    plain = shown._replace(password=None).render_as_string()
    words = ["pg_dump", "--format=custom", f"--file={target}", f"--dbname={plain}"]
    return shlex.join(words)


def _copy(source: Path, fresh: Path) -> None:
    # In one step: SQLite begins anew at each write of others between two steps, so under writes
    # several would never come to an end. A reader of a database in WAL mode holds up no writer.
    location = f"{source.absolute().as_uri()}?mode=rw"
    with (
        closing(sqlite3.connect(location, uri=True, timeout=_PATIENCE_S)) as here,
        closing(sqlite3.connect(fresh)) as there,
    ):
        here.backup(there)
        there.execute("PRAGMA journal_mode=DELETE")  # one file, without a -wal beside it
        _forget_processes(there)
        [[found]] = there.execute("PRAGMA integrity_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(f"the copy is not whole: {found}")
    with fresh.open("rb") as file:
        os.fsync(file.fileno())


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
