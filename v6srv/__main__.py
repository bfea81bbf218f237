"""`python -m v6srv`: the command line."""

from v6srv.cli.main import cli

cli()
