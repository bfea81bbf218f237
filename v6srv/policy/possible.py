"""The rows there can be, as far as a few questions about them tell them apart.

Nothing is read from a database: what a row of each resource can look like to one principal follows
from how its facts are defined (`authz/facts.py`) and from what services keep true: who is in an
organization is in its collaborations, the organizations of a task are those of its collaboration,
and a node is in a collaboration of its organization.
"""

import ast
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from v6srv.authz import clock
from v6srv.authz.attempt import holds
from v6srv.authz.expression import fact_name, names_in
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.matcher import Program
from v6srv.authz.principal import SubjectFacts
from v6srv.errors import Invalid
from v6srv.policy.words import words
from v6srv.vocabulary import Operation, PrincipalKind, Resource

SETS = frozenset({"owners", "orgs", "collabs"})
CHANGES, CLOCK = "changes", "clock"
"""What is asked of a request besides facts of the row: fields that change, and the time."""

_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_USER = f"kind:{PrincipalKind.USER}"
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
    together = asked[0] if len(asked) == 1 else tuple(_whole(asked))
    kept = tuple(found for one in together if (found := one.answered(question, answer)) is not None)
    others = (part for part in rows if not any(part is one for one in asked))
    return (*others, kept) if kept else None


def _whole(parts: Iterable[Sequence[Row]]) -> Iterator[Row]:
    """The rows that parts make which do not depend on each other."""
    for combination in itertools.product(*parts):
        yield Row({name: value for row in combination for name, value in row.facts.items()})


def example(rows: Rows) -> dict[str, Any]:
    """The facts of one of these rows, of those that are asked."""
    return {name: part[0].fact(name) for part in rows for name in part[0].facts}


# --- rows of each resource


