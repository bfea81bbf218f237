"""`node`: the nodes of an instance."""

from typing import TYPE_CHECKING, Any

import click

from v6srv.cli.instances import choose, selected
from v6srv.cli.output import FORMATS, info, readable_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from v6srv.service.node_overview import Shown


@click.group()
def node() -> None:
    """The nodes of this server."""


@node.command("list")
@selected
@click.option(
    "--format",
    "format_",
    type=FORMATS,
    default="text",
    help="JSON is for scripts: a list with an object for each node.",
)
def list_(format_: str, **options: Any) -> None:
    """Show all nodes: where they belong, whether they are there, and their generation.

    The generation is that of the program which last asked for its work, 3 or 4. Who sends tasks to
    nodes of several generations needs images that both can start.
    """
    from v6srv.cli.database import connected, must_exist
    from v6srv.service.node_overview import all_nodes

    with readable_errors():
        settings = choose(**options)
        must_exist(settings.uri)
        with connected(settings.uri):
            nodes = all_nodes()
    if format_ == "json":
        import orjson

        click.echo(orjson.dumps([one._asdict() for one in nodes]))
    elif nodes:
        _print_table(nodes)
    else:
        info("There are no nodes")


def _print_table(nodes: "Sequence[Shown]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "id", "name", "organization", "collaboration", "status", "last seen", "generation"
    )
    for one in nodes:
        seen = f"{one.last_seen:%Y-%m-%d %H:%M}" if one.last_seen else "never"
        names = (escape(name or "") for name in (one.name, one.organization, one.collaboration))
        generation = f"{one.generation}.x" if one.generation else "not seen yet"
        table.add_row(str(one.id), *names, one.status or "never there", seen, generation)
    Console().print(table)
