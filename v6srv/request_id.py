"""The id of the request that is being answered: in its log lines, decisions and error answers.

An event of a socket has that of its socket. Background work has none.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "X-Request-ID"

_SAFE = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
"""What logs, headers and JSON take without escapes, and no more than a line bears."""

_current: ContextVar[str | None] = ContextVar("v6srv_request_id", default=None)


def current() -> str | None:
    """The id; None outside of requests. New threads and greenlets begin without one."""
    return _current.get()


@contextmanager
def using(id: str) -> Iterator[None]:
    """What is done inside belongs to the request of this id."""
    token = _current.set(id)
    try:
        yield
    finally:
        _current.reset(token)


def accepted(sent: str | None) -> str:
    """The id that a caller or a proxy in front sent, if it is a safe one; else a new one."""
    return sent if sent and _SAFE.fullmatch(sent) else uuid.uuid4().hex
