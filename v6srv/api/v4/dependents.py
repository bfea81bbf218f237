"""Deletions of 4.x: what hangs on a row goes with it when the caller says so."""

from collections.abc import Iterator
from contextlib import contextmanager

from v6srv.errors import Conflict, Invalid


@contextmanager
def or_refused(then: str = "they are deleted, too") -> Iterator[None]:
    """Say how it goes on where something is in the way: 4.x programs read 400, and show the text.

    `then`: what happens to them with `delete_dependents`. Raises Invalid.
    """
    try:
        yield
    except Conflict as conflict:
        text = f"{conflict}: with delete_dependents=true {then}"
        raise Invalid(text, {"delete_dependents": [text]}) from conflict
