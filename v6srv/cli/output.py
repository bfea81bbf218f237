"""Lines as operations.md 4 shows them, and how commands end."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import SQLAlchemyError

from v6srv.errors import V6srvError


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
        lines = _mendable(problem)
        if lines is None:
            raise
        for line in lines:
            error(line)
        raise SystemExit(1) from problem


def _mendable(problem: Exception) -> list[str] | None:
    """What to tell about it; None when it is a mistake of this program."""
    from alembic.util import CommandError  # slow to import, and only failures need it

    if isinstance(problem, SQLAlchemyError):
        reason = str(getattr(problem, "orig", None) or problem).strip().splitlines()
        return [f"The database cannot be used: {reason[0] if reason else type(problem).__name__}"]
    if isinstance(problem, CommandError):
        return [f"The schema cannot be changed: {problem}"]
    if isinstance(problem, (V6srvError, OSError)):
        return str(problem).splitlines()
    return None
