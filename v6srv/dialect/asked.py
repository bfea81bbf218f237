"""What the current request asked for: its dialect, and the base path through which it came."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from v6srv.vocabulary import V3


@dataclass(frozen=True, slots=True)
class Asked:
    """A dialect at a base path."""

    dialect: int
    """3 or 4."""
    base: str
    """What links and `refresh_url` begin with, such as `/v4/api`."""


_current: ContextVar[Asked] = ContextVar("asked")
_default = Asked(V3, "/api")


def configure(base: str) -> None:
    """Set what holds outside of requests."""
    global _default
    _default = Asked(V3, base)


def current() -> Asked:
    """Of the request that is served now; outside of requests, what was configured."""
    return _current.get(_default)


@contextmanager
def using(asked: Asked) -> Iterator[None]:
    """Within the block the current request asks for this."""
    token = _current.set(asked)
    try:
        yield
    finally:
        _current.reset(token)
