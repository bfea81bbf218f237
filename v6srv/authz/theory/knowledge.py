"""What is certain about facts once the kind of principal, the resource and the operation are."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from v6srv.authz.compiler import Program, closure
from v6srv.authz.fact_types import naming
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
) -> Known:
    """What is certain in every such request; `more` are further values by fact (`r_sub.org`)."""
    subject, row = program.subject, program.object
    values, members, choices = _of_rows(row, resource)
    callers: dict[str, Any] = {f"{subject}.kind": f"kind:{kind}"}
    callers |= {
        f"{subject}.{name}": fact.absent
        for name, fact in SUBJECT_FACTS.items()
        if kind not in fact.kinds or (fact.edits_only and operation is not Operation.EDIT)
    }
    shapes = {
        f"{subject}.{name}": _shape(fact.shape.format(kind=kind))
        for name, fact in SUBJECT_FACTS.items()
        if fact.shape
    }
    everything = {**values, **callers, **(more or {})}
    return Known(everything, shapes, members, choices, at, since)


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
    """As `known_of`, of principals without roles whom no line means by a name or a number."""
    subject = program.subject
    known = known_of(
        program,
        kind,
        resource,
        operation,
        at=at,
        since=since,
        more={f"{subject}.roles": frozenset()},
    )
    everyone = closure(program.graphs.get("g", {}), f"kind:{kind}")
    return replace(
        known,
        unnamed=frozenset(f"{subject}.{name}" for name in _NAMES),
        roles={f"{subject}.kind": everyone, f"{subject}.id": (), f"{subject}.group": ()},
    )


_Shape = tuple[str, re.Pattern[str]]


@cache
def _of_rows(
    row: str, resource: Resource
) -> tuple[dict[str, Any], dict[str, _Shape], dict[str, tuple[Any, ...]]]:
    """Facts with one value, shapes of members, and facts of few values."""
    facts = facts_of(resource)
    values: dict[str, Any] = {f"{row}.type": resource.value}
    values |= {f"{row}.{name}": fact.absent for name, fact in facts.items() if fact.never}
    members = {
        f"{row}.{name}": _shape(naming(fact.kind).pattern)
        for name, fact in facts.items()
        if fact.kind
    }
    choices = {
        f"{row}.{name}": (True, False, None) for name, fact in facts.items() if fact.of is bool
    }
    return values, members, choices


@cache
def _shape(expression: str) -> _Shape:
    """Names of one kind: as a pattern, and exactly."""
    kind = re.match(r"\W*(\w+)", expression)
    assert kind
    return f"{kind[1]}:*", re.compile(expression)
