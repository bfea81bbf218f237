"""The rows that somebody may see or change, as a query."""

from collections.abc import Callable, Mapping
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, func
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.db import session

Load = Callable[[list[Any]], None]


class AllowedRows:
    """A Select of the rows that are allowed, to filter, order and page further. Immutable."""

    __slots__ = ("_loads", "parameters", "select")

    def __init__(
        self, query: Select[Any], parameters: Mapping[str, Any], loads: tuple[Load, ...] = ()
    ) -> None:
        self.select, self.parameters, self._loads = query, parameters, loads

    def where(self, *conditions: ColumnElement[bool], **parameters: Any) -> Self:
        """Narrow further, with more parameters if need be; nothing can widen."""
        query = self.select.where(*conditions)
        return type(self)(query, {**self.parameters, **parameters}, self._loads)

    def order_by(self, *columns: Any) -> Self:
        """Order, instead of by id."""
        query = self.select.order_by(None).order_by(*columns)
        return type(self)(query, self.parameters, self._loads)

    def options(self, *options: ORMOption) -> Self:
        """Loader options."""
        return type(self)(self.select.options(*options), self.parameters, self._loads)

    def then(self, load: Load) -> Self:
        """With more that is loaded for those rows that are read, all of them at once."""
        return type(self)(self.select, self.parameters, (*self._loads, load))

    def read(self, query: Select[Any] | None = None, *, fresh: bool = False) -> list[Any]:
        """The rows; of a part of the Select if one is given.

        `fresh`: as they stand now in this transaction, also what was read before.
        """
        query = self.select if query is None else query
        options = {"populate_existing": True} if fresh else {}
        if fresh:
            session.flush()
        found = session.scalars(query, self.parameters, execution_options=options)
        return self._loaded(list(found.unique()))

    def page(self, first: int, size: int) -> tuple[list[Any], int]:
        """At most `size` rows from the one with number `first` on (from 0), and how many there are
        in all."""
        counted = self.select.with_only_columns(func.count(), maintain_column_froms=True)
        counted = counted.order_by(None)
        total = counted.correlate(None).scalar_subquery()
        some = self._part(first, size).add_columns(total)
        found = session.execute(some, self.parameters).unique().all()
        if found:
            return self._loaded([row for row, _ in found]), found[0][1]
        # The number of all stands beside a row: beyond the last one there is none.
        return [], session.scalar(counted, self.parameters) or 0 if first else 0

    def _part(self, first: int, size: int) -> Select[Any]:
        if not first:
            return self.select.limit(size)
        # By their ids: else all that is shown of the rows that are passed over is looked up, too.
        id = self.select.column_descriptions[0]["entity"].id
        ids = self.select.with_only_columns(id, maintain_column_froms=True)
        return self.select.where(id.in_(ids.limit(size).offset(first).correlate(None)))

    def _loaded(self, rows: list[Any]) -> list[Any]:
        for load in self._loads:
            load(rows)
        return rows
