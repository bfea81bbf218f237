"""Answers about the policy as CSV, for whoever opens them in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from v6srv.policy.who.abilities import WhatCan, WhoCan
from v6srv.policy.who.matrix import Row, cell_text

_FORMULA = re.compile(r"[=+@\t\r]|-.")
"""How a text begins that spreadsheets compute. People choose the names of roles and nodes."""


def of_who_can(found: WhoCan) -> str:
    """A row for each principal and each reason."""
    return _csv(("subject", "name", "held", "role", "lines"), _who(found))


def of_what_can(found: WhatCan) -> str:
    """A row for each operation on each resource."""
    titles = ("resource", "operation", "scope", "conditional", "denials", "rows", "ids")
    return _csv(titles, _what(found))


def of_matrix(found: list[Row]) -> str:
    """A row for each role, a column for each operation on each resource."""
    titles = [f"{cell.resource}:{cell.operation}" for cell in found[0].cells]
    return _csv(("subject", "name", "organization", *titles), _matrix(found))


def _csv(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([titles, *(map(_harmless, r) for r in rows)])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """The value; a text that would be computed has an apostrophe before it, which says text."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


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