class _Maker:
    """Makes the rows that some questions of a principal can tell apart."""

    def __init__(
        self,
        resource: Resource,
        operation: Operation,
        who: SubjectFacts,
        questions: Sequence[Question],
        moments: Sequence[datetime],
    ) -> None:
        self.resource, self.operation, self.who = resource, operation, who
        self.questions, self.moments = questions, moments
        self.asked = frozenset(fact for question in questions for fact in question.facts)
        self._paired = frozenset(f for q in questions if q.is_pair for f in q.facts)
        """Facts that are compared with each other: both can be any value that one of them can."""
        self.is_user = who.kind == _USER
        known = [who.org, who.account, *who.collabs, *(v for q in questions for v in q.values)]
        self._known_numbers = {n for value in known for n in _numbers_of(value)}
        self.another = max([0, *self._known_numbers]) + 1
        """A number that nobody has asked about."""

    def made(self) -> Rows:
        parts = [*_ROWS[self.resource](self), *self._request()]
        return tuple(_distinct(part, self.asked) for part in parts if self._tells(part))

    def _tells(self, part: Sequence[Row]) -> bool:
        return not self.asked.isdisjoint(part[0].facts)

    def _request(self) -> Iterator[list[Row]]:
        yield [Row({CLOCK: moment}) for moment in self.moments]
        texts = {v for q in self._about(CHANGES) for v in q.values if isinstance(v, str)}
        other = _unlike("another field", texts)
        free = FreeSet(frozenset(texts | {other}))
        yield [Row({CHANGES: free if self.operation is Operation.EDIT else _NOTHING})]

    def _about(self, *facts: str) -> list[Question]:
        """The questions that compare one of these facts with what is no fact of the row."""
        return [q for q in self.questions if q.fact in facts and not q.is_pair]

    # --- values

    def numbers(self, *facts: str, known: Iterable[Any] = (), also: str = "") -> list[int]:
        """Numbers that questions on these facts tell apart, and another; that one alone if none
        of them, nor the fact `also`, is asked."""
        if self.asked.isdisjoint((*facts, also)):
            return [self.another]
        if not self._paired.isdisjoint(facts):
            return [*sorted(self._known_numbers), self.another, self.another + 1]
        values = [n for q in self._about(*facts) for v in q.values for n in _numbers_of(v)]
        found = {n for v in known for n in _numbers_of(v)}.union(values)
        return self._representatives([*sorted(found), self.another], facts)

    def _representatives(self, values: Iterable[int], facts: Collection[str]) -> list[int]:
        """One of those that no question and no fact of the principal tells apart."""
        who = self.who
        first: dict[tuple[bool, ...], int] = {}
        about = self._about(*facts)
        for value in values:
            sign = (
                value == who.org,
                value == who.account,
                value in who.collabs,
                *(self._sign(question, value) for question in about),
            )
            first.setdefault(sign, value)
        return list(first.values())

    def _sign(self, question: Question, value: int) -> bool:
        if question.fact == "owners":
            return bool(question.met({f"user:{value}", f"node:{value}"}))
        if question.fact in SETS:
            return bool(question.met({value}))
        return question.answer(value)

    def any_set(self, fact: str, *, inside: Iterable[Any] = (), outside: Any = None) -> FreeSet:
        """Any set of numbers."""
        known = (*self.who.collabs, *_numbers_of(self.who.org))
        members = self.numbers(fact, known=known)
        return FreeSet(frozenset(members), frozenset(inside), frozenset(_numbers_of(outside)))

    def scalars(self) -> Iterator[list[Row]]:
        """The facts that only this table has, and that depend on nothing."""
        table = TABLES[MODELS[self.resource]].scalars if self.resource in MODELS else {}
        for name, scalar in table.items():
            if name in self.asked and name not in ("id", "org"):
                values: Sequence[Any] = [True, False]
                if scalar.type is int:
                    values = self.numbers(name)
                elif scalar.type is str:
                    values = self._texts(name)
                yield [Row({name: value}) for value in (*values, None)]

    def _texts(self, fact: str) -> Sequence[str]:
        about = self._about(*(self._paired if fact in self._paired else [fact]))
        patterns = {q.pattern for q in about} - {None}
        if patterns and fact in self._paired:
            raise Invalid(f"r.obj.{fact} cannot be compared with another fact and with patterns")
        texts = {v for q in about if q.pattern is None for v in q.values if isinstance(v, str)}
        if patterns:
            return words(sorted(map(str, patterns)), sorted(texts))
        others = ("another", "one more") if fact in self._paired else ("another",)
        return [*sorted(texts), *(_unlike(word, texts) for word in others)]

    # --- relations

    def orgs_of(self, collab: int) -> FreeSet:
        """The organizations of a collaboration: the principal's is one iff it is in it itself."""
        org = self.who.org
        if org is None:
            return self.any_set("orgs")
        if collab in self.who.collabs:
            return self.any_set("orgs", inside={org})
        return self.any_set("orgs", outside=org if self.is_user else None)

    def collabs_of(self, org: int | None) -> Any:
        """The collaborations of an organization. Of nodes only one of their own's is known."""
        if org is None:
            return _NOTHING
        if org != self.who.org:
            return self.any_set("collabs")
        if self.is_user:
            return frozenset(self.who.collabs)
        return self.any_set("collabs", inside=self.who.collabs)

    def in_order(self, org: int | None, collab: int | None) -> bool:
        """Whether an organization may be in a collaboration, as far as the principal tells."""
        own = org is not None and org == self.who.org
        return not (own and self.is_user and collab is not None) or collab in self.who.collabs

    # --- tables

    def organizations(self) -> list[list[Row]]:
        ids = self.numbers("id", "org", "orgs", known=[self.who.org])
        row = [
            Row(
                {
                    "id": id,
                    "org": id,
                    "orgs": frozenset({id}),
                    "owners": _NOTHING,
                    "collabs": self.collabs_of(id),
                }
            )
            for id in ids
        ]
        return [row, *self.scalars()]

    def collaborations(self) -> list[list[Row]]:
        ids = self.numbers("id", "collabs", known=self.who.collabs, also="orgs")
        row = [
            Row(
                {
                    "id": id,
                    "org": None,
                    "owners": _NOTHING,
                    "collabs": frozenset({id}),
                    "orgs": self.orgs_of(id),
                }
            )
            for id in ids
        ]
        return [row, *self.scalars()]

    def nodes(self) -> list[list[Row]]:
        row = [
            Row(
                {
                    "id": id,
                    "owners": frozenset({f"node:{id}"}),
                    "org": org,
                    "orgs": _one(org),
                    "collabs": collabs,
                }
            )
            for id in self._accounts(user=False)
            for org, collabs in self._node_places(id)
        ]
        return [row, *self.scalars()]

    def _accounts(self, *, user: bool) -> list[int]:
        """Ids of users, or of nodes; one number is never both."""
        found = self.numbers("id", "owners", known=[self.who.account])
        return [id for id in found if self.is_user is user or id != self.who.account]

    def _node_places(self, id: int) -> Iterator[tuple[int | None, frozenset[int]]]:
        who = self.who
        if id == who.account:
            yield who.org, frozenset(who.collabs)
            return
        orgs = self.numbers("org", "orgs", known=[who.org])
        collabs = self.numbers("collabs", known=who.collabs)
        for org, collab in itertools.product((*orgs, None), (*collabs, None)):
            if self.in_order(org, collab):
                yield org, _one(collab)

    def users(self) -> list[list[Row]]:
        orgs = (*self.numbers("org", "orgs", known=[self.who.org]), None)
        row = [
            Row(
                {
                    "id": id,
                    "owners": frozenset({f"user:{id}"}),
                    "org": org,
                    "orgs": _one(org),
                    "collabs": self.collabs_of(org),
                }
            )
            for id in self._accounts(user=True)
            for org in ((self.who.org,) if id == self.who.account else orgs)
        ]
        return [row, *self.scalars()]

    def roles(self) -> list[list[Row]]:
        orgs = self.numbers("org", "orgs", known=[self.who.org])
        places: list[dict[str, Any]] = [
            *({"org": org, "orgs": frozenset({org}), "collabs": _NOTHING} for org in orgs),
            {"org": None, "orgs": _NOTHING, "collabs": _NOTHING},
            {"org": None, "orgs": frozenset(orgs), "collabs": _NOTHING},  # a default role
        ]
        holders = {f"user:{id}" for id in self.numbers("owners", known=[self.who.account])}
        return [
            [Row({"id": id}) for id in self.numbers("id", known=[self.who.account])],
            [Row({"owners": FreeSet(frozenset(holders))})],
            [Row(place) for place in places],
        ]

    def tasks(self) -> list[list[Row]]:
        owners = self.numbers("owners", known=[self.who.account])
        collabs = self.numbers("collabs", known=self.who.collabs, also="orgs")
        places: list[dict[str, Any]] = [
            {"collabs": frozenset({collab}), "orgs": self.orgs_of(collab)} for collab in collabs
        ]
        return [
            [Row({"id": id}) for id in self.numbers("id")],
            [Row({"org": org}) for org in (*self.numbers("org", known=[self.who.org]), None)],
            [Row({"owners": one}) for one in (*(_one(f"user:{id}") for id in owners), _NOTHING)],
            [*map(Row, places), Row({"collabs": _NOTHING, "orgs": _NOTHING})],
        ]

    def of_tasks(self) -> list[list[Row]]:
        return [*self.tasks(), *self.scalars()]

    def lines(self) -> list[list[Row]]:
        """Lines of the policy, and the policy as a whole, which has no id."""
        fixed = {"org": None, "owners": _NOTHING, "orgs": _NOTHING, "collabs": _NOTHING}
        return [[Row({"id": id}) for id in (*self.numbers("id"), None)], [Row(fixed)]]

    def events(self) -> list[list[Row]]:
        """Rooms are viewed; on tasks and nodes, work is stopped."""
        if self.operation is Operation.VIEW:
            return [self._rooms()]
        return [[*_joint(self.tasks(), self.asked), *_joint(self.nodes(), self.asked)]]

    def _rooms(self) -> list[Row]:
        orgs = self.numbers("org", "orgs", known=[self.who.org])
        collabs = self.numbers("collabs", known=self.who.collabs, also="orgs")
        return [
            Row(
                {
                    "id": None,
                    "owners": _NOTHING,
                    "org": org,
                    "orgs": _one(org),
                    "collabs": frozenset({collab}),
                }
            )
            for org, collab in itertools.product((*orgs, None), collabs)
            if self.in_order(org, collab)
        ]


