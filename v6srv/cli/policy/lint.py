"""`policy lint`: what is wrong with the policy, before it goes live."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.exc import SQLAlchemyError

from v6srv.cli.database import connected
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error
from v6srv.errors import V6srvError

if TYPE_CHECKING:
    from v6srv.authz.source import Problem

FORMATS = ("text", "json", "sarif", "github")


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
@selected
def lint(
    folder: Path | None,
    format_: str,
    errors_only: bool,
    show_source: bool | None,
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
) -> None:
    """Say what is wrong with the policies in DIR, and where.

    DIR is the folder of policies of the instance unless it is given. Lines and principals of its
    database count too, when there is one; with DIR, only if an instance is named. Exits with 1 when
    more than notes is found, and with 2 when that cannot be known.
    """
    from v6srv.authz.codes import Severity
    from v6srv.policy import reports
    from v6srv.wire.version import VERSION

    chosen = any(option is not None for option in (name, config, environment, system))
    try:
        uri = None
        if folder is None or chosen:
            settings = choose(name, config, environment, system)
            folder, uri = folder or settings.policies, settings.uri
        problems = _find(folder, uri)
    except (V6srvError, OSError, SQLAlchemyError) as problem:
        for line in str(getattr(problem, "orig", None) or problem).splitlines():
            error(line)
        raise SystemExit(2) from problem
    if errors_only:
        problems = [problem for problem in problems if problem.is_error]
    findings = reports.Findings(problems, _nearby(folder))
    shown = sys.stdout.isatty() if show_source is None else show_source
    text = reports.FORMATS[format_](findings, shown, VERSION)
    if text:
        click.echo(text)
    raise SystemExit(any(problem.code.severity is not Severity.NOTE for problem in problems))


def _find(folder: Path, uri: str | None) -> "list[Problem]":
    """What is wrong, with the database if there is one. Raises SQLAlchemyError."""
    from v6srv.db import sqlite_file
    from v6srv.policy.lint import lint as find
    from v6srv.policy.lint import lint_stored

    if not folder.is_dir():
        raise V6srvError(f"There is no folder {folder}")
    file = sqlite_file(uri) if uri else None
    if uri is None or (file and not file.exists()):
        return find(folder)
    with connected(uri):
        return lint_stored(folder)


def _nearby(folder: Path) -> Path:
    """The folder as seen from here, where it is below."""
    here = Path.cwd()
    whole = folder.absolute()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole
