"""Terms that are equal, and whether there is a value that is all that is said of them."""

import ast
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from v6srv.authz.fact_types import naming
from v6srv.authz.theory.literals import ABSENT, ORDERS, Constant, Known, Term, keys, matches
from v6srv.authz.theory.patterns import matched_together

_MOST_NUMBERS = 1000


@dataclass(slots=True)
class Group:
    """Terms that are equal, and what is said of their one value."""

    constants: dict[tuple[str, Any], Any] = field(default_factory=dict)
    among: list[Collection[Any]] = field(default_factory=list)
    not_among: list[Collection[Any]] = field(default_factory=list)
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    """It is a name of this kind, and there can be none of two kinds."""
    order: list[tuple[type[ast.cmpop], int]] = field(default_factory=list)
    unnamed: bool = False
    there: bool = False
    """It is not absent."""

    @property
    def is_there(self) -> bool:
        """Whether it is surely not absent."""
        return self.there or any(value is not None for value in self.constants.values())

    def possible(self) -> bool:
        """Whether there is a value for it."""
        if len(self.constants) > 1 or len(self.kinds) > 1:
            return False
        if self.constants:
            return self._fits(next(iter(self.constants.values())))
        candidates = self.among[0] if self.among else self._numbers()
        if candidates is not None:
            return any(self._fits(value) for value in candidates)
        if not self.like and not self.kinds:
            return True
        return not self.order and self._texts_fit()

    def only(self) -> tuple[str, Any] | None:
        """The one value it can have, if there is just one."""
        return next(iter(self.constants)) if len(self.constants) == 1 else None

    def _fits(self, value: Any) -> bool:
        key = Constant(value).key
        return (
            (value in ABSENT or not self.unnamed)
            and not (self.there and value is None)
            and all(key in keys(values) for values in self.among)
            and not any(key in keys(values) for values in self.not_among)
            and all(matches(value, pattern) for pattern in self.like)
            and not any(matches(value, pattern) for pattern in self.unlike)
            and all(_is_name(value, kind) for kind in self.kinds)
            and all(isinstance(value, int) and ORDERS[t](value, than) for t, than in self.order)
        )

    def _texts_fit(self) -> bool:
        literals = [v for values in self.not_among for v in values if isinstance(v, str)]
        like = {*self.like, *(f"{kind}:*" for kind in self.kinds)}
        return matched_together(like, set(self.unlike), literals)

    def _numbers(self) -> Collection[int] | None:
        """All numbers between two bounds; none when there is none, None when they are many."""
        lows = [than + (test is ast.Gt) for test, than in self.order if test in (ast.Gt, ast.GtE)]
        highs = [than - (test is ast.Lt) for test, than in self.order if test in (ast.Lt, ast.LtE)]
        if not lows or not highs:
            return None
        between = range(max(lows), min(highs) + 1)
        return between if len(between) <= _MOST_NUMBERS else None


def _is_name(value: Any, kind: str) -> bool:
    if not isinstance(value, str):
        return False
    return value in ABSENT or naming(kind).fullmatch(value) is not None


class Groups:
    """All groups of a way."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.joined = 0
        """How often two groups have become one."""
        self._of: dict[str, Group] = {}
        self._constants: dict[tuple[str, Any], Group] = {}

    def of(self, term: Term) -> Group:
        """The group of a term, made when it is first spoken of."""
        if isinstance(term, Constant):
            if term.key not in self._constants:
                self._constants[term.key] = Group(constants={term.key: term.value})
            return self._constants[term.key]
        if term not in self._of:
            group = self._of[term] = Group(unnamed=term in self.known.unnamed)
            fact = self.known.facts.get(term)
            if fact is not None:
                group.there = fact.always
                if fact.kind:
                    group.kinds.add(fact.kind)
                elif fact.of is bool:
                    group.among.append((True, False) if fact.always else (True, False, None))
        return self._of[term]

    def has(self, term: str) -> bool:
        """Whether a fact was spoken of."""
        return term in self._of

    def facts(self) -> list[str]:
        """The facts that were spoken of."""
        return [term for term in self._of if term in self.known.facts]

    def join(self, here: Term, there: Term) -> None:
        """Let the two be equal."""
        one, other = self.of(here), self.of(there)
        if one is other:
            return
        self.joined += 1
        one.unnamed |= other.unnamed
        one.there |= other.there
        one.constants |= other.constants
        one.kinds |= other.kinds
        for name in ("among", "not_among", "like", "unlike", "order"):
            getattr(one, name).extend(getattr(other, name))
        for name, group in self._of.items():
            if group is other:
                self._of[name] = one
        for key in other.constants:
            self._constants[key] = one

    def all(self) -> list[Group]:
        """Each group once."""
        return list({id(g): g for g in (*self._of.values(), *self._constants.values())}.values())
