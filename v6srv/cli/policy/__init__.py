"""`policy`: what admins do with the policy before and after it is live."""

import click

COMMANDS: tuple[click.Command, ...] = ()


@click.group()
def policy() -> None:
    """Check, test, explain, compare, publish and take back the policy."""


for command in COMMANDS:
    policy.add_command(command)
