"""Rows as people and as scripts read them."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from v6srv.cli.records.resources import plural

if TYPE_CHECKING:
    from v6srv.cli.records.asking import Endpoints

Item = TypeVar("Item")
Row = Mapping[str, Any]

_LINK = {"id", "link", "methods"}
_NAMED = {"organization", "collaboration", "study", "user"}
"""Of these the names are shown, not only ids."""
_WIDE = 10_000
"""Columns where there is no screen: a row is a line."""


def plain(row: Row, endpoints: "Endpoints") -> dict[str, Any]:
    """A row without links: `organization` is the name of what `organization_id` is the id of."""
    found: dict[str, Any] = {}
    for field, value in row.items():
        if isinstance(value, dict) and value.keys() == _LINK:
            kind = value["link"].split("/")[-2]
            found[f"{field}_id"] = value["id"]
            if kind in _NAMED:
                found[field] = endpoints.name_of(kind, value["id"])
        elif not _tells_where(value):
            found[field] = value
    return found


def _tells_where(value: Any) -> bool:
    """Whether it is the path of a list of other rows."""
    return isinstance(value, str) and value.startswith("/v4/api/") and "_id=" in value


def print_list(kind: str, rows: Sequence[Row], columns: Sequence[str], form: str) -> None:
    """All rows on standard output."""
    if form == "json":
        print_json(rows)
    elif form == "csv":
        from v6srv.spreadsheets import as_csv

        lines = ([_text(row, column) for column in columns] for row in rows)
        click.echo(as_csv(columns, lines), nl=False)
    elif rows:
        _print_table(rows, columns)
    else:
        click.echo(f"There are no {plural(kind)}")


def print_row(row: Row, form: str) -> None:
    """One row: a line for each field, or JSON."""
    if form == "json":
        print_json(row)
        return
    width = max(map(len, row))
    for field in row:
        click.echo(f"{field:<{width}}  {_shown(row, field)}".rstrip())


def print_json(value: Any) -> None:
    """A value on one line."""
    import orjson

    click.echo(orjson.dumps(value))


def each(items: Sequence[Item]) -> Iterator[Item]:
    """The items, with a bar on standard error if these are many and somebody looks."""
    hidden = len(items) < 2 or not sys.stderr.isatty()
    with click.progressbar(items, file=sys.stderr, hidden=hidden) as bar:
        yield from bar


def _print_table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*(column.replace("_", " ") for column in columns))
    for row in rows:
        table.add_row(*(Text(_shown(row, column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def _shown(row: Row, column: str) -> str:
    """For a terminal, which names must not be able to steer."""
    text = _text(row, column)
    return "".join(one if one.isprintable() else " " for one in text)


def _text(row: Row, column: str) -> str:
    value = row.get(column)
    if value is None:
        value = row.get(f"{column}_id")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, dict) and "name" in one for one in value):
        return ", ".join(one["name"] for one in value)
    if isinstance(value, (dict, list)):
        import orjson

        return orjson.dumps(value).decode()
    return "" if value is None else str(value)
