"""`doctor`: what is wrong with an installation, and what to do. It changes nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, info

if TYPE_CHECKING:
    from v6srv.cli.doctor.findings import Finding
    from v6srv.settings import Settings


@click.command()
@selected
@click.option(
    "--backup",
    type=click.Path(path_type=Path, exists=True),
    help="Your newest backup, or the folder of backups.",
)
@click.option("--format", "format_", type=FORMATS, default="text", help="How to print.")
def doctor(backup: Path | None, format_: str, **options: Any) -> None:
    """Say what is wrong with this installation, and what to do about it.

    Looks at the settings, secrets, database, backups, policies, processes that run, the services
    that it needs, and this machine. Changes nothing, and prints no secret. Exits with 1 when more
    than notes is found.
    """
    from v6srv.authz.source.codes import Severity

    found = list(_look(backup, options))
    if format_ == "json":
        click.echo(json.dumps([one.as_json() for one in found], indent=2))
    else:
        for one in found:
            kind = one.kind
            click.echo(f"{kind.severity} {kind.slug}: {one.text}\n    -> {kind.mend}")
        if not found:
            info("Nothing is wrong")
    raise SystemExit(any(one.kind.severity is not Severity.NOTE for one in found))


def _look(backup: Path | None, options: dict[str, Any]) -> "Iterator[Finding]":
    from v6srv.cli.doctor import configuration, data, machine, services
    from v6srv.cli.doctor.findings import BROKEN, SETTINGS, Finding
    from v6srv.settings import SettingsError

    try:
        settings = choose(**options)
    except SettingsError as error:
        yield from (Finding(SETTINGS, line) for line in error.problems)
        return
    for part in (configuration, data, services, machine):
        looks: tuple[Callable[[Settings, Path | None], Iterator[Finding]], ...] = part.LOOKS
        for look in looks:
            try:
                yield from look(settings, backup)
            except Exception as error:  # its text may hold a secret
                yield Finding(BROKEN, f"{look.__name__.strip('_')}: {type(error).__name__}")
