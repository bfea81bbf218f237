"""`policy`: what admins do with the policy before and after it is live."""

import click

from v6srv.cli.lazily import Commands

_COMMANDS = {
    "lint": "lint:lint",
    "explain": "explain:explain",
    "test": "test:test",
    "diff": "diff:diff",
    "who-can": "who:who_can",
    "can": "who:can",
    "matrix": "who:matrix",
    "export": "who:export",
    "publish": "publish:publish",
    "history": "publish:history",
    "show": "publish:show",
    "rollback": "publish:rollback",
    "shadow": "shadow:shadow",
}


@click.group(commands=Commands("v6srv.cli.policy", _COMMANDS))
def policy() -> None:
    """Check, test, explain, compare, publish and take back the policy."""
