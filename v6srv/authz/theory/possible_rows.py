"""The rows there can be, as far as a few questions about them tell them apart.

Nothing is read from a database: what a row of each resource can look like to one principal follows
from how its facts are defined (`authz/facts.py`) and from what services keep true: who is in an
organization is in its collaborations, the organizations of a task are those of its collaboration,
and a node is in a collaboration of its organization.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from v6srv.authz.fact_types import Fact, implied
from v6srv.authz.facts import COMMON, NAMING, SETS, WHOLE, facts_of, room_facts
from v6srv.authz.principal import SubjectFacts
from v6srv.authz.theory.patterns import words
from v6srv.authz.theory.row_questions import (
    CHANGES,
    CLOCK,
    FreeSet,
    Question,
    Row,
    Rows,
    whole,
)
from v6srv.errors import Invalid
from v6srv.vocabulary import Operation, PrincipalKind, Resource

_USER = f"kind:{PrincipalKind.USER}"
_NOTHING: frozenset[Any] = frozenset()
_ORG = ("org", "owner_orgs", "orgs")
"""Facts that say the same of most rows."""


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
        self.facts = facts_of(resource, operation)
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

    def numbers(
        self, *facts: str, known: Iterable[Any] = (), also: Iterable[str] = ()
    ) -> list[int]:
        """Numbers that questions on these facts tell apart, and another; that one alone if none
        of them, nor of the facts `also`, is asked."""
        if self.asked.isdisjoint((*facts, *also)):
            return [self.another]
        if not self._paired.isdisjoint(facts):
            return [*sorted(self._known_numbers), self.another, self.another + 1]
        values = [n for q in self._about(*facts) for v in q.values for n in _numbers_of(v)]
        found = {n for v in known for n in _numbers_of(v)}.union(values)
        return self._representatives([*sorted(found), self.another], facts)

    def _representatives(self, values: Iterable[int], facts: Collection[str]) -> list[int]:
        """One of those that no question and no fact of the principal tells apart."""
        who = self.who
        first: dict[tuple[object, ...], int] = {}
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

    def _sign(self, question: Question, value: int) -> object:
        if question.fact in NAMING:
            return tuple(bool(question.met({f"{kind}:{value}"})) for kind in ("user", "node"))
        if question.fact in SETS:
            return bool(question.met({value}))
        return question.answer(value)

    def any_set(self, fact: str, *, inside: Iterable[Any] = (), outside: Any = None) -> FreeSet:
        """Any set of numbers."""
        known = (*self.who.collabs, *_numbers_of(self.who.org))
        members = self.numbers(fact, known=known)
        return FreeSet(frozenset(members), frozenset(inside), frozenset(_numbers_of(outside)))

    def others(self, *known: str) -> Iterator[list[Row]]:
        """The facts that only this table has, and that depend on nothing; not those `known`."""
        for name, fact in facts_of(self.resource).items():
            if name in self.asked and name not in (*COMMON, *known):
                yield [Row({name: value}) for value in self._values(name, fact)]

    def _values(self, name: str, fact: Fact) -> Sequence[Any]:
        if fact.kind:
            accounts = self.numbers(name, known=[self.who.account])
            return [FreeSet(frozenset(f"{fact.kind}:{id}" for id in accounts))]
        if fact.is_set:
            named = {v for q in self._about(name) for v in q.values if isinstance(v, str)}
            return [FreeSet(frozenset({*named, _unlike("another", named)}))]
        values: Sequence[Any] = [True, False]
        if fact.of is int:
            values = self.numbers(name)
        elif fact.of is str:
            values = self._texts(name)
        return values if fact.always else [*values, None]

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
        ids = self.numbers("id", *_ORG, known=[self.who.org])
        row = [_row(Resource.ORGANIZATION, id=id, collabs=self.collabs_of(id)) for id in ids]
        return [row, *self.others()]

    def collaborations(self) -> list[list[Row]]:
        ids = self.numbers("id", "collabs", known=self.who.collabs, also=("orgs",))
        kept = self.facts["orgs"].of_those_in is not None
        orgs = {id: self.orgs_of(id) if kept else self.any_set("orgs") for id in ids}
        row = [_row(Resource.COLLABORATION, id=id, orgs=orgs[id]) for id in ids]
        return [row, *self.others()]

    def studies(self) -> list[list[Row]]:
        collabs = self.numbers("collabs", known=self.who.collabs)
        nobodys = {"owners": _NOTHING, "owner_orgs": _NOTHING, "org": None}
        return [
            [Row({"id": id}) for id in self.numbers("id")],
            [Row({**nobodys, "collabs": _one(id), "orgs": self.any_set("orgs")}) for id in collabs],
        ]

    def nodes(self) -> list[list[Row]]:
        row = [
            _row(Resource.NODE, id=id, org=org, collabs=collabs)
            for id in self._accounts(user=False)
            for org, collabs in self._node_places(id)
        ]
        return [row, *self.others()]

    def _accounts(self, *, user: bool) -> list[int]:
        """Ids of users, or of nodes; one number is never both."""
        found = self.numbers("id", "owners", known=[self.who.account])
        return [id for id in found if self.is_user is user or id != self.who.account]

    def _node_places(self, id: int) -> Iterator[tuple[int | None, frozenset[int]]]:
        who = self.who
        if id == who.account and not self.facts["id"].moving:
            yield who.org, frozenset(who.collabs)
            return
        orgs = self.numbers(*_ORG, known=[who.org])
        collabs = self.numbers("collabs", known=who.collabs)
        for org, collab in itertools.product((*orgs, None), (*collabs, None)):
            if self.in_order(org, collab):
                yield org, _one(collab)

    def users(self) -> list[list[Row]]:
        orgs = (*self.numbers(*_ORG, known=[self.who.org]), None)
        row = [
            _row(Resource.USER, id=id, org=org, collabs=self.collabs_of(org))
            for id in self._accounts(user=True)
            for org in ((self.who.org,) if id == self.who.account else orgs)
        ]
        return [row, *self.others()]

    def roles(self) -> list[list[Row]]:
        orgs = self.numbers(*_ORG, known=[self.who.org])
        collabs = frozenset(self.numbers("collabs", known=self.who.collabs))
        places: list[dict[str, Any]] = [
            *(
                {**_of(org), "orgs": frozenset({org}), "collabs": self.collabs_of(org)}
                | {"default": False}
                for org in orgs
            ),
            {**_of(None), "orgs": _NOTHING, "collabs": _NOTHING, "default": False},
            {**_of(None), "orgs": frozenset(orgs), "collabs": collabs, "default": True},
        ]
        return [
            [Row({"id": id}) for id in self.numbers("id", known=[self.who.account])],
            [Row({"owners": one}) for one in self._values("owners", self.facts["owners"])],
            [*map(Row, places)],
            *self.others("default"),
        ]

    def tasks(self) -> list[list[Row]]:
        owners = self.numbers("owners", known=[self.who.account])
        collabs = self.numbers("collabs", known=self.who.collabs, also=("orgs",))
        places: list[dict[str, Any]] = [
            {"collabs": frozenset({collab}), "orgs": self.orgs_of(collab)} for collab in collabs
        ]
        return [
            [Row({"id": id}) for id in self.numbers("id")],
            *self._task_orgs(),
            [Row({"owners": one}) for one in (*(_one(f"user:{id}") for id in owners), _NOTHING)],
            [*map(Row, places), Row({"collabs": _NOTHING, "orgs": _NOTHING})],
        ]

    def _task_orgs(self) -> list[list[Row]]:
        """A task belongs to its organization; results and ports to that of their task."""
        known = [self.who.org]
        if self.facts["owner_orgs"].same:
            orgs = self.numbers("org", "owner_orgs", known=known)
            return [[Row(_of(org)) for org in (*orgs, None)]]
        started = [_one(org) for org in (*self.numbers("owner_orgs", known=known), None)]
        return [
            [Row({"org": org}) for org in (*self.numbers("org", known=known), None)],
            [Row({"owner_orgs": orgs}) for orgs in started],
        ]

    def of_tasks(self) -> list[list[Row]]:
        return [*self.tasks(), *self.others()]

    def lines(self) -> list[list[Row]]:
        """Lines of the policy, and the policy as a whole, which has no id."""
        return [[_row(Resource.POLICY, id=id) for id in (*self.numbers("id"), None)]]

    def events(self) -> list[list[Row]]:
        """Rooms are viewed; on tasks and nodes, work is stopped."""
        if self.operation is Operation.VIEW:
            return [self._rooms()]
        return [[*_joint(self.tasks(), self.asked), *_joint(self.nodes(), self.asked)]]

    def _rooms(self) -> list[Row]:
        orgs = self.numbers(*_ORG, known=[self.who.org])
        collabs = self.numbers("collabs", known=self.who.collabs, also=_ORG)
        return [
            Row(room_facts(collab, org))
            for org, collab in itertools.product((*orgs, None), collabs)
            if self.in_order(org, collab)
        ]


_ROWS: Mapping[Resource, Callable[[_Maker], list[list[Row]]]] = {
    Resource.ORGANIZATION: _Maker.organizations,
    Resource.COLLABORATION: _Maker.collaborations,
    Resource.STUDY: _Maker.studies,
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


def _row(resource: Resource, **given: Any) -> Row:
    """A row with these facts and what follows from them; the others of every row are absent."""
    return Row({**WHOLE, **implied(facts_of(resource), given), **given})


def _of(org: int | None) -> dict[str, Any]:
    """Facts of a row that has an organization and belongs to it."""
    return {"org": org, "owner_orgs": _one(org)}


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
    return whole([_distinct(part, asked) for part in parts])


def _distinct(part: Sequence[Row], asked: frozenset[str]) -> tuple[Row, ...]:
    """The ways of a part that differ in what is asked."""
    kept = [{n: v for n, v in row.facts.items() if n in asked} for row in part]
    return tuple(Row(facts) for facts in {tuple(f.items()): f for f in kept}.values())
