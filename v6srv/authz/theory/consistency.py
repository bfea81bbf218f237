"""Whether literals can hold together: values that are equal, patterns, orders, sets and times."""

import ast
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from v6srv.authz import clock
from v6srv.authz.theory.literals import (
    ABSENT,
    ORDERS,
    Constant,
    Known,
    Literal,
    Term,
    inside,
    keys,
    matches,
)
from v6srv.authz.theory.pattern_pairs import covers, overlap


@dataclass(slots=True)
class _Group:
    """Terms that are equal, and what is said of their one value."""

    names: set[str] = field(default_factory=set)
    constants: dict[tuple[str, Any], Any] = field(default_factory=dict)
    among: list[Collection[Any]] = field(default_factory=list)
    not_among: list[Collection[Any]] = field(default_factory=list)
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    exactly: list[re.Pattern[str]] = field(default_factory=list)
    order: list[tuple[type[ast.cmpop], int]] = field(default_factory=list)
    unnamed: bool = False

    def possible(self) -> bool:
        """Whether there is a value for it."""
        if len(self.constants) > 1:
            return False
        if self.constants:
            candidates: Collection[Any] | None = list(self.constants.values())
        else:
            candidates = self.among[0] if self.among else None
        if candidates is not None:
            return any(self._fits(value) for value in candidates)
        return self._patterns_fit() and self._numbers_fit()

    def only(self) -> tuple[str, Any] | None:
        """The one value it can have, if there is just one."""
        return next(iter(self.constants)) if len(self.constants) == 1 else None

    def _fits(self, value: Any) -> bool:
        key = Constant(value).key
        return (
            (value in ABSENT or not self.unnamed)
            and all(key in keys(values) for values in self.among)
            and not any(key in keys(values) for values in self.not_among)
            and all(matches(value, pattern) for pattern in self.like)
            and not any(matches(value, pattern) for pattern in self.unlike)
            and all(isinstance(value, str) and p.fullmatch(value) for p in self.exactly)
            and all(isinstance(value, int) and ORDERS[t](value, than) for t, than in self.order)
        )

    def _patterns_fit(self) -> bool:
        pairs = [(a, b) for i, a in enumerate(self.like) for b in self.like[i + 1 :]]
        return all(overlap(*pair) for pair in pairs) and not any(
            covers(unlike, like) for like in self.like for unlike in self.unlike
        )

    def _numbers_fit(self) -> bool:
        lows = [than + (test is ast.Gt) for test, than in self.order if test in (ast.Gt, ast.GtE)]
        highs = [than - (test is ast.Lt) for test, than in self.order if test in (ast.Lt, ast.LtE)]
        return not lows or not highs or max(lows) <= min(highs)


class _Groups:
    def __init__(self, known: Known) -> None:
        self.known = known
        self._of: dict[str, _Group] = {}
        self._constants: dict[tuple[str, Any], _Group] = {}

    def of(self, term: Term) -> _Group:
        """The group of a term, made when it is first spoken of."""
        if isinstance(term, Constant):
            if term.key not in self._constants:
                self._constants[term.key] = _Group(constants={term.key: term.value})
            return self._constants[term.key]
        if term not in self._of:
            group = self._of[term] = _Group(names={term}, unnamed=term in self.known.unnamed)
            if term in self.known.shapes:
                pattern, exactly = self.known.shapes[term]
                group.like.append(pattern)
                group.exactly.append(exactly)
            if term in self.known.choices:
                group.among.append(self.known.choices[term])
        return self._of[term]

    def join(self, here: Term, there: Term) -> None:
        """Let the two be equal."""
        one, other = self.of(here), self.of(there)
        if one is other:
            return
        one.unnamed |= other.unnamed
        one.names |= other.names
        one.constants |= other.constants
        for name in ("among", "not_among", "like", "unlike", "exactly", "order"):
            getattr(one, name).extend(getattr(other, name))
        for name in other.names:
            self._of[name] = one
        for key in other.constants:
            self._constants[key] = one

    def all(self) -> list[_Group]:
        """Each group once."""
        return list({id(g): g for g in (*self._of.values(), *self._constants.values())}.values())


def consistent(way: Sequence[Literal], known: Known) -> bool:
    """Whether literals can hold together, as far as this is understood."""
    groups = _Groups(known)
    for literal in way:
        if literal.kind == "equal" and literal.so:
            groups.join(literal.left, literal.right)
    return (
        _say(way, groups, known)
        and all(group.possible() for group in groups.all())
        and all(_differ(literal, groups) for literal in way)
        and _members_fit(way, groups, known)
        and _time_fits(way, known)
    )


def _say(way: Sequence[Literal], groups: _Groups, known: Known) -> bool:
    """Note what literals say of single values; false when two say the opposite."""
    said: dict[tuple[str, Any], bool] = {}
    for literal in way:
        if literal.kind == "other":
            if said.setdefault((literal.kind, literal.left), literal.so) is not literal.so:
                return False
        elif literal.kind == "one_of":
            group = groups.of(literal.left)
            (group.among if literal.so else group.not_among).append(literal.right)
        elif literal.kind == "glob":
            group = groups.of(literal.left)
            (group.like if literal.so else group.unlike).append(literal.right)
        elif literal.kind == "order":
            groups.of(literal.left).order.append(literal.right)
        elif literal.kind == "member" and literal.so and literal.right in known.members:
            pattern, exactly = known.members[literal.right]
            group = groups.of(literal.left)
            group.like.append(pattern)
            group.exactly.append(exactly)
    return True


def _differ(literal: Literal, groups: _Groups) -> bool:
    if literal.kind != "equal" or literal.so:
        return True
    here, there = groups.of(literal.left), groups.of(literal.right)
    if here is there:
        return False
    for one, other in ((here, there), (there, here)):
        only = other.only()
        if only and not one.constants:
            one.not_among.append(list(other.constants.values()))
            if not one.possible():
                return False
    return True


def _members_fit(way: Sequence[Literal], groups: _Groups, known: Known) -> bool:
    inside: dict[str, list[_Group]] = {}
    outside: dict[str, list[_Group]] = {}
    for literal in way:
        if literal.kind == "member":
            (inside if literal.so else outside).setdefault(literal.right, []).append(
                groups.of(literal.left)
            )
    for name, members in inside.items():
        if any(member is other for member in members for other in outside.get(name, ())):
            return False
        constants = [member.only() for member in members]
        if ("NoneType", None) in constants or (name in known.unnamed and any(constants)):
            return False
    for literal in way:
        if literal.kind == "within" and literal.so:
            allowed = keys(literal.right)
            for member in inside.get(literal.left, ()):
                only = member.only()
                if not allowed or (only and only not in allowed):
                    return False
            for other in way:
                if (
                    other.kind == "within"
                    and not other.so
                    and other.left == literal.left
                    and (allowed <= keys(other.right))
                ):
                    return False
    return True


def _time_fits(way: Sequence[Literal], known: Known) -> bool:
    """Whether some moment is in all windows that must be open and in none that must be closed."""
    windows = [literal for literal in way if literal.kind == "time"]
    if not windows:
        return True
    marks = {m for w in windows for m in (w.left, w.right) if m is not None}
    start = min(marks, default=clock.now())
    moments = {*marks, known.since or start.replace(year=1)}
    return any(
        (known.since is None or moment >= known.since)
        and all(inside(moment, (w.left, w.right)) is w.so for w in windows)
        for moment in moments
    )
