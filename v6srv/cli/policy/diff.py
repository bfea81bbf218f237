"""`policy diff`: which decisions two versions of the policy make differently."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.exc import SQLAlchemyError

from v6srv.cli.database import connected
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, error, info, warn
from v6srv.errors import V6srvError

if TYPE_CHECKING:
    from v6srv.policy.audit.replay import Replay
    from v6srv.policy.diff.compare import PolicyDiff

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


class _Moment(click.ParamType):
    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """A time as policies write it."""
        from v6srv.authz import clock

        try:
            return value if isinstance(value, datetime) else clock.read(value)
        except ValueError:
            self.fail(f"{value!r} is no date or time", param, ctx)


@click.command()
@click.argument("folders", metavar="[OLD] NEW", nargs=-1, required=True, type=_FOLDER)
@click.option(
    "--fail-on",
    type=click.Choice(["gain", "loss", "any"]),
    help="Exit with 1 when somebody gains or loses something.",
)
@click.option(
    "--format",
    "format_",
    type=FORMATS,
    default="text",
    help="JSON is for scripts, and names everybody.",
)
@click.option(
    "--all", "everybody", is_flag=True, help="Name everybody and all rooms, not the first ones."
)
@click.option("--at", type=_Moment(), help="Only at this time, instead of now and later.")
@click.option(
    "--without-database",
    is_flag=True,
    help="Only for those who could be in any database: members of roles, nodes, containers.",
)
@click.option(
    "--replay",
    "logs",
    multiple=True,
    metavar="LOG",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Also ask NEW what this decision log holds; can be given more than once.",
)
@selected
def diff(
    folders: tuple[Path, ...],
    fail_on: str | None,
    format_: str,
    everybody: bool,
    at: datetime | None,
    without_database: bool,
    logs: tuple[Path, ...],
    **options: Any,
) -> None:
    """List every decision that the policies in NEW make differently from those in OLD.

    OLD is the folder of policies of the instance unless it is given; where that is broken, the
    last valid version. Counts for all users, nodes
    and rooms of its database, with its custom roles and added lines, when there is one; and for a
    member of each role, a container, and all rows there could be. Exits with 2 when it cannot be
    done.
    """
    if len(folders) > 2:
        raise click.UsageError("Two folders are compared: OLD and NEW")
    try:
        found, again, publishable = _compare(folders, at, without_database, logs, options)
    except (V6srvError, OSError, SQLAlchemyError) as problem:
        for line in str(getattr(problem, "orig", None) or problem).splitlines():
            error(line)
        raise SystemExit(2) from problem
    if format_ == "json":
        data = found.as_json()
        if again is not None:
            data["replay"] = _plain(again)
        click.echo(json.dumps(data, indent=2))
    else:
        _show(found, again, everybody)
        if publishable and found.gains:
            info(f"To publish it with just these gains: --approve-gains {found.gains_digest}")
    failing = {"gain": found.gains, "loss": found.losses, "any": found.changes, None: ()}
    raise SystemExit(1 if failing[fail_on] else 0)


def _compare(
    folders: tuple[Path, ...],
    at: datetime | None,
    without_database: bool,
    logs: tuple[Path, ...],
    options: dict[str, Any],
) -> "tuple[PolicyDiff, Replay | None, bool]":
    """The difference, the log again, and whether the difference is what publication asks about."""
    from v6srv.authz.source.adapter import database_lines
    from v6srv.authz.source.load import build
    from v6srv.policy.audit.replay import replay
    from v6srv.policy.audit.trail import forwards
    from v6srv.policy.diff.compare import compare_alone, compare_stored
    from v6srv.policy.publish.publication import standing

    *given, candidate = folders
    uri, folder = None, given[0] if given else None
    if folder is None or not without_database:
        settings = choose(**options)
        folder, uri = folder or settings.policies, None if without_database else settings.uri
    with _database(uri) as connected:
        if not connected:
            if logs:
                raise V6srvError("A log is replayed on the rows of a database: there is none")
            return compare_alone(build(folder), build(candidate), at), None, False
        if given:
            lines = database_lines()
            old, new = build(folder, lines), build(candidate, lines)
        else:
            now = standing(folder)
            for remark in now.remarks:
                warn(remark)
            new = build(candidate, now.rows)
            old = now.or_nothing(new)
        again = replay(forwards(logs), new) if logs else None
        return compare_stored(old, new, at), again, not given and at is None


@contextmanager
def _database(uri: str | None) -> Iterator[bool]:
    """Whether there is a database to ask; it is connected then."""
    from v6srv.db import sqlite_file

    file = sqlite_file(uri) if uri else None
    if uri is None or (file and not file.exists()):
        if uri is not None:
            warn("There is no database: compared for members of roles, nodes and containers")
        yield False
        return
    with connected(uri):
        yield True


def _show(found: "PolicyDiff", again: "Replay | None", everybody: bool) -> None:
    for line in found.lines(everybody=everybody):
        click.echo(line)
    info(f"{len(found.gains)} gained, {len(found.losses)} lost")
    if again is not None:
        for one in again.disagreements:
            click.echo(f"~ {one}")
        different = sum(one.count for one in again.disagreements)
        info(f"{again.asked} logged decisions made again, {different} otherwise")
        left = again.gone + again.unknown
        if left:
            warn(f"{left} logged decisions could not be made again")


def _plain(again: "Replay") -> dict[str, Any]:
    return {
        "asked": again.asked,
        "gone": again.gone,
        "unknown": again.unknown,
        "disagreements": [
            {
                "principal": one.principal,
                "operation": one.operation,
                "resource": one.resource,
                "about": one.about,
                "was": one.was,
                "now": one.now,
                "count": one.count,
                "ids": one.ids,
            }
            for one in again.disagreements
        ],
    }
