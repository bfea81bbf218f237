"""`policy lint`: what is wrong with the policy, before it goes live."""

import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from v6srv.cli.instances import choose, is_named, selected
from v6srv.cli.output import error
from v6srv.errors import V6srvError

if TYPE_CHECKING:
    from v6srv.authz.source.problems import Problem

FORMATS = ("text", "json", "sarif", "github")
_PAUSE_S = 0.25
"""Between two looks at the files."""


@click.command()
@click.argument(
    "folder",
    metavar="[DIR]",
    required=False,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    help="JSON is for scripts, SARIF for code scanners, github for its workflows.",
)
@click.option("--errors-only", is_flag=True, help="Only what keeps the policy from going live.")
@click.option(
    "--show-source/--no-source",
    default=None,
    help="Show each line with a mark below the place; on a terminal it is shown anyway.",
)
@click.option("--watch", is_flag=True, help="Say it again whenever a file changes, until Ctrl-C.")
@selected
def lint(
    folder: Path | None,
    format_: str,
    errors_only: bool,
    show_source: bool | None,
    watch: bool,
    **options: Any,
) -> None:
    """Say what is wrong with the policies in DIR, and where.

    DIR is the folder of policies of the instance unless it is given. Lines and principals of its
    database count too, when there is one; with DIR, only if an option or V6SRV_INSTANCE or
    V6SRV_CONFIG names the instance. Exits with 1 when more than notes is found, and with 2 when
    that cannot be known.
    """
    uri = None
    shown = sys.stdout.isatty() if show_source is None else show_source
    try:
        if folder is None or is_named(**options):
            settings = choose(**options)
            folder, uri = folder or settings.policies, settings.uri
    except (V6srvError, OSError) as problem:
        raise SystemExit(_told(problem)) from problem
    say = partial(_say, folder, uri, format_, errors_only, shown)
    if watch:
        _watch(folder, say)
    raise SystemExit(say())


def _say(folder: Path, uri: str | None, format_: str, errors_only: bool, shown: bool) -> int:
    """Print what is wrong; the exit code."""
    from sqlalchemy.exc import SQLAlchemyError

    from v6srv.authz.source.codes import Severity
    from v6srv.policy.lint import reports
    from v6srv.wire.version import VERSION

    try:
        problems = find(folder, uri)
    except (V6srvError, OSError, SQLAlchemyError) as problem:
        return _told(problem)
    if errors_only:
        problems = [problem for problem in problems if problem.is_error]
    text = reports.FORMATS[format_](reports.Findings(problems, _nearby(folder)), shown, VERSION)
    if text:
        click.echo(text)
    return int(any(problem.code.severity is not Severity.NOTE for problem in problems))


def _told(problem: Exception) -> int:
    """Say why nothing is known of the policy; the exit code for that."""
    for line in str(getattr(problem, "orig", None) or problem).splitlines():
        error(line)
    return 2


def find(folder: Path, uri: str | None) -> "list[Problem]":
    """What is wrong, with the database if there is one. Raises SQLAlchemyError."""
    from v6srv.db import sqlite_file
    from v6srv.policy.lint.folder import lint as alone
    from v6srv.policy.lint.folder import lint_stored

    if not folder.is_dir():
        raise V6srvError(f"There is no folder {folder}")
    file = sqlite_file(uri) if uri else None
    if uri is None or (file and not file.exists()):
        return alone(folder)
    from v6srv.cli.database import connected

    with connected(uri):
        return lint_stored(folder)


def _watch(folder: Path, say: Callable[[], int]) -> NoReturn:
    """Say it whenever the files have changed and have come to rest, until Ctrl-C."""
    from v6srv.authz.source.folder import stamp
    from v6srv.authz.source.lines import found_in

    said, before, code = None, None, 0
    try:
        while True:
            # Also what is not read: a name can be wrong.
            now = stamp(folder), found_in(folder, "*")
            if now == before and now != said:
                if said is not None:
                    click.echo(f"--- {datetime.now():%H:%M:%S}, changed", err=True)
                said, code = now, say()
            before = now
            time.sleep(_PAUSE_S)
    except KeyboardInterrupt:
        raise SystemExit(code) from None


def _nearby(folder: Path) -> Path:
    """The folder as seen from here, where it is below."""
    here = Path.cwd()
    whole = folder.absolute()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole
