"""What a condition asks of a row, and rows of which only the answers are known."""

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from v6srv.authz import clock
from v6srv.authz.attempt import holds
from v6srv.authz.compiler import Program
from v6srv.authz.expression import fact_name, names_in
from v6srv.authz.facts import SETS
from v6srv.authz.principal import SubjectFacts
from v6srv.errors import Invalid

CHANGES, CLOCK = "changes", "clock"
"""What is asked of a request besides facts of the row: fields that change, and the time."""

_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_NOTHING: frozenset[Any] = frozenset()


@dataclass(frozen=True, slots=True)
class Form:
    """What an expression asks, whoever asks it."""

    fact: str
    other: str | None
    """The expression that the fact is compared with; None for a time, and for another fact."""
    tree: ast.expr = field(compare=False)
    within: bool = False
    """Whether all members of a set are among `other`, rather than any."""
    other_fact: str | None = None
    """The fact of the same row that the fact is compared with, by == or !=."""


def form(tree: ast.expr, program: Program) -> Form:
    """What this comparison or call asks of a row. Raises Invalid if that is more than a fact."""
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
        if tree.func.id == "timeMatch":
            return Form(CLOCK, None, tree)
        sides = tree.args
        first_only = tree.func.id in ("glob", "within")
    elif isinstance(tree, ast.Compare):
        sides = [tree.left, tree.comparators[0]]
        first_only = False
    else:
        sides, first_only = [], False
    for here, there in itertools.permutations(sides, 2) if len(sides) == 2 else ():
        fact = _fact(here, program)
        turned = first_only and here is not sides[0]
        if not fact or turned or not _fits(fact, tree, here):
            continue
        if (other := _fact(there, program)) and isinstance(tree, ast.Compare):
            return Form(fact, None, tree, other_fact=other)
        if not asks_of_row(there, program):
            within = isinstance(tree, ast.Call) and names_in(tree.func) == {"within"}
            return Form(fact, ast.unparse(there), tree, within)
    raise Invalid(f"{ast.unparse(tree)!r} cannot be compared: it asks too much of a row at once")


def _fits(fact: str, tree: ast.expr, here: ast.expr) -> bool:
    """A set is asked for its members, and a value for what it is."""
    if fact in SETS or fact == CHANGES:
        if isinstance(tree, ast.Compare):
            return isinstance(tree.ops[0], (ast.In, ast.NotIn)) and here is tree.comparators[0]
        return isinstance(tree, ast.Call) and names_in(tree.func) <= {"meets", "within"}
    if isinstance(tree, ast.Compare):
        return not isinstance(tree.ops[0], (ast.In, ast.NotIn)) or here is tree.left
    return isinstance(tree, ast.Call) and names_in(tree.func) == {"glob"}


def _fact(tree: ast.expr, program: Program) -> str | None:
    found = fact_name(tree, program.object)
    return CHANGES if fact_name(tree, program.subject) == CHANGES else found


def asks_of_row(tree: ast.expr, program: Program) -> bool:
    """Whether an expression depends on more than on who asks."""
    return any(
        (isinstance(n, ast.Name) and n.id in (program.object, "timeMatch"))
        or fact_name(n, program.subject) == CHANGES  # type: ignore[arg-type]
        for n in ast.walk(tree)
    )


