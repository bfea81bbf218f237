"""`policy publish`, `history`, `show`, `rollback`: versions of the policy files."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import error, info, readable_errors, warn
from v6srv.cli.policy.engine import opened

if TYPE_CHECKING:
    from v6srv.model import PolicyVersion
    from v6srv.policy.publishing import Review

FORMATS = click.Choice(["text", "json"])
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def _publishing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what makes another version live."""
    options = (
        selected,
        click.option("--author", help="Who publishes; the name of the system account otherwise."),
        click.option("--approve-gains", is_flag=True, help="What somebody gains is intended."),
        click.option("--dry-run", is_flag=True, help="Check and compare only."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("-m", "--message", required=True, help="Why; shown in the history.")
@_publishing
def publish(folder: Path, message: str, **options: Any) -> None:
    """Make the policy in FOLDER live.

    Refused on lint errors, on failing tests, and when somebody would gain a right that was not
    approved. Exit code 1 when it is refused.
    """
    author, approved, dry = _taken(options)
    with readable_errors():
        settings = choose(**options)
        with opened(settings):
            _publish(settings.policies, folder, author, message, approved=approved, dry=dry)


@click.command()
@click.argument("version", type=int)
@click.option("-m", "--message", default="", help="Why; shown in the history.")
@_publishing
def rollback(version: int, message: str, **options: Any) -> None:
    """Make the files of an earlier VERSION live again, as a new version.

    The same checks as for any publication.
    """
    from v6srv.policy.publishing import unpacked
    from v6srv.service import policy_versions

    author, approved, dry = _taken(options)
    with readable_errors():
        settings = choose(**options)
        with opened(settings):
            files = policy_versions.version(version).files
            said = f"rollback to {version}" + (f": {message}" if message else "")
            with unpacked(files) as folder:
                _publish(settings.policies, folder, author, said, approved=approved, dry=dry)


@click.command()
@selected
@click.option("--limit", "number", type=click.IntRange(1), help="Only so many, the newest.")
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def history(number: int | None, format_: str, **options: Any) -> None:
    """The versions that were live, newest first."""
    from v6srv.db import session
    from v6srv.service import policy_versions

    with readable_errors():
        settings = choose(**options)
        with opened(settings):
            found = list(session.scalars(policy_versions.summaries().limit(number)))
    if format_ == "json":
        click.echo(json.dumps([_plain(version) for version in found], indent=2))
        return
    for version in found:
        moment = version.created_at.strftime("%Y-%m-%d %H:%M:%SZ")
        click.echo(
            f"{version.id:>4}  {moment}  {version.digest[:12]}  {version.author}: {version.message}"
        )


@click.command()
@click.argument("version", type=int)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files into this folder, instead of printing them.",
)
@selected
def show(version: int, target: Path | None, **options: Any) -> None:
    """The files of a VERSION."""
    from v6srv.authz.folder import write_files
    from v6srv.service import policy_versions

    with readable_errors():
        settings = choose(**options)
        with opened(settings):
            files = policy_versions.version(version).files
        if target is not None:
            write_files(target, files)
            info(f"Version {version} is in {target}")
            return
        for name, text in sorted(files.items()):
            click.echo(click.style(f"--- {name}", bold=True))
            click.echo(text)


def _taken(options: dict[str, Any]) -> tuple[str, bool, bool]:
    """Author, whether gains are approved, and whether nothing is to be done."""
    author = options.pop("author") or getpass.getuser()
    return author, options.pop("approve_gains"), options.pop("dry_run")


def _publish(
    live: Path, candidate: Path, author: str, message: str, *, approved: bool, dry: bool
) -> None:
    from v6srv.policy import publishing
    from v6srv.policy.test_files import test_paths

    found = publishing.review(live, candidate)
    if not test_paths(candidate):
        warn("It has no tests")
    _show(found, approved=approved)
    if not found.sound or (found.gains and not approved):
        error("It was not published")
        raise SystemExit(1)
    if dry:
        info("It would be published")
        return
    version = publishing.publish(live, candidate, author, message)
    info(f"Version {version.id} is live ({version.digest[:12]})")


def _show(found: "Review", *, approved: bool) -> None:
    for text in (*found.errors, *found.failing):
        error(text)
    if found.difference is None:
        return
    for line in found.difference.lines():
        click.echo(line)
    if found.gains and not approved:
        error(f"{len(found.gains)} gains are not approved: look at them, then --approve-gains")
    elif not found.difference.changes:
        warn("No decision changes")


def _plain(version: "PolicyVersion") -> dict[str, Any]:
    return {
        "id": version.id,
        "created_at": version.created_at.isoformat(),
        "author": version.author,
        "message": version.message,
        "digest": version.digest,
    }
