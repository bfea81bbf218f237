"""`policy shadow`: let a candidate run beside the live policy, and see where they disagree."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, info, readable_errors, warn


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False
)
@click.option("--stop", is_flag=True, help="End it; what was found stays until the next begins.")
@click.option("--format", "format_", type=FORMATS, default="text")
@selected
def shadow(folder: Path | None, stop: bool, format_: str, **options: Any) -> None:
    """Ask the policy in FOLDER whatever the live one is asked, without obeying it.

    Running servers begin within a second. Without FOLDER: what it would have decided otherwise so
    far. Exit code 1 when there is a disagreement.
    """
    from v6srv.authz.shadow import FILE
    from v6srv.authz.source.folder import SHADOW, read_files, write_files
    from v6srv.authz.source.load import build

    if folder is not None and stop:
        raise click.UsageError("FOLDER begins and --stop ends: choose one")
    with readable_errors():
        settings = choose(**options)
        target, found = settings.policies / SHADOW, settings.log_folder / FILE
        if stop:
            shutil.rmtree(target, ignore_errors=True)
            info("No policy runs in shadow")
        elif folder is not None:
            files = {name: text for name, text in read_files(folder).items() if "/" not in name}
            build(folder)
            found.unlink(missing_ok=True)
            write_files(target, files)
            info("It runs in shadow; v6srv policy shadow tells what it would decide otherwise")
        else:
            _report(target, found, format_)


def _report(target: Path, found: Path, format_: str) -> None:
    records = list(_read(found))
    if format_ == "json":
        click.echo(json.dumps(records, indent=2))
    else:
        if not any(target.glob("*.conf")):
            warn("No policy runs in shadow now")
        for line in _lines(records):
            click.echo(line)
        info(f"{len(records)} different questions would be answered otherwise")
    if records:
        raise SystemExit(1)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            try:
                yield json.loads(line)
            except ValueError:  # the last line of a process that was killed while writing
                continue


def _lines(records: list[dict[str, Any]]) -> Iterator[str]:
    """Grouped: a candidate that forgets a line disagrees about many rows in the same way."""
    groups: Counter[tuple[str, str, str, str]] = Counter()
    about: dict[tuple[str, str, str, str], str] = {}
    for record in records:
        key = (record["shadow"], record["principal"], record["operation"], record["resource"])
        groups[key] += 1
        about.setdefault(key, record["about"])
    for key, count in groups.most_common():
        effect, principal, operation, resource = key
        sign = "+" if effect == "allow" else "-"
        more = f" and {count - 1} more" if count > 1 else ""
        yield f"{sign} {principal} {operation} {resource}: {about[key]}{more}"
