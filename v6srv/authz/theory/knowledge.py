"""What is certain about facts once the kind of principal, the resource and the operation are."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy.sql.elements import Null, TypeCoerce

from v6srv.authz.compiler import Program, closure
from v6srv.authz.facts import MODELS, TABLES, Scalar
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.authz.theory.literals import Known
from v6srv.vocabulary import Operation, PrincipalKind, Resource

CONTAINERS_ONLY = ("task", "run", "image")
"""Facts of `r.sub` that users and nodes never have."""

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
    if kind is not PrincipalKind.CONTAINER:
        callers |= {f"{subject}.{name}": None for name in CONTAINERS_ONLY}
    if kind is not PrincipalKind.USER:
        callers[f"{subject}.roles"] = frozenset()
    if operation is not Operation.EDIT:
        callers[f"{subject}.changes"] = frozenset()
    shapes = {
        f"{subject}.id": (f"{kind}:*", re.compile(rf"{kind}:[1-9][0-9]*")),
        f"{subject}.group": ("org:*", re.compile(r"org:([1-9][0-9]*|None)")),
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
    if resource not in MODELS:
        return {f"{row}.type": resource.value}, {}, {}
    table = TABLES[MODELS[resource]]
    values: dict[str, Any] = {f"{row}.type": resource.value}
    values |= {f"{row}.{n}": None for n, scalar in table.scalars.items() if _never(scalar)}
    values |= {f"{row}.{n}": frozenset() for n, found in table.sets.items() if found.empty}
    members = {
        f"{row}.{n}": (f"{found.kind}:*", re.compile(rf"{found.kind}:[1-9][0-9]*"))
        for n, found in table.sets.items()
        if found.kind
    }
    choices = {
        f"{row}.{n}": (True, False, None)
        for n, scalar in table.scalars.items()
        if scalar.type is bool
    }
    return values, members, choices


def _never(scalar: Scalar) -> bool:
    """Whether the fact has no value for any row."""
    return isinstance(scalar.column, TypeCoerce) and isinstance(scalar.column.clause, Null)
