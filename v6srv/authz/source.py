"""Policy lines with their origin, from files and from the database, and what is wrong with them."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from v6srv.authz import clock
from v6srv.errors import Invalid


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a policy from going live."""

    origin: str
    """`file:line:column`, `file:line`, `db:table:id` or a file name."""
    message: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.message}"


class PolicyError(Invalid):
    """A policy that must not go live; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of policy."""

    ptype: str
    """`p`, `g` or `g2`."""
    values: tuple[str, ...]
    origin: str
    columns: tuple[int, ...] = ()
    """Where each value starts in its line of a file, from 1; empty for lines of the database."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    """When the line counts: from the first moment on, until just before the other."""

    def at(self, index: int) -> str:
        """The place of one value: `file:line:column`."""
        return f"{self.origin}:{self.columns[index]}" if index < len(self.columns) else self.origin

    def __str__(self) -> str:
        return ", ".join((self.ptype, *self.values))


def split(text: str) -> list[tuple[str, int]]:
    """The fields of a line and their columns, by Casbin's comma rule.

    A comma inside brackets or quotes does not split. Raises ValueError for what Casbin would guess.
    """
    fields: list[tuple[str, int]] = []
    start, open_brackets, quote = 0, [], ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([":
            open_brackets.append(")" if char == "(" else "]")
        elif char in ")]":
            if not open_brackets or open_brackets.pop() != char:
                raise ValueError(f"{index + 1}: {char!r} closes nothing")
        elif char == "," and not open_brackets:
            fields.append((text[start:index], start))
            start = index + 1
    if quote:
        raise ValueError(f"{len(text)}: the quote {quote} is not closed")
    if open_brackets:
        raise ValueError(f"{len(text)}: {open_brackets[-1]!r} is missing")
    fields.append((text[start:], start))
    return [
        (field.strip(), column + 1 + len(field) - len(field.lstrip())) for field, column in fields
    ]


def read_file(path: Path) -> tuple[list[Line], list[Problem]]:
    """All lines of a CSV file of policies; comments and blank lines are passed over."""
    lines: list[Line] = []
    problems: list[Problem] = []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], [Problem(path.name, f"cannot be read: {error}")]
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        origin = f"{path.name}:{number}"
        try:
            fields = split(row)
        except ValueError as error:
            column, _, message = str(error).partition(": ")
            problems.append(Problem(f"{origin}:{column}", message))
            continue
        try:
            limits = _take_limits(fields)
        except ValueError as error:
            column, _, message = str(error).partition(": ")
            problems.append(Problem(f"{origin}:{column}", message))
            continue
        lines.append(
            Line(
                fields[0][0],
                tuple(value for value, _ in fields[1:]),
                origin,
                tuple(column for _, column in fields[1:]),
                **limits,
            )
        )
    return lines, problems


_LIMITS = ("valid_from", "valid_until")


def _take_limits(fields: list[tuple[str, int]]) -> dict[str, datetime]:
    """Take `valid_from=...` and `valid_until=...` from the end of a line. Raises ValueError."""
    limits: dict[str, datetime] = {}
    while len(fields) > 1 and fields[-1][0].partition("=")[0].strip() in _LIMITS:
        text, column = fields.pop()
        name, _, moment = (part.strip() for part in text.partition("="))
        if name in limits:
            raise ValueError(f"{column}: {name} is given twice")
        try:
            limits[name] = clock.read(moment, end=name == "valid_until")
        except ValueError as error:
            raise ValueError(f"{column}: {name}: {moment!r} is no date or time") from error
    return limits


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean organization?` or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]}?" if near else ""
