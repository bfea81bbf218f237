"""What hangs on a row that is to be deleted goes with it when the caller says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from v6srv.errors import Conflict, Invalid


@contextmanager
def told_to_3() -> Iterator[None]:
    """Say how it goes on where something is in the way. Raises Conflict."""
    try:
        yield
    except Conflict as conflict:
        text = f"{conflict}: delete them first, or all at once with ?delete_dependents=true"
        raise Conflict(text) from conflict


@contextmanager
def told_to_4(then: str = "they are deleted, too") -> Iterator[None]:
    """As `told_to_3`. Programs of 4.x read 400, and show the text.

    `then`: what happens to them with `delete_dependents`. Raises Invalid.
    """
    try:
        yield
    except Conflict as conflict:
        text = f"{conflict}: with delete_dependents=true {then}"
        raise Invalid(text, {"delete_dependents": [text]}) from conflict
