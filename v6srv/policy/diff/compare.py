"""What a new policy changes: the exact decisions that differ from those of the old one.

    difference = compare(old, new, people)
    difference.gains, difference.losses

Principals whose plans are the same are looked at once, plans that are the same are not looked at,
and of the others every case is found (`cases.py`).
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from time import sleep
from types import SimpleNamespace
from typing import Any

from sqlalchemy import select

from v6srv.authz import clock
from v6srv.authz.answer import Asked
from v6srv.authz.compiler import Plan
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import names_in
from v6srv.authz.facts import room_facts
from v6srv.authz.principal import Principal
from v6srv.authz.rules import DECLARED, Declared
from v6srv.db import session
from v6srv.model import Collaboration, Member
from v6srv.policy.diff.affected import Affected
from v6srv.policy.diff.audience import Imagined, imagined, stored
from v6srv.policy.diff.cases import Case, Conditions, Pair, Room
from v6srv.policy.diff.causes import Cause, Causes
from v6srv.vocabulary import Operation, Resource

APPROVAL = 32
"""Hexadecimal digits of what approves gains: nobody finds two policies with the same."""


class Kind(StrEnum):
    """Which way a decision changes."""

    GAINED = "gained"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that differs, for everybody for whom it does so for the same reason."""

    kind: Kind
    principals: tuple[str, ...]
    """`user:5`, `node:3`; those that are made up are called `role:viewer` or `kind:container`."""
    resource: Resource
    operation: Operation
    case: Case
    causes: tuple[Cause, ...]
    hand_out: bool = False
    """Not doing it, but giving others the rule to do it."""

    def __str__(self) -> str:
        return self.told()

    def told(self, *, everybody: bool = False) -> str:
        """In a line; with the names of `everybody`, and of all rooms, or of the first ones."""
        first, *others = self.principals
        who = f"{first} (and {len(others)} other{'s'[: len(others) > 1]})" if others else first
        if everybody:
            who = ", ".join(self.principals)
        may = "may now" if self.kind is Kind.GAINED else "may no longer"
        rule = "hand out the rule to " if self.hand_out else ""
        what = f"{rule}{self.operation} {self.resource} [{self.case.told(everything=everybody)}]"
        sign = "+" if self.kind is Kind.GAINED else "-"
        return f"{sign} {who} {may} {what}   because {', '.join(map(str, self.causes))}"

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "kind": self.kind.value,
            "principals": list(self.principals),
            "operation": self.operation.value,
            "resource": self.resource.value,
            "hand_out": self.hand_out,
            "case": self.case.name,
            "conditions": [
                {"expression": text, "holds": holds} for text, holds in self.case.conditions
            ],
            "rooms": [
                {"collaboration": collaboration, "organization": organization}
                for collaboration, organization in self.case.rooms
            ],
            "causes": [cause.as_json() for cause in self.causes],
        }


@dataclass(frozen=True, slots=True)
class PolicyDiff:
    """All decisions that two versions make differently."""

    old: str
    new: str
    """Their versions."""
    changes: tuple[Change, ...]

    @property
    def gains(self) -> tuple[Change, ...]:
        """What somebody may with the new version only."""
        return tuple(change for change in self.changes if change.kind is Kind.GAINED)

    @property
    def losses(self) -> tuple[Change, ...]:
        """What somebody may with the old version only."""
        return tuple(change for change in self.changes if change.kind is Kind.LOST)

    @property
    def gains_digest(self) -> str | None:
        """A name for just these gains, to approve them by; None without any.

        It is another when somebody gains something else, and the same whatever lines it is
        because of.
        """
        who: dict[str, set[str]] = {}
        for change in self.gains:
            told = {**change.as_json(), "causes": None, "principals": None}
            who.setdefault(json.dumps(told, sort_keys=True), set()).update(change.principals)
        told_of = json.dumps(sorted((gain, sorted(names)) for gain, names in who.items()))
        return hashlib.sha256(told_of.encode()).hexdigest()[:APPROVAL] if who else None

    def lines(self, *, everybody: bool = False) -> Iterator[str]:
        """One line of text for each change, gains first; naming `everybody` if they are many."""
        return (change.told(everybody=everybody) for change in (*self.gains, *self.losses))

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "old": self.old,
            "new": self.new,
            "gains_digest": self.gains_digest,
            "gained": len(self.gains),
            "lost": len(self.losses),
            "changes": [change.as_json() for change in (*self.gains, *self.losses)],
        }


