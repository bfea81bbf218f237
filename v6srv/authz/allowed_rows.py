"""The rows that somebody may see or change, as a query."""

from collections.abc import Mapping
from typing import Any, Self

from sqlalchemy import ColumnElement, Select
from sqlalchemy.orm.interfaces import ORMOption


class AllowedRows:
    """A Select of the rows that are allowed, to filter, order and page further. Immutable."""

    __slots__ = ("parameters", "select")

    def __init__(self, query: Select[Any], parameters: Mapping[str, Any]) -> None:
        self.select = query
        self.parameters = parameters

    def where(self, *conditions: ColumnElement[bool]) -> Self:
        """Narrow further; nothing can widen."""
        return type(self)(self.select.where(*conditions), self.parameters)

    def order_by(self, *columns: Any) -> Self:
        """Order, instead of by id."""
        return type(self)(self.select.order_by(None).order_by(*columns), self.parameters)

    def options(self, *options: ORMOption) -> Self:
        """Loader options."""
        return type(self)(self.select.options(*options), self.parameters)
