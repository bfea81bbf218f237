"""Answers about the policy as CSV, for whoever opens them in a spreadsheet."""

from collections.abc import Iterator
from typing import Any

from v6srv.policy.who.abilities import WhatCan, WhoCan
from v6srv.policy.who.matrix import Row, cell_text
from v6srv.spreadsheets import as_csv


def of_who_can(found: WhoCan) -> str:
    """A row for each principal and each reason."""
    return as_csv(("subject", "name", "held", "role", "lines"), _who(found))


def of_what_can(found: WhatCan) -> str:
    """A row for each operation on each resource."""
    titles = ("resource", "operation", "scope", "conditional", "denials", "rows", "ids")
    return as_csv(titles, _what(found))


def of_matrix(found: list[Row]) -> str:
    """A row for each role, a column for each operation on each resource."""
    titles = [f"{cell.resource}:{cell.operation}" for cell in found[0].cells]
    return as_csv(("subject", "name", "organization", *titles), _matrix(found))


def _who(found: WhoCan) -> Iterator[tuple[str, ...]]:
    for way in found.ways:
        origins = " ".join(line.origin for line in way.lines)
        for one in way.principals:
            yield one.subject, one.name, way.held, way.name, origins


def _what(found: WhatCan) -> Iterator[tuple[Any, ...]]:
    for one in found.abilities:
        reach, rows = one.reach, one.rows
        yield (
            reach.resource.value,
            reach.operation.value,
            reach.scope or "",
            " ".join(limited.origin for limited in reach.conditional),
            " ".join(limited.origin for limited in reach.denials),
            rows.total if rows else "",
            " ".join(map(str, rows.ids)) if rows else "",
        )


def _matrix(found: list[Row]) -> Iterator[tuple[Any, ...]]:
    for row in found:
        holder = row.holder
        yield (
            holder.subject,
            holder.name,
            holder.organization_id or "",
            *map(cell_text, row.cells),
        )
