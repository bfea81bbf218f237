"""What a node shares of its configuration, checked and put as rows of text (realtime.md 6)."""

import json
from collections.abc import Iterator
from typing import Any

from v6srv.errors import Invalid
from v6srv.model.node import RESTRICTIONS

MAX_VALUES = 1000
MAX_KEY = 200
MAX_VALUE = 2000
"""Characters."""


def entries(info: Any) -> list[tuple[str, str | None]]:
    """The rows `(key, value)` of a `node_info_update`: one for a scalar, one per item of a list.

    What is inside of an object has its own key there. Booleans become "1" and "0", what is still no
    scalar becomes JSON text (S22). Raises Invalid for anything that cannot be stored as a whole;
    then nothing of it is.
    """
    if not isinstance(info, dict):
        raise Invalid("node info must be an object")
    rows: list[tuple[str, str | None]] = []
    for row in _rows(info):
        if len(rows) == MAX_VALUES:
            raise Invalid(f"node info has more than {MAX_VALUES} values")
        rows.append(row)
    return rows


def restrictions_in(info: Any) -> list[str]:
    """The keys of a `node_info_update`, readable or not, that say who may send tasks."""
    if not isinstance(info, dict):
        return []
    said = [key for key, value in _flat(info) if value]
    return [key for key in RESTRICTIONS if key in said]


def _flat(info: dict[Any, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in info.items():
        yield from value.items() if isinstance(value, dict) else [(key, value)]


def _rows(info: dict[Any, Any]) -> Iterator[tuple[str, str | None]]:
    for key, value in _flat(info):
        if not isinstance(key, str):
            raise Invalid("a key of the node info is no text")
        _storable(key, MAX_KEY)
        for item in value if isinstance(value, list) else [value]:
            text = _text(item)
            if text is not None:
                _storable(text, MAX_VALUE)
            yield key, text


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:  # bytes of a binary event
        raise Invalid("a value of the node info is not JSON") from error


def _storable(text: str, longest: int) -> None:
    if len(text) > longest:
        raise Invalid(f"node info has a text of more than {longest} characters")
    if "\x00" in text:
        raise Invalid("node info has a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("node info has half a character") from error
