"""Who may do something, and what somebody may do: the policy read from both ends.

Nothing is asked of the Authorizer, whose log is for decisions that were needed; the same plans and
the same facts decide.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from time import sleep
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import exists, func, or_, select

from v6srv.authz import clock
from v6srv.authz.answer import Asked
from v6srv.authz.compiler import Remainder, closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.identity import principals
from v6srv.model import Result, Role, Task
from v6srv.policy.ask import Thing
from v6srv.policy.inquiry.some_row import SomeRow
from v6srv.policy.who.matrix import Reach, field_of, reach
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource

# --- one question, many principals


class Poll:
    """One operation on one thing, put to one principal after the other."""

    def __init__(
        self,
        enforcer: Enforcer,
        operation: Operation,
        thing: Thing,
        changes: frozenset[str] = frozenset(),
    ) -> None:
        self.enforcer, self.operation, self.thing = enforcer, operation, thing
        self.changes = changes
        self._shared: dict[tuple[Any, ...], Asked] = {}
        self._words = _words_of(enforcer)

    def allows(self, who: Principal) -> bool:
        """Whether `who` may; the answer of `Authorizer.decide` for rows."""
        return self._asked_by(who).of(self.thing.facts).allowed

    def matching(self, who: Principal, effect: Effect = Effect.ALLOW) -> list[Remainder]:
        """The lines that grant it, or that forbid it, in the order of the policy."""
        matching = self._asked_by(who).matching(self.thing.facts)
        return [rest for rest in matching if rest.effect is effect]

    def granted_at_all(self, who: Principal) -> bool:
        """Whether some line would grant it for some row."""
        return bool(self._asked_by(who).plan.allow)

    def _asked_by(self, who: Principal) -> Asked:
        """The question, with the plan that all share whom lines cannot tell apart by their names.

        Lines tell principals apart by words. All words that no line and no role knows are alike.
        """
        subject = who.facts.changing(self.changes) if self.changes else who.facts
        key = self.enforcer.program.key_of(subject, self.thing.facts, self.operation.value)
        known = tuple(value if value in self._words else None for value in key)
        found = self._shared.get((known, subject.membership))
        if found is None:
            asked = subject, self.thing.resource, self.operation, self.thing.table
            found = self.enforcer.asked(*asked, remembered=False)
            self._shared[known, subject.membership] = found
        return found.by(subject)


class _PollOfSomeRow(Poll):
    """One operation on some row that there is or could be."""

    def allows(self, who: Principal) -> bool:
        """Whether `who` may for some row."""
        sleep(0)  # it takes its time for each: under gevent others get their turn
        return self._inquiry(who).allowed()

    def matching(self, who: Principal, effect: Effect = Effect.ALLOW) -> list[Remainder]:
        """The lines that grant it for some row that no line forbids."""
        return self._inquiry(who).granting()

    def _inquiry(self, who: Principal) -> SomeRow:
        return SomeRow(self.enforcer, who, self.operation, self.thing, self.changes)


_known_words: WeakKeyDictionary[Enforcer, frozenset[str]] = WeakKeyDictionary()


def _words_of(enforcer: Enforcer) -> frozenset[str]:
    """All words of the lines and role graphs of a policy."""
    found = _known_words.get(enforcer)
    if found is None:
        in_lines = (value for line in enforcer.program.lines for value in line.values)
        in_graphs = (name for edges in enforcer.graphs.values() for name in edges)
        found = _known_words[enforcer] = frozenset([*in_lines, *in_graphs])
    return found


# --- who can


@dataclass(frozen=True, slots=True)
class Somebody:
    """A principal that may."""

    kind: PrincipalKind
    id: int
    """Of a container: that of its task."""
    name: str
    """Of a container: that of the node that runs it."""

    @property
    def subject(self) -> str:
        """`user:7`."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class GrantingLine:
    """A line that grants it."""

    line: str
    origin: str
    """`file:line` or `db:table:id`."""


@dataclass(frozen=True, slots=True)
class Way:
    """One reason why principals may."""

    held: str
    """What they have or are: `role:viewer`, `rule:3`, `kind:node`, `org:3`, or `user:7` itself."""
    name: str
    """Of a role; empty for others."""
    lines: tuple[GrantingLine, ...]
    """The lines that grant it to who has that, perhaps through roles that come with it."""
    principals: tuple[Somebody, ...]


@dataclass(frozen=True, slots=True)
class WhoCan:
    """Everybody who may do something. Who may for several reasons is in several `ways`."""

    operation: Operation
    resource: Resource
    thing: str
    policy: str
    """Version of the policy."""
    at: datetime
    ways: tuple[Way, ...]
    """The one that most have first."""
    users: int
    nodes: int
    containers: int


def everyone(thing: Thing) -> Iterator[Principal]:
    """All users and nodes, and the containers that may run: those of unfinished tasks.

    And that of the task that is asked about, even when it is finished.
    """
    unfinished = exists().where(Result.task_id == Task.id, Result.finished_at.is_(None))
    own = thing.id if thing.table is not None and thing.table.model is Task else None
    tasks = select(Task.id).where(or_(unfinished, Task.id == own))
    for known in chain(principals.everyone(), principals.containers(tasks)):
        yield known.principal


