"""`db` and `shell`: the database of an instance."""

import code
from pathlib import Path
from typing import Any

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, scope_of, selected
from v6srv.cli.output import error, info, readable_errors, warn


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
        migrations.upgrade(settings.uri, revision)
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
        migrations.downgrade(settings.uri, revision)
        info(f"The schema is at {migrations.current(settings.uri)}")


@db.command("check")
@selected
def check_database(**options: Any) -> None:
    """Say whether the schema is the one this release needs; exit code 1 when it is not."""
    from v6srv import migrations

    with readable_errors():
        settings = choose(**options)
        at, head = migrations.current(settings.uri), migrations.head()
        if at != head:
            error(f"The schema is at {at}, this release needs {head}: run v6srv db upgrade")
            raise SystemExit(1)
        info(f"The schema is at {at}, as needed")


@click.command()
@selected
def shell(name: str | None, config: Path | None, environment: str | None, system: bool) -> None:
    """A Python prompt with the tables and the database session. Nothing asks the policies here."""
    from v6srv import db as database
    from v6srv import model
    from v6srv.cli.serving import prepare

    with readable_errors():
        settings = choose(name, config, environment, system)
        logs.configure(settings, scope_of(system))
        prepare(settings)
        engine = database.connect(settings.uri)
    warn("Using the shell is not recommended: it bypasses the policies and is not logged.")
    names = {table: getattr(model, table) for table in model.__all__}
    names |= {"db": model, "session": database.session}
    try:
        _interact(names)
    finally:
        database.session.remove()
        engine.dispose()


def _interact(names: dict[str, Any]) -> None:
    banner = "db: the tables; session: the session (session.commit() stores what you change)"
    try:
        from IPython import embed  # type: ignore[import-not-found]
    except ImportError:
        code.interact(banner=banner, local=names, exitmsg="")
    else:
        embed(header=banner, user_ns=names, colors="neutral")
