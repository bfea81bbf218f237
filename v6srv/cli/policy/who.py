"""`policy who-can`, `can`, `matrix`, `export`: what the policy grants, seen from above.

Exit codes: 0, 1 when nobody may or nothing is granted, 2 when the question cannot be answered.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import readable_errors
from v6srv.cli.policy.engine import opened

if TYPE_CHECKING:
    from v6srv.authz.authorizer import Authorizer
    from v6srv.policy.who.abilities import Ability, WhatCan, WhoCan
    from v6srv.policy.who.matrix import Row

_format = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "csv"]),
    default="text",
    help="How to print.",
)
_at = click.option(
    "--at", metavar="TIME", help="As if it were this time; UTC unless it says otherwise."
)
_NARROWEST = 100
"""Columns of a table when nobody watches."""


@click.command("who-can")
@selected
@click.argument("operation")
@click.argument("row")
@click.option("--resource", help="Decide this resource on ROW: --resource node organization:3.")
@_at
@_format
def who_can(
    operation: str, row: str, resource: str | None, at: str | None, format_: str, **options: Any
) -> None:
    """All users, nodes and running containers that may do OPERATION with ROW, and why.

    \b
    OPERATION  view, edit, create or delete
    ROW        task:12, or one that does not exist: task:{"image": "x", "orgs": [3]},
               or a socket room: room:collaboration_1; task alone: who may for some task

    Exits with 1 when nobody may.
    """
    from v6srv.policy import ask
    from v6srv.policy.who import abilities, spreadsheet
    from v6srv.wire.policy_question import WhoCanOut

    with _asking(at, options) as authz:
        act, asked = ask.operation(operation), resource and ask.resource(resource)
        found = abilities.who_can(authz.policy, act, ask.thing(row, asked or None))
    if format_ == "json":
        click.echo(json.dumps(WhoCanOut().dump(found), indent=2))
    elif format_ == "csv":
        click.echo(spreadsheet.of_who_can(found), nl=False)
    else:
        click.echo("\n".join(_who_text(found)))
    raise SystemExit(0 if found.ways else 1)


@click.command()
@selected
@click.argument("principal", required=False)
@click.option(
    "--as",
    "made_up",
    metavar="WHO",
    help="A principal that does not exist: role:researcher,org:3 or, as JSON, "
    '{"org": 3, "roles": ["researcher"]}; beside PRINCIPAL, what is different about it.',
)
@click.option("--resource", "resources", multiple=True, help="Only this resource; can be repeated.")
@click.option("--rows", is_flag=True, help="Also the ids of the rows that are allowed now.")
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="Ids of rows for each."
)
@_at
@_format
def can(
    principal: str | None,
    made_up: str | None,
    resources: tuple[str, ...],
    rows: bool,
    limit: int,
    at: str | None,
    format_: str,
    **options: Any,
) -> None:
    """What PRINCIPAL (user:7, node:3, container:<task id>) may do.

    For each resource and operation the widest scope that is granted without a condition, what is
    granted under conditions (?), and what is forbidden (!). Exits with 1 when nothing is granted.
    """
    from v6srv.policy import ask
    from v6srv.policy.who import abilities, spreadsheet
    from v6srv.wire.policy_question import WhatCanOut

    with _asking(at, options) as authz:
        asked = [ask.resource(resource) for resource in resources]
        whoever = ask.named(authz.policy, principal, made_up)
        found = abilities.what_can(authz.policy, whoever, asked, limit if rows else None)
    if format_ == "json":
        click.echo(json.dumps(WhatCanOut().dump(found), indent=2))
    elif format_ == "csv":
        click.echo(spreadsheet.of_what_can(found), nl=False)
    else:
        click.echo("\n".join(_can_text(found)))
    raise SystemExit(0 if found.may_something else 1)


@click.command()
@selected
@click.option("--role", "roles", multiple=True, help="Only this role; can be repeated.")
@click.option("--resource", "resources", multiple=True, help="Only this resource; can be repeated.")
@_format
def matrix(
    roles: tuple[str, ...], resources: tuple[str, ...], format_: str, **options: Any
) -> None:
    """What each role may do: the widest scope for every resource and operation.

    \b
    org    the widest scope without a condition
    org?   as far under a condition, when that is farther
    !      a line forbids some of it
    !!     a line forbids all of it

    A role is shown by itself: what every user, node or container is comes on top (kind:user).
    """
    from v6srv.policy import ask
    from v6srv.policy.who import spreadsheet
    from v6srv.policy.who.matrix import matrix as find
    from v6srv.wire.policy_question import MatrixOut

    with _asking(None, options) as authz:
        asked = [ask.resource(resource) for resource in resources]
        found, version = find(authz.policy, roles, asked), authz.policy.version
    if format_ == "json":
        click.echo(json.dumps(MatrixOut().dump({"policy": version, "roles": found}), indent=2))
    elif format_ == "csv":
        click.echo(spreadsheet.of_matrix(found), nl=False)
    else:
        click.echo("\n".join(_matrix_text(found, version)))


@click.command()
@selected
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "json", "casbin"]),
    default="csv",
    help="CSV is a file of policies that can be read again, JSON holds everything, casbin is for"
    " stock Casbin.",
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def export(format_: str, folder: Path | None, **options: Any) -> None:
    """All lines of the live policy, of files and database, with where they come from.

    DIR is the folder, new or empty, for the two files of `--format casbin`.
    """
    from v6srv.policy.publish import export as exporting

    if (folder is not None) is not (format_ == "casbin"):
        raise click.UsageError("--format casbin takes a folder, and nothing else does")
    with _asking(None, options) as authz:
        if folder is not None:
            _write_new(folder, exporting.for_casbin(authz.policy))
        elif format_ == "json":
            click.echo(json.dumps(exporting.as_data(authz.policy), indent=2))
        else:
            click.echo("\n".join(exporting.as_csv(authz.policy)))


def _write_new(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


@contextmanager
def _asking(at: str | None, options: dict[str, Any]) -> "Iterator[Authorizer]":
    """The Authorizer of the instance, at a time; ends with 2 when something cannot be answered."""
    from v6srv.authz import clock
    from v6srv.policy import ask

    try:
        with (
            readable_errors(),
            opened(choose(**options)) as authz,
            clock.stopped(ask.moment(at)) if at else nullcontext(),
        ):
            yield authz
    except SystemExit as stop:
        raise SystemExit(2) from stop


# --- who-can


def _who_text(found: "WhoCan") -> Iterator[str]:
    numbers = (("user", found.users), ("node", found.nodes), ("container", found.containers))
    counted = [f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in numbers if number]
    same = found.thing.partition(":")[0] in (found.resource, "room")
    asked = found.thing if same else f"{found.resource} on {found.thing}"
    who = click.style(", ".join(counted) or "Nobody", bold=True)
    yield f"{who} may {found.operation} {asked}"
    yield f"policy {found.policy}, at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    for way in found.ways:
        yield ""
        title = f"{way.held} ({way.name})" if way.name else way.held
        yield f"{click.style(title, bold=True)}: {len(way.principals)}"
        for line in way.lines:
            yield f"  by {line.origin}  {line.line}"
        for one in way.principals:
            yield f"  {one.subject}  {one.name}"


# --- can


def _can_text(found: "WhatCan") -> Iterator[str]:
    name = f" ({found.name})" if found.name else ""
    roles = ", ".join(found.inherits) or "no role"
    yield f"{click.style(found.principal, bold=True)}{name}: {roles}"
    yield f"policy {found.policy}, at {found.at:%Y-%m-%d %H:%M:%S} UTC"
    before = None
    for one in found.abilities:
        if one.reach.resource != before:
            yield ""
            yield click.style(one.reach.resource.value, bold=True)
        before = one.reach.resource
        yield from _ability(one)
    if not found.may_something:
        yield "It may do nothing."


def _ability(one: "Ability") -> Iterator[str]:
    reach = one.reach
    yield f"  {reach.operation:6}  {reach.scope or '-':12}{_row_text(one)}".rstrip()
    for mark, lines in (("?", reach.conditional), ("!", reach.denials)):
        for limited in lines:
            yield f"    {mark} {limited.origin}  {limited.line}"


def _row_text(one: "Ability") -> str:
    if one.rows is None:
        return ""
    ids = " ".join(map(str, one.rows.ids))
    more = " ..." if one.rows.total > len(one.rows.ids) else ""
    noun = "row" if one.rows.total == 1 else "rows"
    return f"  {one.rows.total} {noun}{': ' if ids else ''}{ids}{more}"


# --- matrix


def _matrix_text(found: "list[Row]", version: str) -> Iterator[str]:
    """Roles side by side, as many as fit; more tables below for the others."""
    from v6srv.policy.who.matrix import cell_text

    yield f"policy {version}"
    labels = [f"{cell.resource}:{cell.operation}" for cell in found[0].cells]
    first = max(map(len, labels)) + 2
    columns = [
        [row.holder.subject.removeprefix("role:"), *map(cell_text, row.cells)] for row in found
    ]
    for some in _fitting(columns, _terminal_width() - first):
        widths = [max(map(len, column)) + 2 for column in some]
        yield ""
        for number, label in enumerate(["", *labels]):
            cells = (
                f"{column[number]:{width}}" for column, width in zip(some, widths, strict=True)
            )
            text = f"{label:{first}}{''.join(cells)}".rstrip()
            yield text if number else click.style(text, bold=True)
    named = [row.holder for row in found if row.holder.subject.removeprefix("role:").isdecimal()]
    if named:
        yield ""
    for holder in named:
        of = f", of organization {holder.organization_id}" if holder.organization_id else ""
        yield f"{holder.subject.removeprefix('role:')}: {holder.name}{of}"


def _fitting(columns: list[list[str]], width: int) -> Iterator[list[list[str]]]:
    """The columns in groups that fit into a width; one at least."""
    some: list[list[str]] = []
    taken = 0
    for column in columns:
        wide = max(map(len, column)) + 2
        if some and taken + wide > width:
            yield some
            some, taken = [], 0
        some.append(column)
        taken += wide
    yield some


def _terminal_width() -> int:
    return max(_NARROWEST, shutil.get_terminal_size((_NARROWEST, 0)).columns)