def who_can(enforcer: Enforcer, operation: Operation, thing: Thing) -> WhoCan:
    """All users, nodes and running containers that may `operation` this, by why they may."""
    asked = (_PollOfSomeRow if thing.some_row else Poll)(enforcer, operation, thing)
    holds = _Holding(enforcer)
    ways: dict[tuple[str, tuple[GrantingLine, ...]], list[Somebody]] = {}
    counts = dict.fromkeys(PrincipalKind, 0)
    for who in everyone(thing):
        if not asked.allows(who):
            continue
        counts[who.kind] += 1
        somebody = Somebody(who.kind, int(who.id.partition(":")[2]), who.name)
        for held, lines in holds.ways(who, asked.matching(who)).items():
            ways.setdefault((held, lines), []).append(somebody)
    names = _names_of({held for held, _ in ways})
    found = [
        Way(held, names.get(held, ""), lines, tuple(who)) for (held, lines), who in ways.items()
    ]
    return WhoCan(
        operation=operation,
        resource=thing.resource,
        thing=thing.name,
        policy=enforcer.version,
        at=clock.now(),
        ways=tuple(sorted(found, key=lambda way: (-len(way.principals), way.held))),
        users=counts[PrincipalKind.USER],
        nodes=counts[PrincipalKind.NODE],
        containers=counts[PrincipalKind.CONTAINER],
    )


class _Holding:
    """By what a principal is one whom a line speaks of."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._graph = enforcer.graphs.get("g", {})
        self._at = field_of(enforcer, "sub")
        self._closures: dict[str, frozenset[str]] = {}

    def ways(
        self, who: Principal, granting: Iterable[Remainder]
    ) -> dict[str, tuple[GrantingLine, ...]]:
        """The lines by what of the principal they speak of."""
        facts = who.facts
        names = (*facts.membership, facts.kind, facts.group, facts.id)
        found: dict[str, list[GrantingLine]] = {}
        for rest in granting:
            line = GrantingLine(str(rest.line), rest.line.origin)
            subject = facts.id if self._at is None else rest.line.values[self._at]
            for held in [name for name in names if subject in self._with(name)] or [subject]:
                found.setdefault(held, []).append(line)
        return {held: tuple(dict.fromkeys(lines)) for held, lines in found.items()}

    def _with(self, name: str) -> frozenset[str]:
        found = self._closures.get(name)
        if found is None:
            found = self._closures[name] = closure(self._graph, name)
        return found


def _names_of(subjects: Collection[str]) -> dict[str, str]:
    if not any(subject.startswith("role:") for subject in subjects):
        return {}
    stored = session.execute(select(Role.id, Role.slug, Role.name))
    return {f"role:{slug or id}": name or "" for id, slug, name in stored}


# --- what can


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that somebody may do something with."""

    ids: tuple[int, ...]
    """The first of them, by id."""
    total: int


@dataclass(frozen=True, slots=True)
class Ability:
    """What somebody may do with a resource."""

    reach: Reach
    rows: Rows | None
    """None when they were not asked for, and for what is not asked of rows: events and create."""


@dataclass(frozen=True, slots=True)
class WhatCan:
    """All that somebody may do."""

    principal: str
    name: str
    inherits: tuple[str, ...]
    """All roles it has in the end, and extra rules."""
    policy: str
    at: datetime
    abilities: tuple[Ability, ...]
    """What nothing speaks of is left out."""

    @property
    def may_something(self) -> bool:
        """Whether anything is granted at all."""
        return any(not one.reach.nothing for one in self.abilities)


def what_can(
    enforcer: Enforcer,
    who: Principal,
    resources: Collection[Resource] = (),
    rows: int | None = None,
) -> WhatCan:
    """What `who` may do with these resources, or with all; with up to `rows` ids of rows each."""
    abilities = []
    for resource in [one for one in Resource if not resources or one in resources]:
        for operation in Operation:
            lines = enforcer.plan(who.facts, resource, operation).remainders
            found = reach(enforcer, resource, operation, lines)
            if found.scope is None and not found.conditional and not found.denials:
                continue
            listed = resource in MODELS and operation is not Operation.CREATE and rows is not None
            ids = allowed_rows(enforcer, who, resource, operation, limit=rows) if listed else None
            abilities.append(Ability(found, ids))
    return WhatCan(
        who.subject,
        who.name,
        _inherits(enforcer, who),
        enforcer.version,
        clock.now(),
        tuple(abilities),
    )


def _inherits(enforcer: Enforcer, who: Principal) -> tuple[str, ...]:
    graph, facts = enforcer.graphs.get("g", {}), who.facts
    own = {facts.id, facts.kind, facts.group}
    found = closure(graph, facts.id, facts.membership)
    found |= closure(graph, facts.kind) | closure(graph, facts.group)
    return tuple(sorted(found - own))


def allowed_rows(
    enforcer: Enforcer,
    who: Principal,
    resource: Resource,
    operation: Operation,
    *,
    limit: int | None = None,
    after: int = 0,
    changes: frozenset[str] = frozenset(),
) -> Rows:
    """The rows of a resource that `who` may `operation`: ids from beyond `after`, and how many.

    The total counts those up to `after`, too. A resource without rows has none. `changes`: names of
    the fields that an edit changes.
    """
    if resource not in MODELS:
        return Rows((), 0)
    subject, table = who.facts.changing(changes), TABLES[MODELS[resource]]
    asked = enforcer.asked(subject, resource, operation, table)
    if asked.plan.never:
        return Rows((), 0)
    rows = asked.rows()
    ids = select(table.key).select_from(table.model).where(rows.condition)
    query = ids.where(table.key > after).order_by(table.key).limit(limit)
    total = session.scalar(ids.with_only_columns(func.count()), rows.parameters)
    return Rows(tuple(session.scalars(query, rows.parameters)), total or 0)
