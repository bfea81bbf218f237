"""CSV, for whoever opens it in a spreadsheet."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

_FORMULA = re.compile(r"[=+@\t\r]|-.")
"""How a text begins that spreadsheets compute. People choose the names of roles and nodes."""


def as_csv(titles: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A line for the titles and one for each row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([titles, *(map(_harmless, r) for r in rows)])
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """The value; a text that would be computed has an apostrophe before it, which says text."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value
