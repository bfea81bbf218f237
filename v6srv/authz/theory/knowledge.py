"""What is certain about facts once the kind of principal, the resource and the operation are."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from v6srv.authz.compiler import Program, closure
from v6srv.authz.fact_types import Fact
from v6srv.authz.facts import facts_of
from v6srv.authz.principal import SUBJECT_FACTS, Principal, SubjectFacts
from v6srv.authz.theory.literals import Known
from v6srv.vocabulary import Operation, PrincipalKind, Resource

_NOBODY = 2**31 - 2
"""An id that no line can mean."""


@cache
def stranger(kind: PrincipalKind = PrincipalKind.USER) -> SubjectFacts:
    """Somebody of whom nothing is known but the kind."""
    return SubjectFacts(Principal(kind, _NOBODY, _NOBODY, task_id=_NOBODY))


def some_root() -> SubjectFacts:
    """A user with the role root."""
    return SubjectFacts(Principal(PrincipalKind.USER, _NOBODY, _NOBODY, roles=("role:root",)))


def known_of(
    program: Program,
    kind: PrincipalKind,
    resource: Resource,
    operation: Operation,
    *,
    at: datetime | None = None,
    since: datetime | None = None,
    more: Mapping[str, Any] | None = None,
    related: bool = True,
) -> Known:
    """What is certain in every such request; `more` are further values by fact (`r_sub.org`).

    Not `related`: only of each fact by itself, whatever the others are.
    """
    subject, row = program.subject, program.object
    values, facts = _certain(subject, row, kind, resource, operation, related)
    return Known({**values, **(more or {})}, facts, (subject, row), at, since)


_NAMES = ("id", "group", "account", "org", "task", "run", "collabs")
"""Facts of `r.sub` by which lines speak of single principals and of those of one organization."""


def known_of_strangers(
    program: Program,
    kind: PrincipalKind,
    resource: Resource,
    operation: Operation,
    *,
    at: datetime | None = None,
    since: datetime | None = None,
) -> Known:
    """As `known_of`, of principals without roles whom no line means by a name or a number.

    A hole is looked for among all rows, also those that only a fault of the server could make.
    """
    subject = program.subject
    known = known_of(
        program,
        kind,
        resource,
        operation,
        at=at,
        since=since,
        more={f"{subject}.roles": frozenset()},
        related=False,
    )
    everyone = closure(program.graphs.get("g", {}), f"kind:{kind}")
    return replace(
        known,
        unnamed=frozenset(f"{subject}.{name}" for name in _NAMES),
        roles={f"{subject}.kind": everyone, f"{subject}.id": (), f"{subject}.group": ()},
    )


@cache
def _certain(
    subject: str,
    row: str,
    kind: PrincipalKind,
    resource: Resource,
    operation: Operation,
    related: bool,
) -> tuple[Mapping[str, Any], Mapping[str, Fact]]:
    """Facts with one value, and what the others can be."""
    own: dict[str, Fact] = dict(SUBJECT_FACTS)
    number = "task" if kind is PrincipalKind.CONTAINER else "account"
    own["id"] = replace(own["id"], kind=kind.value, same=number)
    own["collabs"] = replace(own["collabs"], at_most_one=kind is not PrincipalKind.USER)
    rows = facts_of(resource, operation if related else None)
    absent = {
        f"{subject}.{name}": fact.absent
        for name, fact in SUBJECT_FACTS.items()
        if kind not in fact.kinds or (fact.edits_only and operation is not Operation.EDIT)
    }
    absent |= {f"{row}.{name}": fact.absent for name, fact in rows.items() if fact.never}
    values = {f"{subject}.kind": f"kind:{kind}", f"{row}.type": resource.value, **absent}
    facts = {f"{subject}.{name}": fact for name, fact in own.items()}
    facts |= {f"{row}.{name}": fact for name, fact in rows.items()}
    return values, facts if related else {name: f.unrelated() for name, f in facts.items()}
