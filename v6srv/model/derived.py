"""Values computed by the database inside the query that reads a row.

They are deferred: a query that asks for group `WIRE` gets them in the same round trip, for one row
or a thousand, so that the number of queries never depends on the length of a list.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import MappedSQLExpression, column_property, undefer_group

from v6srv.db import json_rows

WIRE = "wire"

with_wire = undefer_group(WIRE)
"""Loader option: read what the wire format shows together with the row."""


def rows_of(*columns: ColumnElement[Any], where: ColumnElement[bool]) -> Select[Any]:
    """A correlated subquery: the matching rows as one JSON array, see `db.json_rows`."""
    return select(json_rows(*columns)).where(where)


def on_wire(query: Select[Any]) -> MappedSQLExpression[Any]:
    """A deferred attribute of group `WIRE`, read-only."""
    return column_property(query.scalar_subquery(), deferred=True, group=WIRE)
