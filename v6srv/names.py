"""What names and addresses may be: each rule once, for every way that leads into the database.

A rule says what is wrong with a text, for the person who wrote it, or None when nothing is. `RULES`
has the one of each column: the schemas of REST ask it, the tables themselves do (so the shell and
whatever comes later), and so do import files and the take-over of a 3.x database. A text column
that is not in there is free: all that is asked of it is `unstorable`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import category, normalize

Rule = Callable[[str], str | None]

MAX_LENGTH = 255
MAX_PROSE = 4_096
MAX_LABEL = 128

_CONTROL = re.compile(
    # Control characters, ends of lines, what turns the direction of writing, halves of characters.
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
# Beside the category Cf: what Unicode calls "default ignorable", such as fillers and selectors.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0000-\U000e0fff]"
)
_NUMBER = "Must not be a number: it would be taken for an id."
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
_USERNAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{2,127}")
_SURROGATE = re.compile("[\ud800-\udfff]")


def unstorable(text: str) -> str | None:
    """What no database of this server can store, whatever the column."""
    if "\x00" in text:
        return "The character NUL is not allowed."
    if not text.isascii() and _SURROGATE.search(text):
        return "Not valid Unicode text."
    return None


def storable(text: str) -> str:
    """The same text with what is `unstorable` replaced: for what is not refused for that."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def key(text: str) -> str:
    """What names and addresses of accounts are compared by: those with one key are one.

    Case does not count, nor how a character is composed, nor what cannot be seen.
    """
    if text.isascii():
        return text.lower()
    seen = _UNSEEN.sub("", normalize("NFKC", text))
    seen = "".join(char for char in seen if category(char) != "Cf")
    # Last, as what could not be seen may have stood between characters that compose.
    return normalize("NFKC", normalize("NFKC", seen).casefold())


def line(text: str) -> str | None:
    """One line of text, which may be empty."""
    if _CONTROL.search(text):
        return "Control characters are not allowed."
    return _too_long(text, MAX_LENGTH)


def prose(text: str) -> str | None:
    """Text of any form, which may be empty."""
    return _too_long(text, MAX_PROSE)


def _too_long(text: str, most: int) -> str | None:
    return f"Longer than maximum length {most}." if len(text) > most else None


def name(text: str) -> str | None:
    """What somebody or something is called by."""
    own_key = key(text) if len(text) <= MAX_LENGTH else text
    if not own_key or text != text.strip() or _CONTROL.search(text):
        return "Empty, or with blanks around it or control characters in it."
    return line(text) or _too_long(own_key, MAX_LENGTH)  # one character may stand for eighteen


def is_number(text: str) -> bool:
    """Whether it would be taken for an id: digits of any script, perhaps with a sign or blanks."""
    return "".join(key(text).split()).lstrip("+-\N{MINUS SIGN}").isdigit()


def called(text: str) -> str | None:
    """What somebody or something new is called by who is also known by an id."""
    return name(text) or (_NUMBER if is_number(text) else None)


def optional_name(text: str) -> str | None:
    """As `called`; the contract lets it be empty."""
    return called(text) if text else None


def label(text: str) -> str | None:
    """A new name, as 4.x has them."""
    if not 1 <= len(text) <= MAX_LABEL:
        return f"Must have 1 to {MAX_LABEL} characters."
    return called(text)


def username(text: str) -> str | None:
    """What 4.x lets a new user be called by."""
    if _USERNAME.fullmatch(text):
        return None
    return "Must begin with a letter, then 2 to 127 letters, digits, dots, dashes or underscores."


def address(text: str) -> str | None:
    """An email address, as far as one can tell without sending to it."""
    if not _ADDRESS.fullmatch(text) or _CONTROL.search(text):
        return "Not a valid email address."
    return line(text) or _too_long(key(text), MAX_LENGTH)


def node_name(organization: str | None, collaboration: str | None) -> str:
    """The name of a node that was given none; a good one, whatever those two are called."""
    room = (MAX_LENGTH - len(" -  Node")) // 2
    parts = (
        " ".join(_CONTROL.sub(" ", part or "").split())[:room].strip()
        for part in (organization, collaboration)
    )
    return "{} - {} Node".format(*parts).strip()


RULES: Mapping[str, Mapping[str, Rule]] = {
    "user": {"username": called, "email": address, "firstname": line, "lastname": line},
    "organization": {
        "name": optional_name,
        "domain": line,
        "address1": prose,
        "address2": prose,
        "zipcode": line,
        "country": line,
    },
    "collaboration": {"name": called},
    "role": {"name": name, "description": prose},
    "node": {"name": optional_name, "ip": line},
    "study": {"name": name},
    "algorithmstore": {"name": name, "url": line},
}
"""The rule of each column that has one, by table."""


DISTINCT = frozenset({"organization", "collaboration", "study", "node"})
"""Tables of which no two rows get one name from 4.x."""

STRICT_RULES: Mapping[str, Mapping[str, Rule]] = {
    **{table: {"name": label} for table in (*DISTINCT, "role")},
    "user": {"username": username},
}
"""What 4.x asks of new values beyond `RULES`."""


def faults(
    table: str, values: Mapping[str, Any], by: Mapping[str, Mapping[str, Rule]] = RULES
) -> dict[str, list[str]]:
    """What is wrong with values of a row, by column. None is no text: nothing is wrong with it."""
    rules = by.get(table, {})
    return {
        column: [fault]
        for column, value in values.items()
        if value is not None and column in rules and (fault := _fault(rules[column], value))
    }


def _fault(rule: Rule, value: Any) -> str | None:
    return rule(value) if isinstance(value, str) else "Not a valid string."
