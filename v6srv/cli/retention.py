"""`retention`: which data of tasks is due, and deleting it now."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, info, readable_errors

if TYPE_CHECKING:
    from v6srv.authz.authorizer import Authorizer
    from v6srv.service.retention import Due


@click.group()
def retention() -> None:
    """Inputs, results and logs that are not to be kept for ever (runs_data_cleanup_days)."""


@retention.command()
@selected
@click.option(
    "--days",
    type=click.IntRange(0, 3650),
    default=30,
    show_default=True,
    help="How far to look ahead.",
)
@click.option(
    "--keep",
    type=click.IntRange(1, 3650),
    help="As if this was runs_data_cleanup_days: to see what it would delete.",
)
@click.option(
    "--format",
    "form",
    type=FORMATS,
    default="text",
    help="JSON is for scripts: one object, with each task, what goes first before.",
)
def preview(days: int, keep: int | None, form: str, **options: Any) -> None:
    """Show what will be deleted and when; nothing is.

    What lines of the policy hold is shown apart. The size counts characters.
    """
    from v6srv.service import retention as service

    with _opened(**options) as (authz, setting):
        kept = keep or setting
        found = service.preview(authz, kept, days)
    if form == "json":
        _print_json(found, kept)
    else:
        _print_table(found, kept, days)


@retention.command()
@selected
def run(**options: Any) -> None:
    """Delete now what is due, as running servers do by themselves every few minutes.

    It goes from the database, not from its backups, and does not come back.
    """
    from v6srv.service import retention as service

    with _opened(**options) as (authz, setting):
        done = service.empty_due(authz, setting)
    info(f"{done.tasks} tasks were emptied, {done.results} results")


@contextmanager
def _opened(**options: Any) -> Iterator[tuple["Authorizer", int | None]]:
    from v6srv.authz.decision_log import DecisionLog
    from v6srv.cli.policy.engine import opened

    with readable_errors():
        settings = choose(**options)
        with opened(settings) as authz:
            authz.decisions = DecisionLog.of(settings)
            yield authz, settings.runs_data_cleanup_days


def _print_json(found: Sequence["Due"], kept: int | None) -> None:
    import orjson

    tasks = [one._asdict() for one in found]
    click.echo(orjson.dumps({"runs_data_cleanup_days": kept, "tasks": tasks}))


def _print_table(found: Sequence["Due"], kept: int | None, days: int) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("goes", "tasks", "results", "size", "the first tasks")
    for column in table.columns[1:4]:
        column.justify = "right"
    for when, of_day in groupby(sorted(found, key=_order), key=_when):
        tasks = list(of_day)
        ids = ", ".join(str(one.id) for one in tasks[:5]) + (", ..." if tasks[5:] else "")
        numbers = len(tasks), sum(one.results for one in tasks), sum(one.size for one in tasks)
        table.add_row(when, *(f"{number:,}" for number in numbers), ids)
    info(
        f"Data is kept for {kept} days" if kept else "Data is kept for ever, unless tasks say less"
    )
    if found:
        Console().print(table)
    else:
        info(f"Nothing goes within {days} days")


def _order(one: "Due") -> tuple[bool, Any]:
    return one.held, one.goes_at


def _when(one: "Due") -> str:
    from v6srv.db import utcnow

    if one.held:
        return "not: the policy holds it"
    return "now" if one.goes_at <= utcnow() else f"{one.goes_at:%Y-%m-%d}"
