"""What time it is for policies. Always UTC; tests of policies stop it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

_stopped: ContextVar[datetime | None] = ContextVar("v6srv_policy_clock", default=None)

OPEN_END = "_"
"""Instead of a time: from ever, or for ever (Casbin's word)."""


def now() -> datetime:
    """Now, aware, UTC."""
    return _stopped.get() or datetime.now(UTC)


@contextmanager
def stopped(at: datetime) -> Iterator[None]:
    """Let it be this time, for what is decided inside."""
    token = _stopped.set(at.astimezone(UTC))
    try:
        yield
    finally:
        _stopped.reset(token)


def read(text: str, *, end: bool = False) -> datetime:
    """A moment as policies write it: ISO 8601; without an offset it is UTC.

    A day without a time is its first moment, or with `end` the first moment after it. Raises
    ValueError for anything else.
    """
    moment = datetime.fromisoformat(text)
    try:
        if len(text) <= len("2026-01-01") and end:
            moment += timedelta(days=1)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is before the first year or after the last") from error


def write(moment: datetime | None) -> str:
    """The same moment in the form that Casbin's `timeMatch` knows."""
    if moment is None:
        return OPEN_END
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def within(start: str, end: str) -> bool:
    """`timeMatch`: whether it is `start` or later, and not yet `end`. Raises ValueError."""
    here = now()
    return (start == OPEN_END or read(start) <= here) and (end == OPEN_END or here < read(end))
