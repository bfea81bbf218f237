"""What logic speaks of: literals over facts and constants, and what is known beforehand."""

import ast
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from v6srv.authz.expression import glob
from v6srv.authz.fact_types import Fact


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of facts beforehand. Facts go by their text in expressions, `r_sub.kind`."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Facts with one value; None when they never have one, an empty frozenset for no members."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What facts can be, and how they depend on each other."""
    tokens: tuple[str, str] = ("r_sub", "r_obj")
    """What the principal and the row are called."""
    at: datetime | None = None
    """The moment it is; None: any moment."""
    since: datetime | None = None
    """With `at` None: no moment before this one."""
    unnamed: Collection[str] = ()
    """Facts that no constant equals but `ABSENT`, and sets that hold no constant."""
    roles: Mapping[str, Collection[str]] = field(default_factory=dict)
    """All that `g` is true for, by its first argument."""


ABSENT = (None, "org:None")
"""What a fact is for somebody who has none; the second is `r.sub.group` without an organization."""

NOTHING_KNOWN = Known()


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known."""

    value: Any

    @property
    def key(self) -> tuple[str, Any]:
        """Told apart from equal values of other types: True is not 1 here."""
        return type(self.value).__name__, self.value


Term = Constant | str


@dataclass(frozen=True, slots=True)
class Literal:
    """One thing that is so, or is not so."""

    kind: str
    """`equal`, `one_of`, `member`, `meets`, `within`, `glob`, `order`, `time` or `other`."""
    left: Any
    """A fact by its text or a Constant; of `time` a moment, of `other` the whole expression."""
    right: Any
    """What it is compared with; of `member` and `meets` a set by its text, of `order` the
    comparison and a number."""
    so: bool


Window = tuple[datetime | None, datetime | None]
"""Beginning and end; None where it is open."""


ORDERS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def inside(moment: datetime, window: Window) -> bool:
    """Whether a moment is in a window."""
    start, end = window
    return (start is None or start <= moment) and (end is None or moment < end)


def keys(values: Iterable[Any]) -> set[tuple[str, Any]]:
    """The values, told apart as `Constant.key` does."""
    return {Constant(value).key for value in values}


def matches(value: Any, pattern: str) -> bool:
    """Whether a value is a text that a pattern of `glob` matches."""
    return isinstance(value, str) and glob(value, pattern)
