"""The commands. Installed as `v6srv` and, for those who know the 3.x server, `vserver-local`."""

import click

from v6srv.cli.importing import import_
from v6srv.cli.serving import serve, start


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Run and manage a v6srv server."""


for command in (start, serve, import_):
    cli.add_command(command)
