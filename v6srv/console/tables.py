"""Rows on a page, some at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from flask import request

from v6srv.api.paging import Page, asked_for, run
from v6srv.authz.allowed_rows import AllowedRows

Row = TypeVar("Row")
SIZE = 25


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """A part of the rows that somebody may view."""

    rows: list[Row]
    page: Page
    name: str

    @property
    def number(self) -> int:
        """Of the page, from 1."""
        return self.page.number or 1

    @property
    def last(self) -> int:
        """Number of the last page."""
        return self.page.last

    @property
    def total(self) -> int:
        """How many rows there are on all pages."""
        return self.page.total

    @property
    def first(self) -> int:
        """Which of all rows is the first of these, from 1."""
        return (self.number - 1) * self.page.size + 1

    def url(self, number: int) -> str:
        """This page with another part of the table."""
        values = {name: request.args.getlist(name) for name in request.args}
        return f"{request.path}?{urlencode(values | {self.name: number}, doseq=True)}"


def table(rows: AllowedRows, name: str = "page", size: int = SIZE) -> Table[Any]:
    """The part of the rows that the query asks for by `name`; a page may have several tables."""
    found, page = run(rows, asked_for(name) or 1, size)
    return Table(found, page, name)


def containing(query: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The filters of a query. What is typed for one of these names is a part of what is found."""
    given = {name: value for name, value in query.items() if value != ""}
    return given | {name: f"%{given[name]}%" for name in names if name in given}
