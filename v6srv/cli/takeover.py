"""`import-v3` and `import-v4`: take over the database of a server of that generation."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, info, readable_errors, warn
from v6srv.vocabulary import V3, V4

if TYPE_CHECKING:
    from v6srv.service.takeover.copying import Report
    from v6srv.service.takeover.rights import Change


def _command(dialect: int, version: str) -> click.Command:
    @click.command(
        f"import-v{dialect}",
        help=f"""Take over the database of a {version} server at URL (sqlite:/// or postgresql://).

        The database of this instance must be new. All or nothing is written; ids, passwords and API
        keys stay as they are. URL is only read. Stop the {dialect}.x server before.
        """,
    )
    @click.argument("url")
    @selected
    @click.option("--dry-run", is_flag=True, help="Report what would be done, and change nothing.")
    @click.option(
        "--format",
        "format_",
        type=FORMATS,
        default="text",
        help="JSON is for scripts: one object, with nothing else on standard output.",
    )
    def command(dry_run: bool, format_: str, **where: Any) -> None:
        report = _take_over(dialect, dry_run, **where)
        if format_ == "json":
            click.echo(json.dumps(_document(report, dry_run), indent=2))
        else:
            _tell(report, dry_run)

    return command


import_v3 = _command(V3, "3.11")
import_v4 = _command(V4, "4.15")


def _take_over(
    dialect: int,
    dry_run: bool,
    url: str,
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
) -> "Report":
    from v6srv import db, passwords
    from v6srv.cli.serving import show_root_password
    from v6srv.service import setup, takeover
    from v6srv.service.takeover.releases import RELEASES
    from v6srv.service.takeover.source import open_source

    [release] = (one for one in RELEASES if one.dialect == dialect)
    with readable_errors():
        settings = choose(name, config, environment, system)
        logs.configure(settings)
        passwords.configure(rounds=settings.password_rounds)
        with open_source(url, release) as source:  # before this instance gets a database
            generated = setup.prepare(settings, passwords)
            engine = db.connect(settings.uri)
            replaced = False
            try:
                report = takeover.take_over(source, release, settings.policies, dry_run=dry_run)
                replaced = not dry_run
            finally:
                db.session.remove()
                engine.dispose()
                if generated and not replaced:
                    show_root_password(generated)
    return report


def _document(report: "Report", dry_run: bool) -> dict[str, Any]:
    """The report as documented in docs/take-over.md."""
    rights = []
    for change in report.changes:
        resource, scope, operation = change.right
        row = asdict(change)
        del row["right"]
        rights.append({**row, "resource": resource, "scope": scope, "operation": operation})
    return {
        "dry_run": dry_run,
        "copied": report.copied,
        "notes": report.notes,
        "rights": rights,
    }


def _tell(report: "Report", dry_run: bool) -> None:
    for note in report.notes:
        warn(note)
    for sentence in _sentences(report.changes):
        info(sentence)
    if not report.changes:
        info("Every user has the same rights as before.")
    counts = ", ".join(f"{count} x {table}" for table, count in report.copied.items() if count)
    info(f"{'would be taken over' if dry_run else 'taken over'}: {counts or 'nothing'}")


def _sentences(changes: Iterable["Change"]) -> Iterator[str]:
    """One for what a user gains, or loses, for the same reason."""
    rights: dict[tuple[str, str], list[str]] = {}
    for one in changes:
        verb = "gains" if one.gained else "loses"
        beginning = f"user {one.user_id} {one.username} {verb}"
        rights.setdefault((beginning, one.reason), []).append(" ".join(one.right))
    for (beginning, reason), named in rights.items():
        yield f"{beginning} {', '.join(named)}: {reason}"