def compare_stored(old: Enforcer, new: Enforcer, at: datetime | None = None) -> PolicyDiff:
    """Compare for everybody and every room of the database, and who could be added to it."""
    people = stored()
    people += imagined((old, new), people)
    return compare(old, new, people, rooms(), at)


def compare_alone(old: Enforcer, new: Enforcer, at: datetime | None = None) -> PolicyDiff:
    """Compare for those who could be in any database: members of roles, nodes, containers."""
    return compare(old, new, imagined((old, new)), at=at)


def compare(
    old: Enforcer,
    new: Enforcer,
    principals: Iterable[Principal],
    rooms: Sequence[Room] | None = None,
    at: datetime | None = None,
) -> PolicyDiff:
    """The decisions that differ, for these principals.

    Rows are all that there could be. So are rooms, unless they are given: then they are those for
    principals that are real. Times are now and all later ones, or only `at`.
    """
    changes = _Comparison(old, new, list(principals), rooms, at).changes()
    return PolicyDiff(old.version, new.version, changes)


def rooms() -> list[Room]:
    """The rooms of the database: of every collaboration, and of every organization in one."""
    whole: list[Room] = [
        (id, None) for id in session.scalars(select(Collaboration.id).order_by(Collaboration.id))
    ]
    members = select(Member.c.collaboration_id, Member.c.organization_id)
    return whole + sorted((row[0], row[1]) for row in session.execute(members))


Changed = tuple[Kind, Resource, Operation, Case, tuple[Cause, ...], bool]


class _Comparison:
    def __init__(
        self,
        old: Enforcer,
        new: Enforcer,
        principals: Sequence[Principal],
        rooms: Sequence[Room] | None,
        at: datetime | None,
    ) -> None:
        self.old, self.new, self.principals, self.rooms = old, new, principals, rooms
        self.moments = [at] if at else _moments(old, new)
        self._causes = Causes(old, new)
        self._pairs: dict[Any, Pair] = {}
        self._same_roles = old.graphs == new.graphs
        self._found: dict[Changed, list[str]] = {}

    def changes(self) -> tuple[Change, ...]:
        """All of them, in the order of resources and operations."""
        affected = Affected(self.old, self.new, self.principals)
        for resource, operation in itertools.product(Resource, Operation):
            sleep(0)  # under gevent others get their turn
            row = SimpleNamespace(type=resource.value)
            for group in affected.groups(row, operation.value):
                self._compare(group, resource, operation)
        affected = Affected(self.old, self.new, self.principals, "m2")
        for rule in DECLARED:
            self._compare_hand_outs(affected, rule)
        return tuple(
            Change(kind, tuple(dict.fromkeys(who)), resource, operation, case, causes, hand_out)
            for (kind, resource, operation, case, causes, hand_out), who in self._found.items()
        )

    def _note(
        self,
        who: Principal,
        gained: bool,
        resource: Resource,
        operation: Operation,
        case: Case,
        causes: tuple[Cause, ...],
        *,
        hand_out: bool = False,
    ) -> None:
        kind = Kind.GAINED if gained else Kind.LOST
        changed = (kind, resource, operation, case, causes, hand_out)
        self._found.setdefault(changed, []).append(who.subject)

    # --- decisions

    def _compare(self, group: list[Principal], resource: Resource, operation: Operation) -> None:
        policies = (self.old, self.new)
        asked = [policy.asked(group[0].facts, resource, operation) for policy in policies]
        plans = [one.plan for one in asked]
        if self._equal(*plans):
            return
        pair = self._pair(plans, resource, operation)
        causes: dict[Any, tuple[Cause, ...]] = {}
        for who in group:
            real = not isinstance(who, Imagined)
            changed = (
                self._rooms_changed(who, asked, pair)
                if (resource, operation) == _HEARING and real and self.rooms is not None
                else ((found.case, found.gained, found.answers) for found in pair.found(who.facts))
            )
            for case, gained, answers in changed:
                key = (gained, frozenset(answers.items()))
                if key not in causes:
                    causes[key] = self._causes.of_case(
                        group[0], plans, pair, answers, gained=gained
                    )
                self._note(who, gained, resource, operation, case, causes[key])

    def _equal(self, old: Plan, new: Plan) -> bool:
        """Whether two plans say the same in the same words."""
        if old.never and new.never:
            return True
        if old.allow.keys() != new.allow.keys() or old.deny.keys() != new.deny.keys():
            return False
        trees = (*old.allow.values(), *old.deny.values())
        return self._same_roles or not any(
            names_in(tree) & self.old.graphs.keys() for tree in trees
        )

    def _pair(self, plans: Sequence[Plan], resource: Resource, operation: Operation) -> Pair:
        old, new = plans
        texts = tuple(frozenset(part) for plan in plans for part in (plan.allow, plan.deny))
        key = (resource, operation, texts)
        if key not in self._pairs:
            sides = (old, self.old.program), (new, self.new.program)
            self._pairs[key] = Pair(*sides, (resource, operation), self.moments)
        return self._pairs[key]

    def _rooms_changed(
        self, who: Principal, asked: Sequence[Asked], pair: Pair
    ) -> Iterator[tuple[Case, bool, Mapping[str, bool]]]:
        """The rooms that are decided differently, those at the same times for the same reason
        together."""
        asked = [one.by(who.facts) for one in asked]
        found: dict[Any, list[Room]] = {}
        for room in self.rooms or ():
            row = SimpleNamespace(type=Resource.EVENT.value, **room_facts(*room))
            decided = [_change(moment, row, asked) for moment in self.moments]
            if not any(change is not None for change in decided):
                continue
            seen = list(zip(decided, self._answers(who, row, pair), strict=True))
            for conditions, gained, answers in _by_time(seen, pair.times):
                key = (conditions, gained, frozenset(answers.items()))
                found.setdefault(key, []).append(room)
        for (conditions, gained, answers), changed in found.items():
            yield Case(conditions, rooms=tuple(changed)), gained, dict(answers)

    def _answers(self, who: Principal, row: object, pair: Pair) -> Iterator[dict[str, bool]]:
        for moment in self.moments:
            with clock.stopped(moment):
                yield pair.answers(who.facts, row)

    # --- handing out

    def _compare_hand_outs(self, affected: Affected, rule: Declared) -> None:
        sleep(0)  # under gevent others get their turn
        resource, scope, operation = rule.key
        asked = SimpleNamespace(res=resource, scope=scope, act=operation)
        for group in affected.groups(asked):
            plans = [one.handing_out(group[0].facts, asked) for one in (self.old, self.new)]
            alike = not any(map(_asks_who, plans))
            for who in group[:1] if alike else group:
                put = [one.by(who.facts) for one in plans]
                old, new = (one.of(asked).allowed for one in put)
                if old is new:
                    continue
                causes = self._causes.of_hand_out(who, asked, put, gained=new)
                for one in group if alike else [who]:
                    case = Case(scope=scope)
                    self._note(one, new, rule.resource, rule.operation, case, causes, hand_out=True)


