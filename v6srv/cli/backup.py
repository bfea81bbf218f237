"""`backup`: a copy of the database that can be taken while the server runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error, info, readable_errors, warn

if TYPE_CHECKING:
    from v6srv.settings import Settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@selected
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def backup(file: Path, force: bool, **options: Any) -> None:
    """Copy the database to FILE, also while servers are running.

    FILE is a SQLite database of its own: everything that was stored when the command began, as it
    stood at one moment, checked, readable by its owner alone. Copying the database file by hand
    instead loses what is still in the -wal file beside it.

    For a database on PostgreSQL the command prints the pg_dump command to run, makes no backup, and
    exits with 1.

    Save as well what the command names: the folder of policies, the key that signs tokens (without
    it tokens and second factors are lost), the configuration, and the decision log if you have to
    keep it.

    v6srv restore brings FILE back.
    """
    from v6srv.cli.database import must_exist
    from v6srv.db import sqlite_file
    from v6srv.service import backup as service

    with readable_errors():
        settings = choose(**options)
        if sqlite_file(settings.uri) is None:
            error("This database is not a file: no backup was made. Run this instead")
            click.echo(service.dump_command(settings.uri, file))
            raise SystemExit(1)
        must_exist(settings.uri)
        size = service.copy(settings.uri, file, replace=force)
    info(f"The database was copied to {file} ({-(-size // 1024)} kB) and the copy checked")
    warn(f"Not in it, save it as well: {', '.join(beside(settings))}")


def beside(settings: "Settings") -> list[str]:
    """What an instance consists of besides its database."""
    from v6srv.authz.decision_log import Series

    key = settings.instance / "jwt_secret"
    found = [f"policies {settings.policies}"]
    if not settings.jwt_secret_key:
        found.append(f"signing key {key}")
    if settings.config_file:
        found.append(f"configuration {settings.config_file}")
    if settings.decision_log.enabled:
        found.append(f"decision log {Series.of(settings).folder}")
    return found
