"""`import-v3`: take over the database of a 3.x server."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli import logs
from v6srv.cli.instances import choose, selected
from v6srv.cli.output import info, readable_errors, warn

if TYPE_CHECKING:
    from v6srv.service.takeover import Change, Report


@click.command("import-v3")
@click.argument("url")
@selected
@click.option("--dry-run", is_flag=True, help="Report what would be done, and change nothing.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    help="JSON is for scripts: one object, with nothing else on standard output.",
)
def import_v3(
    url: str,
    name: str | None,
    config: Path | None,
    environment: str | None,
    system: bool | None,
    dry_run: bool,
    format_: str,
) -> None:
    """Take over the database of a 3.11 server at URL (sqlite:/// or postgresql://).

    The database of this instance must be new. All or nothing is written; ids, passwords and API
    keys stay as they are. URL is only read. Stop the 3.x server before.
    """
    from v6srv import db, passwords
    from v6srv.cli.serving import show_root_password
    from v6srv.service import setup, takeover
    from v6srv.service.takeover_source import open_source

    with readable_errors():
        settings = choose(name, config, environment, system)
        logs.configure(settings)
        passwords.configure(rounds=settings.password_rounds)
        with open_source(url) as source:  # before this instance gets a database
            generated = setup.prepare(settings, passwords)
            engine = db.connect(settings.uri)
            replaced = False
            try:
                report = takeover.take_over(source, settings.policies, dry_run=dry_run)
                replaced = not dry_run
            finally:
                db.session.remove()
                engine.dispose()
                if generated and not replaced:
                    show_root_password(generated)
    if format_ == "json":
        click.echo(json.dumps(_document(report, dry_run), indent=2))
    else:
        _tell(report, dry_run)


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
    for change in report.changes:
        info(_sentence(change))
    if not report.changes:
        info("Every user has the same rights as before.")
    counts = ", ".join(f"{count} x {table}" for table, count in report.copied.items() if count)
    info(f"{'would be taken over' if dry_run else 'taken over'}: {counts or 'nothing'}")


def _sentence(change: "Change") -> str:
    verb = "gains" if change.gained else "loses"
    resource, scope, operation = change.right
    return (
        f"user {change.user_id} {change.username} {verb} {resource} {scope} {operation}: "
        f"{change.reason}"
    )
