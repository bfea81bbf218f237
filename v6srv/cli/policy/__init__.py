"""`policy`: what admins do with the policy before and after it is live."""

import click

from v6srv.cli.policy.diff import diff
from v6srv.cli.policy.explain import explain
from v6srv.cli.policy.lint import lint
from v6srv.cli.policy.publish import history, publish, rollback, show
from v6srv.cli.policy.shadow import shadow
from v6srv.cli.policy.test import test
from v6srv.cli.policy.who import can, export, matrix, who_can

COMMANDS: tuple[click.Command, ...] = (
    lint,
    explain,
    test,
    diff,
    who_can,
    can,
    matrix,
    export,
    publish,
    history,
    show,
    rollback,
    shadow,
)


@click.group()
def policy() -> None:
    """Check, test, explain, compare, publish and take back the policy."""


for command in COMMANDS:
    policy.add_command(command)
