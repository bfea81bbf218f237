"""`policy publish`, `history`, `show`, `rollback`: versions of the policy files."""

import getpass
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.database import connected, must_exist
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, error, info, readable_errors, warn

if TYPE_CHECKING:
    from v6srv.policy.publish.publication import Review
    from v6srv.settings import Settings

FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def _publishing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what makes another version live."""
    options = (
        selected,
        click.option(
            "--author",
            default=getpass.getuser,
            help="Who publishes; the name of the system account otherwise.",
        ),
        click.option(
            "--approve-gains",
            "approved",
            metavar="DIGEST",
            is_flag=False,
            flag_value="",
            help="What somebody gains is intended; DIGEST is what diff and --dry-run print.",
        ),
        click.option("--dry-run", "dry", is_flag=True, help="Check and compare only."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def _opened(options: dict[str, Any]) -> Iterator["Settings"]:
    """The settings of the instance, its database connected; its policies need not be valid."""
    with readable_errors():
        settings = choose(**options)
        must_exist(settings.uri)
        with connected(settings.uri):
            yield settings


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("-m", "--message", required=True, help="Why; shown in the history.")
@_publishing
def publish(
    folder: Path, message: str, author: str, approved: str | None, dry: bool, **options: Any
) -> None:
    """Make the policy in FOLDER live.

    Refused on lint errors, on failing tests, and when somebody would gain a right that was not
    approved. Exit code 1 when it is refused.
    """
    from v6srv.authz.source.folder import read_files

    with _opened(options) as settings:
        _publish(settings.policies, read_files(folder), author, message, approved, dry=dry)


@click.command()
@click.argument("version", type=int)
@click.option("-m", "--message", default="", help="Why; shown in the history.")
@_publishing
def rollback(
    version: int, message: str, author: str, approved: str | None, dry: bool, **options: Any
) -> None:
    """Make the files of an earlier VERSION live again, as a new version.

    The same checks as for any publication.
    """
    from v6srv.service import policy_versions

    with _opened(options) as settings:
        files = policy_versions.version(version).files
        said = f"rollback to {version}" + (f": {message}" if message else "")
        _publish(settings.policies, files, author, said, approved, dry=dry)


@click.command()
@selected
@click.option("--limit", "number", type=click.IntRange(1), help="Only so many, the newest.")
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def history(number: int | None, format_: str, **options: Any) -> None:
    """The versions that were live, newest first.

    Exit code 1 when one of them was changed after it was recorded.
    """
    from v6srv.db import session
    from v6srv.service import policy_versions

    with _opened(options):
        found = policy_versions.checked(session.scalars(policy_versions.summaries().limit(number)))
    if format_ == "json":
        plain = [{**one, "created_at": one["created_at"].isoformat()} for one in found]
        click.echo(json.dumps(plain, indent=2))
    else:
        for one in found:
            click.echo(_line(one))
    if not all(one["intact"] for one in found):
        error("What was changed after it was recorded can be neither shown nor brought back")
        raise SystemExit(1)


def _line(version: Mapping[str, Any]) -> str:
    moment = version["created_at"].strftime("%Y-%m-%d %H:%M:%SZ")
    said = f"{version['author']}: {version['message']}"
    changed = "" if version["intact"] else "   (changed after it was recorded)"
    return f"{version['id']:>4}  {moment}  {version['digest'][:12]}  {said}{changed}"


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
    from v6srv.authz.source.folder import write_files
    from v6srv.service import policy_versions

    with _opened(options):
        files = policy_versions.version(version).files
        if target is not None:
            write_files(target, files)
            info(f"Version {version} is in {target}")
            return
        for name, text in sorted(files.items()):
            click.echo(click.style(f"--- {name}", bold=True))
            click.echo(text)


def _publish(
    live: Path,
    files: Mapping[str, str],
    author: str,
    message: str,
    approved: str | None,
    *,
    dry: bool,
) -> None:
    from v6srv.policy.publish import publication

    reviewed = publication.review(live, files)
    if not any(name.startswith("tests/") for name in files):
        warn("It has no tests")
    _show(reviewed, approved)
    if not reviewed.sound or not reviewed.approved_by(approved):
        error("It was not published")
        raise SystemExit(1)
    if dry:
        info("It would be published")
        return
    done = publication.publish(live, reviewed, author, message, approved)
    if done.replaced is not None:
        warn(f"What was in the folder before is in {done.replaced}")
    info(f"Version {done.version.id} is live ({done.version.digest[:12]})")


def _show(reviewed: "Review", approved: str | None) -> None:
    for remark in reviewed.standing.remarks:
        warn(remark)
    for text in (*reviewed.errors, *reviewed.failing):
        error(text)
    difference = reviewed.difference
    for line in difference.lines() if difference else ():
        click.echo(line)
    if difference and not difference.changes:
        warn("No decision changes")
    if reviewed.incomparable:
        warn(f"It cannot be told who gains or loses what: {reviewed.incomparable}")
    if reviewed.approved_by(approved):
        return
    if approved:
        error(f"{approved} approves other gains than these")
    gains = len(difference.gains) if difference else 0
    what = f"{gains} gains are" if gains > 1 else "1 gain is" if gains else "What is gained is"
    error(f"{what} not approved. If intended: --approve-gains {reviewed.approval}")