_ROWS: Mapping[Resource, Callable[[_Maker], list[list[Row]]]] = {
    Resource.ORGANIZATION: _Maker.organizations,
    Resource.COLLABORATION: _Maker.collaborations,
    Resource.NODE: _Maker.nodes,
    Resource.USER: _Maker.users,
    Resource.ROLE: _Maker.roles,
    Resource.TASK: _Maker.of_tasks,
    Resource.RESULT: _Maker.of_tasks,
    Resource.PORT: _Maker.of_tasks,
    Resource.POLICY: _Maker.lines,
    Resource.EVENT: _Maker.events,
}


def possible_rows(
    resource: Resource,
    operation: Operation,
    who: SubjectFacts,
    questions: Sequence[Question],
    moments: Sequence[datetime],
) -> Rows:
    """All rows of a resource, at these moments, as far as the questions tell them apart."""
    return _Maker(resource, operation, who, questions, moments).made()


def _one(value: Any) -> frozenset[Any]:
    return _NOTHING if value is None else frozenset({value})


def _numbers_of(value: Any) -> list[int]:
    """The number that this is, or that `user:5` and `node:5` hold."""
    if isinstance(value, str):
        kind, _, number = value.partition(":")
        return [int(number)] if kind in ("user", "node") and number.isdecimal() else []
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def _unlike(word: str, others: Collection[str]) -> str:
    while word in others:
        word += "_"
    return word


def _joint(parts: Iterable[Sequence[Row]], asked: frozenset[str]) -> Iterator[Row]:
    """The whole rows that independent parts make."""
    return _whole([_distinct(part, asked) for part in parts])


def _distinct(part: Sequence[Row], asked: frozenset[str]) -> tuple[Row, ...]:
    """The ways of a part that differ in what is asked."""
    kept = [{n: v for n, v in row.facts.items() if n in asked} for row in part]
    return tuple(Row(facts) for facts in {tuple(f.items()): f for f in kept}.values())
