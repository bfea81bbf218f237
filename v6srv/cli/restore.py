"""`restore`: the database of a backup in the place of the one that is there."""

from pathlib import Path
from typing import Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import info, readable_errors, warn


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@selected
@click.option("--replace", is_flag=True, help="Also where there is a database already.")
@click.option(
    "--keep-sessions",
    is_flag=True,
    help="Tokens stay good: only if the server has not worked since the backup.",
)
def restore(file: Path, replace: bool, keep_sessions: bool, **options: Any) -> None:
    """Make the database what it was when the backup FILE was made.

    FILE is a copy by `v6srv backup`, or for PostgreSQL an archive by the pg_dump command that this
    prints (pg_restore and psql are needed). All of it is restored, or nothing is changed. Stop all
    servers of the database first.

    What happened since the backup is lost. That goes for passwords and sessions that were ended,
    too: so everybody has to log in again, and nodes of 3.x are restarted. Ids go on with a gap, for
    programs may know some that were given since.

    A backup of an older release is brought to the schema of this one at the next start.
    """
    from v6srv import migrations
    from v6srv.cli.backup import beside
    from v6srv.service import restore as service
    from v6srv.service.setup import alone

    with readable_errors():
        settings = choose(**options)
        with alone(settings.instance):
            revision = service.restore(
                settings.uri, file, replace=replace, keep_sessions=keep_sessions
            )
    info(f"The database is that of {file}")
    if not keep_sessions:
        info("No token from before is good any more: all log in again, nodes of 3.x are restarted")
    if revision != migrations.head():
        warn(f"Its schema is at {revision}: the next start, or v6srv db upgrade, makes it newer")
    warn(f"Not in it, put it back as well: {', '.join(beside(settings))}")
