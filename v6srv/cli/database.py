"""`db` and `shell`: the database of an instance."""

import code
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error, info, readable_errors, warn

log = logging.getLogger(__name__)


@click.group()
def db() -> None:
    """Look after the schema of the database."""


@db.command()
@selected
@click.argument("revision", default="head")
def upgrade(revision: str, **options: Any) -> None:
    """Bring the schema up to REVISION (the newest)."""
    from v6srv import migrations

    with readable_errors():
        settings = choose(**options)
        migrations.upgrade(settings.uri, revision, say=info)
        info(f"The schema is at {migrations.current(settings.uri)}")


@db.command()
@selected
@click.argument("revision")
@click.confirmation_option(prompt="Going back can lose data. Go on?")
def downgrade(revision: str, **options: Any) -> None:
    """Take the schema back to REVISION; `base` removes all tables."""
    from v6srv import migrations

    with readable_errors():
        settings = choose(**options)
        must_exist(settings.uri)
        migrations.downgrade(settings.uri, revision, say=info)
        info(f"The schema is at {migrations.current(settings.uri)}")


@db.command("check")
@selected
def check_database(**options: Any) -> None:
    """Say whether the schema is the one this release needs; exit code 1 when it is not."""
    from v6srv import migrations

    with readable_errors():
        settings = choose(**options)
        must_exist(settings.uri)
        migrations.require_current(settings.uri)
        info(f"The schema is at {migrations.head()}, as needed")


@contextmanager
def connected(uri: str) -> Iterator[None]:
    """The session is that of this database, whose schema must be the one of this release.

    Nothing is prepared or changed. Raises Invalid, which says what to do, for another schema.
    """
    from v6srv import db, migrations

    migrations.require_current(uri)
    engine = db.connect(uri)
    try:
        yield
    finally:
        db.session.remove()
        engine.dispose()


def must_exist(uri: str) -> None:
    """Looking at a SQLite database that is not there would make an empty one."""
    from v6srv.db import sqlite_file

    file = sqlite_file(uri)
    if file and not file.exists():
        error(f"There is no database at {file} yet: run v6srv db upgrade")
        raise SystemExit(1)


@click.command()
@selected
def shell(
    name: str | None, config: Path | None, environment: str | None, system: bool | None
) -> None:
    """A Python prompt with the tables and the database session. Nothing asks the policies here."""
    from v6srv import db as database
    from v6srv import model
    from v6srv.authz.authorizer import Authorizer
    from v6srv.authz.source.live import PolicyStore
    from v6srv.authz.unit_of_work import ServerWrite, as_server
    from v6srv.cli import logs
    from v6srv.cli.serving import prepare
    from v6srv.identity import scripting

    with readable_errors():
        settings = choose(name, config, environment, system)
        logs.configure(settings)
        prepare(settings)
        engine = database.connect(settings.uri)
        authz = Authorizer(PolicyStore(settings.policies))
        database.session.remove()
    warn("Using the shell is not recommended: nothing asks the policies here.")
    log.warning("a shell with full access to the database was opened by uid %s", os.getuid())
    names = {table: getattr(model, table) for table in model.__all__}
    names |= {"db": model, "session": database.session, "can": partial(scripting.can, authz)}
    names |= {
        helper.__name__: helper
        for helper in (scripting.set_password, scripting.check_password, scripting.check_key)
    }
    with as_server(ServerWrite.COMMAND):
        try:
            _interact(names)
        finally:
            database.session.remove()
            engine.dispose()


def _interact(names: dict[str, Any]) -> None:
    banner = (
        "db: the tables, db.User.help() tells about one; row.save() stores what you change\n"
        "session: the session; set_password, check_password, check_key, can: about accounts"
    )
    try:
        from IPython import embed  # type: ignore[import-not-found]
    except ImportError:
        code.interact(banner=banner, local=names, exitmsg="")
    else:
        embed(header=banner, user_ns=names, colors="neutral")
