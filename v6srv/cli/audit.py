"""`audit`: the decision log of an instance, looked back at."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, error, info, readable_errors, warn
from v6srv.vocabulary import Effect, Operation, Resource

_FILES = click.argument(
    "files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)


class _Moment(click.ParamType):
    """A time as policies write it."""

    name = "time"

    def __init__(self, *, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """From text; without an offset it is UTC."""
        from v6srv.authz import clock

        if isinstance(value, datetime):
            return value
        try:
            return clock.read(value, end=self._end)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time, such as 2026-03-01 or 2026-03-01T12:30", param, ctx)


@click.group()
def audit() -> None:
    """Look back at decisions: is the log whole, what was decided, would it be decided again?"""


@audit.command()
@selected
@_FILES
@click.option("--known", metavar="HASH", help="The hash of a record that was noted down earlier.")
def verify(files: tuple[Path, ...], known: str | None, **options: Any) -> None:
    """Check that nothing in the log was changed, removed or put in. FILES: these alone.

    Exit code 0 when it is whole, 1 when it is not, 2 when there is nothing to check.

    The head beside the files tells where the log ends. Somebody who may write to the folder could
    make up a new log with a new head: note the hash that is shown here in another place, and give
    it with --known later.
    """
    from v6srv.policy.audit import trail as looking

    with _unusable():
        found = looking.verify(files, None, known) if files else _series(options, known)
    for fault in found.faults:
        error(str(fault))
    for note in found.notes:
        warn(note)
    if not found.records and not found.faults:
        error("There are no records to check")
        raise SystemExit(2)
    reach = "" if found.first is None else f", {found.first} to {found.last}"
    info(f"{found.records} records{reach}; the hash of the last is {found.hash}")
    if found.faults:
        raise SystemExit(1)


@audit.command()
@selected
@_FILES
@click.option("--principal", metavar="NAME", help="user:7, node:3 or container:9.")
@click.option("--resource", type=click.Choice([word.value for word in Resource]))
@click.option("--operation", type=click.Choice([word.value for word in Operation]))
@click.option("--effect", type=click.Choice([word.value for word in Effect]))
@click.option("--row", type=int, help="Id of the row.")
@click.option("--since", type=_Moment(), help="From this time on; UTC unless it says otherwise.")
@click.option("--until", type=_Moment(end=True), help="Before this time; a day is included.")
@click.option("--id", metavar="DECISION", help="The id of one decision.")
@click.option("--request-id", metavar="ID", help="All decisions of one request or socket.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--format", "form", type=FORMATS, default="text")
def query(
    files: tuple[Path, ...],
    principal: str | None,
    resource: str | None,
    operation: str | None,
    effect: str | None,
    row: int | None,
    since: datetime | None,
    until: datetime | None,
    id: str | None,
    request_id: str | None,
    limit: int | None,
    form: str,
    **options: Any,
) -> None:
    """Show decisions, newest first. FILES: only of these, oldest first.

    As JSON it is one record a line, as in the log.
    """
    from v6srv.policy.audit import trail as looking

    wanted = looking.Wanted(
        principal, resource, operation, effect, row, id, request_id, since, until
    )
    with _unusable():
        records = looking.query(_files(files, options), wanted)
        with suppress(BrokenPipeError):  # `| head` has seen enough
            _show(records, limit, form)


@audit.command()
@selected
@_FILES
@click.option(
    "--policy",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Policy files to ask instead of those in use.",
)
@click.option("--since", type=_Moment(), help="Only decisions from this time on.")
def replay(
    files: tuple[Path, ...], folder: Path | None, since: datetime | None, **options: Any
) -> None:
    """Decide the logged questions once more, and tell which are answered otherwise.

    By the policy in use, or that of --policy; principals and time are as they were then, rows as
    they are now. Exit code 0 when all agree, 1 when some do not, 2 when it cannot be done.
    """
    from v6srv.authz.source.adapter import database_lines
    from v6srv.authz.source.load import build
    from v6srv.cli.policy.engine import opened
    from v6srv.policy.audit import trail as looking
    from v6srv.policy.audit.replay import replay as again

    with _unusable():
        settings = choose(**options)
        paths = _files(files, options)
        with opened(settings) as authz:
            enforcer = build(folder, database_lines()) if folder else authz.policy
            records = looking.forwards(paths, since)
            found = again(records, enforcer)
    for one in found.disagreements:
        error(str(one))
    if found.gone:
        warn(f"{found.gone} not decided: the row is gone, or was never stored")
    if found.unknown:
        warn(f"{found.unknown} not decided: records of another release")
    different = sum(one.count for one in found.disagreements)
    info(f"{found.asked} decisions made again, {different} otherwise")
    if different:
        raise SystemExit(1)


# --- parts


@contextmanager
def _unusable() -> Iterator[None]:
    """Exit code 2 for what keeps a command from its work; 1 is an answer here."""
    try:
        with readable_errors():
            yield
    except SystemExit as end:
        raise SystemExit(2 if end.code else 0) from end


def _series(options: dict[str, Any], known: str | None) -> Any:
    from v6srv.authz.decision_log import Series
    from v6srv.policy.audit import trail as looking

    return looking.verify_series(Series.of(choose(**options)), known)


def _files(files: tuple[Path, ...], options: dict[str, Any]) -> list[Path]:
    """The files that were named, or those of the instance."""
    from v6srv.authz.decision_log import Series

    found = list(files) or Series.of(choose(**options)).files()
    if not found:
        error("There is no decision log yet")
        raise SystemExit(2)
    return found


def _show(records: Iterable[dict[str, Any]], limit: int | None, form: str) -> None:
    import itertools

    import orjson

    try:
        for record in itertools.islice(records, limit):
            click.echo(orjson.dumps(record) if form == "json" else _line(record))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
        raise


def _line(record: dict[str, Any]) -> str:
    """A record for people."""
    what = f"{record['operation']} {record['resource']}"
    if "row" in record:
        table = record["table"].lower()
        what += f" {record['row']}" if table == record["resource"] else f" {table} {record['row']}"
    elif record["question"] == "hand_out":
        what = "hand out " + ", ".join(":".join(rule) for rule in record.get("rules", ()))
    elif "facts" in record:
        what += f" { ({k: v for k, v in record['facts'].items() if v}) }"
    else:
        what += f" ({record['question']})"
    lines = f" [{', '.join(record['lines'])}]" if record["lines"] else ""
    colour = "red" if record["effect"] == Effect.DENY else "green"
    effect = click.style(f"{record['effect']:5}", fg=colour)
    request = f" request_id={record['request_id']}" if "request_id" in record else ""
    return (
        f"{record['time']} {effect} {record['principal']['id']} {what}: {record['reason']}{lines} "
        f"policy={record['policy']} id={record['id']}{request}"
    )
