"""Policy lines with their origin, from files and from the database, and what is wrong with them."""

import codecs
import os
import re
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from v6srv.authz import clock
from v6srv.authz.line import Line
from v6srv.authz.long_work import step
from v6srv.authz.source import codes
from v6srv.authz.source.codes import Code
from v6srv.authz.source.problems import LIKE_POLICY, Problem

MEGABYTE = 1_000_000
LARGEST = 20 * MEGABYTE
"""Bytes of a file, and of all lines of a policy together; a hundred thousand lines are less."""


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


_ODD = re.compile(
    "[\u00a0\u00ad\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064\u2066-\u2069\u3000\ufeff"
    "\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_STRAIGHT = dict.fromkeys("\u2018\u2019\u201a\u201b", "'") | dict.fromkeys(
    "\u201c\u201d\u201e\u201f", '"'
)
_CURLY = re.compile(f"[{''.join(_STRAIGHT)}]")


def odd_characters(text: str) -> Iterator[tuple[int, Code, str, str]]:
    """What cannot be seen or looks like something else: index, code, message and suggestion."""
    for found in _ODD.finditer(text):
        name = f"U+{ord(found.group()):04X}"
        message = f"a character that cannot be seen ({name})"
        yield found.start(), codes.INVISIBLE_CHARACTER, message, ""
    for found in _CURLY.finditer(text):
        straight = _STRAIGHT[found.group()]
        message = f"the quote {found.group()} is not {straight}"
        yield found.start(), codes.TYPOGRAPHIC_QUOTE, message, straight


def found_in(folder: Path, pattern: str) -> list[Path]:
    """The files of a policy folder by their ending, by name.

    Names with a dot in front are no policy: editors and mounts leave such files.
    """
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def is_like_policy(name: str) -> bool:
    """Whether a file of this name looks like a part of a policy, though it may not be read."""
    return re.fullmatch(LIKE_POLICY, name, re.IGNORECASE) is not None


def read_text(path: Path) -> str:
    """The text of a file of policies; never waits, as for a writer of a pipe.

    Raises OSError, also for what is no file, and UnicodeDecodeError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is no file")
        if status.st_size > LARGEST:
            raise OSError(f"it is larger than {LARGEST // MEGABYTE} MB")
        return file.read().decode("utf-8")


def unreadable(name: str, error: OSError | UnicodeDecodeError) -> list[Problem]:
    """Why `read_text` has failed for the file called so."""
    if isinstance(error, UnicodeDecodeError):
        return list(_not_utf8(name, error.object))
    return [Problem(name, f"cannot be read: {error}", codes.UNREADABLE_FILE)]


def _not_utf8(name: str, data: bytes) -> Iterator[Problem]:
    """The first place of each line that is no UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        message = "the file is UTF-16: save it as UTF-8"
        yield Problem(f"{name}:1:1", message, codes.UNREADABLE_FILE)
        return
    for number, row in enumerate(data.split(b"\n"), 1):
        try:
            row.decode("utf-8")
        except UnicodeDecodeError as error:
            column = len(row[: error.start].decode("utf-8")) + 1
            byte = row[error.start : error.start + 1]
            meant = byte.decode("cp1252", errors="ignore")
            hint = f", as {meant} is written in Windows-1252" if meant else ""
            message = f"the byte {byte.hex()} is no UTF-8{hint}: save the file as UTF-8"
            yield Problem(f"{name}:{number}:{column}", message, codes.UNREADABLE_FILE)


def read_lines(name: str, text: str) -> tuple[list[Line], list[Problem]]:
    """All lines of the text of a CSV file called `name`."""
    lines: list[Line] = []
    problems: list[Problem] = []
    # Not splitlines: it knows ends of lines that editors do not count.
    for number, row in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        step()
        if not row.strip() or row.lstrip("\ufeff \t").startswith("#"):
            continue
        origin = f"{name}:{number}"
        odd = () if row.isascii() and row.isprintable() else tuple(odd_characters(row))
        if odd:
            problems += [
                Problem(f"{origin}:{at + 1}", message, code, meant)
                for at, code, message, meant in odd
            ]
            continue
        try:
            lines.append(_read_line(row, origin))
        except _Misread as error:
            problems.append(Problem(f"{origin}:{error.column}", str(error), error.code))
    return lines, problems


class _Misread(ValueError):
    def __init__(self, column: int, message: str, code: Code) -> None:
        self.column, self.code = column, code
        super().__init__(message)


def _read_line(row: str, origin: str) -> Line:
    try:
        fields = split(row)
    except ValueError as error:
        column, _, message = str(error).partition(": ")
        raise _Misread(int(column), message, codes.UNBALANCED) from error
    limits = _take_limits(fields)
    return Line(
        fields[0][0],
        tuple(value for value, _ in fields[1:]),
        origin,
        tuple(column for _, column in fields[1:]),
        **limits,
        column=fields[0][1],
    )


_LIMITS = ("valid_from", "valid_until")


def _take_limits(fields: list[tuple[str, int]]) -> dict[str, datetime]:
    """Take `valid_from=...` and `valid_until=...` from the end of a line. Raises _Misread."""
    limits: dict[str, datetime] = {}
    while len(fields) > 1 and fields[-1][0].partition("=")[0].strip() in _LIMITS:
        text, column = fields.pop()
        name, _, moment = (part.strip() for part in text.partition("="))
        if name in limits:
            raise _Misread(column, f"{name} is given twice", codes.BAD_TIME)
        try:
            limits[name] = clock.read(moment, end=name == "valid_until")
        except (ValueError, OverflowError) as error:
            message = f"{name}: {moment!r} is no date or time"
            raise _Misread(column, message, codes.BAD_TIME) from error
    return limits