class Question:
    """A form, asked by one principal."""

    def __init__(
        self, key: str, asked: Form, program: Program, who: SubjectFacts, request: tuple[str, str]
    ) -> None:
        self.key, self.form, self.fact = key, asked, asked.fact
        self.facts = frozenset(f for f in (asked.fact, asked.other_fact) if f is not None)
        self.is_pair = asked.other_fact is not None
        self._who, (self._type, self._operation) = who, request
        self._function = program.function(ast.unparse(asked.tree))
        self.other = (
            None
            if asked.other is None
            else program.function(asked.other)(who, None, self._operation)
        )
        self.members = _members(asked, self.other)
        self._answers: dict[Any, bool] = {}

    @property
    def values(self) -> list[Any]:
        """Everything that the fact is compared with."""
        found = [value for value in self.members if value is not None]
        if isinstance(self.form.tree, ast.Compare) and isinstance(self.form.tree.ops[0], _ORDERS):
            found += [value + step for value in found for step in (-1, 1)]
        return found

    @property
    def pattern(self) -> str | None:
        """The glob pattern, where the question is one."""
        return str(self.other) if isinstance(self.form.tree, ast.Call) else None

    def met(self, candidates: Iterable[Any]) -> frozenset[Any]:
        """Those members that make a set of them be met; of `within`, that break it."""
        if self.form.within:
            return frozenset(candidates) - self.members
        return self.members.intersection(candidates)

    @property
    def when_met(self) -> bool:
        """The answer when the set has such a member."""
        tree = self.form.tree
        negated = isinstance(tree, ast.Compare) and isinstance(tree.ops[0], ast.NotIn)
        return not (negated or self.form.within)

    def value(self, facts: Mapping[str, Any]) -> Any:
        """Of the facts of a row, what is asked."""
        if self.is_pair:
            return facts[self.fact], facts[str(self.form.other_fact)]
        return facts[self.fact]

    def answer(self, value: Any) -> bool:
        """The answer when this is the `value`, by the policy's own function."""
        found = self._answers.get(value)
        if found is None:
            found = self._answers[value] = self._ask(value)
        return found

    def _ask(self, value: Any) -> bool:
        who, row = self._who, SimpleNamespace(type=self._type)
        if self.fact == CLOCK:
            with clock.stopped(value):
                return holds(self._function, who, row, self._operation)
        if self.fact == CHANGES:
            who = who.changing(value)
        elif self.is_pair:
            setattr(row, self.fact, value[0])
            setattr(row, str(self.form.other_fact), value[1])
        else:
            setattr(row, self.fact, value)
        return holds(self._function, who, row, self._operation)


def _members(asked: Form, other: Any) -> frozenset[Any]:
    if asked.other is None:
        return _NOTHING
    many = isinstance(other, (frozenset, tuple, list))
    return frozenset(other) if many else frozenset({other})


# --- sets of which some members are known


@dataclass(frozen=True, slots=True)
class FreeSet:
    """A set that can be any of those with these members, without those, and meeting these."""

    universe: frozenset[Any]
    inside: frozenset[Any] = _NOTHING
    outside: frozenset[Any] = _NOTHING
    meets: tuple[frozenset[Any], ...] = ()

    def answered(self, question: Question, answer: bool) -> "FreeSet | None":
        """Only those for which the answer is this; None when there is none."""
        known = question.met(self.inside)
        wanted = question.met(self.universe)
        if answer is question.when_met:
            if known:
                return self
            return self._checked(replace(self, meets=(*self.meets, wanted)))
        return None if known else self._checked(replace(self, outside=self.outside | wanted))

    @staticmethod
    def _checked(found: "FreeSet") -> "FreeSet | None":
        return found if all(one - found.outside for one in found.meets) else None

    def example(self) -> frozenset[Any]:
        """One of these sets."""
        picked = (min(one - self.outside, key=repr) for one in self.meets)
        return self.inside.union(picked)


@dataclass(frozen=True, slots=True)
class Row:
    """Facts that come together; a fact that is a FreeSet is not known in full."""

    facts: Mapping[str, Any]

    def answered(self, question: Question, answer: bool) -> "Row | None":
        """The same with this answer; None when it is another."""
        value = question.value(self.facts)
        if not isinstance(value, FreeSet):
            return self if question.answer(value) is answer else None
        found = value.answered(question, answer)
        if found is value:
            return self
        return None if found is None else Row({**self.facts, question.fact: found})

    def fact(self, name: str) -> Any:
        """A value of the fact."""
        value = self.facts[name]
        return value.example() if isinstance(value, FreeSet) else value


Rows = tuple[tuple[Row, ...], ...]
"""Parts of a row that do not depend on each other, each with the ways it can be."""


def answered(rows: Rows, question: Question, answer: bool) -> Rows | None:
    """The rows for which the answer is this; None when there is none."""
    asked = [part for part in rows if not question.facts.isdisjoint(part[0].facts)]
    together = asked[0] if len(asked) == 1 else tuple(whole(asked))
    kept = tuple(found for one in together if (found := one.answered(question, answer)) is not None)
    others = (part for part in rows if not any(part is one for one in asked))
    return (*others, kept) if kept else None


def whole(parts: Iterable[Sequence[Row]]) -> Iterator[Row]:
    """The rows that parts make which do not depend on each other."""
    for combination in itertools.product(*parts):
        yield Row({name: value for row in combination for name, value in row.facts.items()})


def example(rows: Rows) -> dict[str, Any]:
    """The facts of one of these rows, of those that are asked."""
    return {name: part[0].fact(name) for part in rows for name in part[0].facts}
