"""Passwords: asked for, read, or made; never an argument, which everybody on the machine sees."""

import sys
from typing import Any

import click

options = (
    click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
    click.option("--generate-password", is_flag=True, help="Make one, and show it this once."),
)


def chosen(given: dict[str, Any]) -> tuple[str, bool]:
    """The password that the options ask for, and whether it was made. Takes them out."""
    read, make = given.pop("password_stdin"), given.pop("generate_password")
    if read and make:
        raise click.UsageError("Read the password, or make one: not both")
    if make:
        from v6srv import passwords

        return passwords.generate(), True
    if read:
        return sys.stdin.readline().rstrip("\r\n"), False
    if not sys.stdin.isatty():
        raise click.UsageError(
            "Nobody can be asked for the password here: --password-stdin reads it,"
            " --generate-password makes one"
        )
    text: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return text, False
