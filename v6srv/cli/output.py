"""Lines as operations.md 4 shows them, and how commands end."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from v6srv.errors import V6srvError

FORMATS = click.Choice(["text", "json"])
"""How commands print: for people, or for scripts."""

_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)
_ADVICE = (
    ". Let the user with the id {} write there, or name other folders with V6SRV_INSTANCE and"
    " V6SRV_DIRECTORIES__LOG"
)
_SQLITE_MAY_NOT = ("unable to open database file", "attempt to write a readonly database")
_ADVICE_FOR_SQLITE = (
    ". Let the user with the id {} write the file and its folder, or name another one with"
    " V6SRV_DATABASE_URL"
)


def info(text: str) -> None:
    """Something that was done."""
    click.echo(click.style("[info ]", fg="green") + f" - {text}")


def warn(text: str) -> None:
    """Something to look at."""
    click.echo(click.style("[warn ]", fg="yellow") + f" - {text}", err=True)


def error(text: str) -> None:
    """Something that failed."""
    click.echo(click.style("[error]", fg="red") + f" - {text}", err=True)


@contextmanager
def readable_errors() -> Iterator[None]:
    """End with exit code 1 and readable lines, without a trace, for what users can mend."""
    try:
        yield
    except Exception as problem:
        lines = explain(problem)
        if lines is None:
            raise
        for line in lines:
            error(line)
        raise SystemExit(1) from problem


def explain(problem: Exception) -> list[str] | None:
    """What to tell about it; None when it is a mistake of this program."""
    from alembic.util import CommandError  # slow to import, and only failures need it
    from sqlalchemy.exc import SQLAlchemyError

    if isinstance(problem, SQLAlchemyError):
        lines = str(getattr(problem, "orig", None) or problem).strip().splitlines()
        reason = lines[0] if lines else type(problem).__name__
        advice = _ADVICE_FOR_SQLITE if reason in _SQLITE_MAY_NOT else ""
        return [f"The database cannot be used: {reason}{advice.format(os.geteuid())}"]
    if isinstance(problem, CommandError):
        return [f"The schema cannot be changed: {problem}"]
    if isinstance(problem, OSError) and problem.filename is not None:
        advice = _ADVICE if problem.errno in _MAY_NOT else ""
        told = f"{problem.filename} cannot be used: {problem.strerror}"
        return [told + advice.format(os.geteuid())]
    if isinstance(problem, (V6srvError, OSError)):
        return str(problem).splitlines()
    return None