_HEARING = (Resource.EVENT, Operation.VIEW)


def _moments(old: Enforcer, new: Enforcer) -> list[datetime]:
    """Now, and each later moment at which a time limit begins or ends."""
    now = clock.now()
    return [now, *sorted({moment for moment in (*old.moments, *new.moments) if moment > now})]


_Seen = tuple[bool | None, Mapping[str, bool]]
"""What a decision changes to at some moment, and what all questions are answered then."""


def _by_time(
    seen: Sequence[_Seen], times: Mapping[str, str]
) -> Iterator[tuple[Conditions, bool, Mapping[str, bool]]]:
    """What changes, once for each answer of those `times` that it depends on."""
    telling = list(times)
    for key in times:
        fewer = [other for other in telling if other != key]
        known: dict[Any, bool | None] = {}
        if all(
            known.setdefault(tuple(map(answers.get, fewer)), change) is change
            for change, answers in seen
        ):
            telling = fewer
    told = set()
    for change, answers in seen:
        conditions = tuple((times[key], answers[key]) for key in telling)
        if change is not None and conditions not in told:
            told.add(conditions)
            yield conditions, change, answers


def _change(moment: datetime, row: object, asked: Sequence[Asked]) -> bool | None:
    """What a decision changes to at this time; None when it does not change."""
    with clock.stopped(moment):
        old, new = (one.of(row).allowed for one in asked)
    return None if old is new else new


def _asks_who(asked: Asked) -> bool:
    """Whether it depends on more of the principal than its names and roles."""
    trees = (*asked.plan.allow.values(), *asked.plan.deny.values())
    return any(asked.evaluator.program.subject in names_in(tree) for tree in trees)
