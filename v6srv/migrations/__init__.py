"""The schema of the database, from the first table on (Alembic, without an ini file).

Each call is one transaction under a lock of the database: two processes that start at once migrate
once, and a migration that fails leaves nothing behind. Revisions never import `v6srv.model`: they
say what the tables were, the models say what they are.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, MetaData, Table, inspect, make_url, text

import v6srv.model  # noqa: F401 - it fills Base.metadata
from v6srv import private_files
from v6srv.db import Base, UtcDateTime, make_engine, sqlite_file, writing
from v6srv.errors import Invalid

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import MigrationInfo

log = logging.getLogger(__name__)

VERSIONS = Path(__file__).parent / "versions"
"""Where the revisions are."""

_LOCK = 0x7636_7372
"""Key of the PostgreSQL advisory lock: a constant that no other program uses."""

_PARTS = ("wal", "shm", "journal")
"""Of a SQLite database, beside the file itself; new ones get the mode of the file."""

_VERSION_TABLE = "alembic_version"

_one_at_a_time = threading.Lock()  # alembic keeps its environment in globals of the process


def upgrade(uri: str, revision: str = "head", say: Callable[[str], None] = log.info) -> None:
    """Bring the database to a revision; nothing happens, or is said, when it is there already.

    The database must exist; a SQLite file is created, and closed to others. `say` is told each
    step once it is made. Raises Invalid when the database is of a newer release, alembic's
    CommandError for a revision that there is not.
    """
    file = sqlite_file(uri)
    if file is not None:
        private_files.make(file)
        private_files.close([file, *(file.with_name(f"{file.name}-{part}") for part in _PARTS)])
    with _locked(uri) as connection:
        before = _at(connection)
        if before == head() == {"head": before}.get(revision, revision):
            return
        from alembic import command  # slow to import: not for those who have nothing to do

        command.upgrade(_config(connection, say), revision)
        if before not in (None, _at(connection)):
            say("The way back is a backup that was made before this (v6srv backup)")


def downgrade(uri: str, revision: str, say: Callable[[str], None] = log.info) -> None:
    """Take the database back to a revision; `base` is a database without tables."""
    from alembic import command

    with _locked(uri) as connection:
        _at(connection)
        command.downgrade(_config(connection, say), revision)


def current(uri: str) -> str | None:
    """The revision of the database; None when it was never migrated.

    Waits for nobody. Raises Invalid when the database is of a newer release.
    """
    engine = make_engine(uri)
    try:
        with engine.connect() as connection:
            return _at(connection)
    finally:
        engine.dispose()


def require_current(uri: str) -> None:
    """Raise Invalid, which says what to do, unless the schema is what this release works with."""
    at = current(uri)
    if at != head():
        raise Invalid(
            f"The schema is at {at}, this release needs {head()}. Make a backup (v6srv backup),"
            " then run v6srv db upgrade"
        )


def head() -> str:
    """The revision that this version of the server works with."""
    return revisions()[-1]


def revisions() -> list[str]:
    """All that this version of the server knows, in their order, as their files are called."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def drop_all(uri: str) -> None:
    """Drop every table of this server, with its data. Tables of others are left alone."""
    with _locked(uri) as connection:
        _at(connection)
        Base.metadata.drop_all(connection)
        Table(_VERSION_TABLE, MetaData()).drop(connection, checkfirst=True)


def differences(uri: str) -> list[Any]:
    """What the models say and the database does not, or the reverse; empty when they agree."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with _locked(uri) as connection:
        context = MigrationContext.configure(connection, opts=autogenerate_options())
        return list(compare_metadata(context, Base.metadata))


def draft(uri: str, message: str, folder: Path = VERSIONS) -> Path:
    """Write a new revision with the differences to `folder`, to be read and completed by hand.

    The database must be at `head`.
    """
    from alembic import command
    from alembic.script import Script

    number = f"{int(head()) + 1:04}"
    with _locked(uri) as connection:
        config = _config(connection)
        config.set_main_option("version_locations", f"{VERSIONS}\n{folder}")
        script = command.revision(
            config, message, autogenerate=True, rev_id=number, version_path=str(folder)
        )
    assert isinstance(script, Script)
    return Path(script.path)


def autogenerate_options() -> dict[str, Any]:
    """How models and database are compared and differences are written; env.py uses it too."""
    return {
        "target_metadata": Base.metadata,
        "compare_type": True,
        "compare_server_default": True,
        "render_as_batch": True,
        "render_item": _render_item,
        "include_name": _is_ours,
    }


def _render_item(kind: str, item: Any, _context: object) -> str | bool:
    """Revisions must work when our classes have changed: write plain SQLAlchemy types."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime()"
    return False


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Leave tables of other programs in the same database out of the comparison."""
    return kind != "table" or name in Base.metadata.tables


def _at(connection: Connection) -> str | None:
    """The revision of the database; Invalid when it is one that this release does not know."""
    at = None
    if inspect(connection).has_table(_VERSION_TABLE):
        at = connection.scalar(text(f"SELECT version_num FROM {_VERSION_TABLE}"))  # noqa: S608
    if at is not None:
        require_known(at)
    return at


def require_known(at: str) -> None:
    """Raise Invalid, which says what to do, for a revision that this release does not know."""
    if at in revisions():
        return
    if at.isdecimal() and int(at) > int(head()):
        raise Invalid(
            f"The database is of a newer release: its schema is at revision {at}, and this release"
            f" knows no further than {head()}. Nothing was changed. Use the newer release (its"
            f" v6srv db downgrade {head()} makes the database fit this one), or restore a backup"
            " that was made before the upgrade"
        )
    raise Invalid(
        f"The database is at revision {at!r}, which is of no release of this server: it belongs to"
        " another program. Nothing was changed. Give this server a database of its own (`uri`)"
    )


def _telling(say: Callable[[str], None]) -> Callable[..., None]:
    """What alembic calls after each step."""

    def tell(*, step: "MigrationInfo", **_: object) -> None:
        before, after = (
            " and ".join(revisions) or "none"
            for revisions in (step.source_revision_ids, step.destination_revision_ids)
        )
        what = step.up_revision.doc if step.up_revision else ""
        say(f"The schema went from revision {before} to {after}: {what}")

    return tell


def _config(
    connection: Connection | None = None, say: Callable[[str], None] = log.info
) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "v6srv:migrations")
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    config.attributes["on_version_apply"] = _telling(say)
    return config


@contextmanager
def _locked(uri: str) -> Iterator[Connection]:
    """A connection in a transaction that no other process shares, committed at the end."""
    is_sqlite = make_url(uri).get_backend_name() == "sqlite"
    if is_sqlite and sqlite_file(uri) is None:
        raise Invalid("A database in memory ends with its connection: it cannot be migrated")
    engine = make_engine(uri)
    try:
        with _one_at_a_time, writing(), engine.connect() as connection:
            if is_sqlite:
                # A table is changed by making a new one: its rows must not take others along.
                _run_outside_a_transaction(connection, "PRAGMA foreign_keys=OFF")
            with connection.begin():
                if not is_sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                yield connection
                if is_sqlite:
                    _check_foreign_keys(connection)
    finally:
        engine.dispose()


def _run_outside_a_transaction(connection: Connection, statement: str) -> None:
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.cursor().execute(statement)


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise Invalid(f"Row {broken[1]} of table {broken[0]} points to no row of {broken[2]}")
