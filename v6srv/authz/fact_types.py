"""What a fact can be, in words that rows and principals share.

Facts are declared once, of rows in `facts` and of principals in `principal`. What conditions may
compare, what SQL takes, what made-up rows can be given and what is possible at all follows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any


@dataclass(frozen=True, slots=True)
class SetType:
    """The type of a set of values."""

    of: type

    @property
    def spoken(self) -> str:
        """As messages say it."""
        return "a set of numbers" if self.of is int else "a set of texts"


Type = type | SetType


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What one fact can be."""

    of: type = int
    """`int`, `str` or `bool`; of a set, what its members are."""
    is_set: bool = False
    never: bool = False
    """It is always absent, or empty."""
    always: bool = False
    """It is never absent, or empty."""
    same: str | None = None
    """Another fact of the same row. One value is equal to it; a set has it as its one member, or
    none if it is absent."""
    or_all: bool = False
    """With `same`: where that is absent, the set may have any members instead."""
    at_most_one: bool = False
    """The set has one member or none."""
    kind: str | None = None
    """The members, or the one text, are names of this kind: `user` for `user:5`. With `same` the
    number is that of the other fact."""
    of_those_in: str | None = None
    """Another set. These are all organizations of the collaboration that it has, or all
    collaborations of the organization that it has (with `at_most_one` one of them, or none)."""
    account: str | None = None
    """It is the number of an account of this kind; no number is that of two."""
    moving: bool = False
    """With `account`: the row may be about to get another place than the account has."""
    words: tuple[str, ...] = ()
    """The texts that it can be; empty for any."""
    late: bool = False
    """Who is about to change a row is not refused because of it before there is a change: it is
    asked when that is written, so that services can say what is wrong in words of their own."""

    @property
    def type(self) -> Type:
        """What it can be compared with."""
        return SetType(self.of) if self.is_set else self.of

    @property
    def absent(self) -> Any:
        """What it is where it is not there."""
        return frozenset() if self.is_set else None

    def unrelated(self) -> "Fact":
        """What can be said of it without asking how rows come to be."""
        depends: dict[str, Any] = dict.fromkeys(("same", "of_those_in", "account"))
        return replace(self, always=False, at_most_one=False, **depends)

    def made_of(self, value: Any) -> Any:
        """What it is in a row where the fact that it is the `same` as has this value."""
        if not self.is_set or value is None:
            return self.absent if value is None else value
        return frozenset({f"{self.kind}:{value}" if self.kind else value})


@cache
def naming(kinds: str) -> re.Pattern[str]:
    """Names of one kind, or of several with | between them, as this server writes them: `user:5`.

    The number is the first group.
    """
    return re.compile(rf"(?:{kinds}):([1-9][0-9]{{0,9}})")


def implied(facts: Mapping[str, Fact], given: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of a row that follow from those given, because they do so for every real row."""
    return {name: fact.made_of(given.get(fact.same)) for name, fact in facts.items() if fact.same}


def types_of(facts: Mapping[str, Fact]) -> dict[str, Type]:
    """The types of facts."""
    return {name: fact.type for name, fact in facts.items()}
