"""Values computed by the database inside the query that reads a row.

A query that asks for them gets them in the same round trip, for one row or a thousand, so that the
number of queries never depends on the length of a list. There are two kinds. What belongs to the
row itself is deferred, in a group. Links to other rows depend on who asks: a query reads those
that it names (`Linked.shown`), cut to what the caller may view. Without that there are none.
What only one of the two wire formats shows is read only for that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, and_, exists, select
from sqlalchemy.orm import (
    InstrumentedAttribute,
    MappedSQLExpression,
    column_property,
    query_expression,
    undefer_group,
    with_expression,
)
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.db import Base, json_rows
from v6srv.vocabulary import DIALECTS

_WIRE = "wire"

with_wire: Mapping[int, tuple[ORMOption, ...]] = {
    dialect: (undefer_group(_WIRE), undefer_group(f"{_WIRE}{dialect}")) for dialect in DIALECTS
}
"""Loader options: read what a wire format shows of the row itself together with it."""


def rows_of(*columns: ColumnElement[Any], where: ColumnElement[bool]) -> Select[Any]:
    """A correlated subquery: the matching rows as one JSON array, see `db.json_rows`."""
    return select(json_rows(*columns)).where(where)


def on_wire(query: Select[Any], dialect: int | None = None) -> MappedSQLExpression[Any]:
    """A deferred attribute, read-only; `dialect`: which alone shows it."""
    return column_property(query.scalar_subquery(), deferred=True, group=f"{_WIRE}{dialect or ''}")


@dataclass(frozen=True, slots=True, eq=False)
class Linked:
    """An attribute of `owner` that shows related rows, which are rows of `model`."""

    owner: type[Base]
    name: str
    model: type[Base]
    columns: tuple[Column[Any], ...]
    """What is shown of each, the id first."""
    where: ColumnElement[bool] | None
    """Which rows belong to the owner; None: the one whose id the owner itself holds."""
    dialect: int | None = None
    """Which alone shows it."""

    def shown(self, condition: ColumnElement[bool] | None) -> ORMOption:
        """Loader option: read those that meet a condition on `model`; None: all of them."""
        attribute: InstrumentedAttribute[Any] = getattr(self.owner, self.name)
        return with_expression(attribute, self._expression(condition))

    def _expression(self, condition: ColumnElement[bool] | None) -> ColumnElement[Any]:
        id, key = self.columns[0], self.model.id  # type: ignore[attr-defined]
        if self.where is None and condition is None:
            return id
        if self.where is None:
            query = select(key).select_from(self.model).where(key == id, condition)
        elif condition is None:
            query = rows_of(*self.columns, where=self.where)
        elif id.table is self.model.__table__:
            query = rows_of(*self.columns, where=self.where)
            query = query.select_from(self.model).where(condition)
        else:
            meets = exists().select_from(self.model).where(key == id, condition)
            meets = meets.correlate(id.table)
            query = rows_of(*self.columns, where=and_(self.where, meets))
        return query.correlate(self.owner.__table__).scalar_subquery()


_linked: dict[type[Base], list[Linked]] = {}


def link(
    owner: type[Base],
    name: str,
    model: type[Base],
    *columns: Column[Any],
    where: ColumnElement[bool] | None = None,
    dialect: int | None = None,
) -> None:
    """Declare `owner.name`; see `Linked`."""
    setattr(owner, name, query_expression())
    _linked.setdefault(owner, []).append(Linked(owner, name, model, columns, where, dialect))


def links_of(owner: type[Base], dialect: int) -> Iterator[Linked]:
    """What rows of this table show of others."""
    for linked in _linked.get(owner, ()):
        if linked.dialect in (None, dialect):
            yield linked
