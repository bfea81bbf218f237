"""The commands. Installed as `v6srv` and, for those who know the 3.x server, `vserver-local`."""

import atexit
import gc
import os
import re

import click

from v6srv.cli.lazily import Commands
from v6srv.cli.records.resources import RESOURCES

USUAL_THRESHOLD = gc.get_threshold()
"""How often Python looks for garbage unless it is told otherwise."""
_COMMANDS = {
    "new": "configuration:new",
    "list": "configuration:list_",
    "files": "configuration:files",
    "start": "serving:start",
    "serve": "serving:start",
    "demo": "demo.command:demo",
    "shell": "database:shell",
    "health": "health:health",
    "doctor": "doctor:doctor",
    "backup": "backup:backup",
    "restore": "restore:restore",
    "retention": "retention:retention",
    **{kind: f"records.commands:{kind}" for kind in RESOURCES},
    "import": "importing:import_",
    "import-v3": "takeover:import_v3",
    "import-v4": "takeover:import_v4",
    "version": "main:version",
    "config": "configuration:config",
    "db": "database:db",
    "policy": "policy:policy",
    "audit": "audit:audit",
    "completion": "main:completion",
}


def _tell_version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from v6srv.wire.version import CONTRACT_VERSIONS, VERSION

        generations = " and ".join(CONTRACT_VERSIONS.values())
        click.echo(f"v6srv {VERSION} (for vantage6 {generations} clients and nodes)")
        context.exit()


@click.group(
    commands=Commands("v6srv.cli", _COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """Run and manage a v6srv server."""
    if os.environ.get("NO_COLOR"):
        context.color = False
    _look_for_garbage_rarely()


def _look_for_garbage_rarely() -> None:
    """A fifth of a command was looking for what could be given back: most of it while modules are
    imported, and once more at its end. What serves does as usual when it has begun."""
    gc.set_threshold(50_000, 20, 20)
    atexit.register(gc.freeze)


@click.command()
def version() -> None:
    """The version of this server."""
    from v6srv.wire.version import VERSION

    click.echo(VERSION)


@click.command()
@click.argument("shell_name", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell_name: str) -> None:
    """What makes SHELL complete the commands: eval "$(v6srv completion bash)"."""
    from click.shell_completion import get_completion_class

    program = (context.parent and context.parent.info_name) or ""
    if not re.fullmatch(r"[\w-]+", program):  # python -m v6srv is no command that completes
        program = "v6srv"
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    kind = get_completion_class(shell_name)
    assert kind is not None
    click.echo(kind(cli, {}, program, variable).source())
