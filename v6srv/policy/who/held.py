"""What roles and extra rules give, rule by rule: all that can be granted, and how they have it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from weakref import WeakKeyDictionary

from v6srv.authz.compiler import Remainder, closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.authz.rules import DECLARED, Declared
from v6srv.policy.who.matrix import field_of
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

_ANYTHING = "True"


class How(StrEnum):
    """In which way something is held."""

    OWN = "own"
    """A line of just these roles or rules says it."""
    COVERED = "covered"
    """It comes with a role that comes with them, or with a rule of a wider scope."""
    PARTLY = "partly"
    """Under conditions only, or not where a line forbids it."""
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Held:
    """How one rule is held."""

    rule: Declared
    how: How
    by: tuple[str, ...] = ()
    """Of what is covered: roles (`role:viewer`), or the wider scopes. Of what is held partly: the
    conditions, and `not <condition>` of what forbids."""


_MOST_REMEMBERED = 1_000
_known: WeakKeyDictionary[Enforcer, dict[object, Mapping[str, Held]]] = WeakKeyDictionary()


def held(enforcer: Enforcer, names: Collection[str]) -> Mapping[str, Held]:
    """Every declared rule by its text, of somebody who has these roles and extra rules only.

    `names` are what lines call them: `role:viewer`, `role:12`, `rule:3`.
    """
    facts = _nobody_with(names)
    lacks = enforcer.lacks(facts)  # of this moment
    known, key = _known.setdefault(enforcer, {}), (frozenset(names), lacks)
    if key not in known:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[key] = _all(enforcer, facts, names, lacks)
    return known[key]


def _all(
    enforcer: Enforcer, facts: SubjectFacts, names: Collection[str], lacks: Collection[str]
) -> Mapping[str, Held]:
    lines = {
        (resource, operation): [*_lines(enforcer, facts, resource, operation)]
        for resource in Resource
        for operation in Operation
    }
    return {
        rule.text: _held(
            rule, lines[rule.resource, rule.operation], names, whole=rule.text not in lacks
        )
        for rule in DECLARED
    }


@dataclass(frozen=True, slots=True)
class _Line:
    """What a line says of one operation on one resource."""

    subject: str
    scope: Scope
    condition: str
    denies: bool
    covers: frozenset[str]
    """Scopes, its own among them."""


def _lines(
    enforcer: Enforcer, facts: SubjectFacts, resource: Resource, operation: Operation
) -> Iterator[_Line]:
    scopes = enforcer.graphs.get("g2", {})
    for rest in enforcer.plan(facts, resource, operation).remainders:
        if rest.text == "False":
            continue
        scope = Scope(_field(enforcer, rest, "scope", Scope.GLOBAL))
        yield _Line(
            _field(enforcer, rest, "sub", ""),
            scope,
            _field(enforcer, rest, "cond", _ANYTHING),
            rest.effect is Effect.DENY,
            closure(scopes, scope),
        )


def _field(enforcer: Enforcer, rest: Remainder, name: str, otherwise: str) -> str:
    at = field_of(enforcer, name)
    return otherwise if at is None else rest.line.values[at]


def _held(rule: Declared, lines: list[_Line], names: Collection[str], *, whole: bool) -> Held:
    denials = tuple(f"not {line.condition}" for line in lines if line.denies)
    grants = [line for line in lines if not line.denies and rule.scope in line.covers]
    plain = [line for line in grants if line.condition == _ANYTHING]
    if any(line.subject in names and line.scope is rule.scope for line in plain):
        return Held(rule, How.PARTLY if denials else How.OWN, denials)
    if whole:
        by = (line.scope if line.subject in names else line.subject for line in plain)
        return Held(rule, How.PARTLY if denials else How.COVERED, denials or (*dict.fromkeys(by),))
    conditions = tuple(line.condition for line in grants if line.condition != _ANYTHING)
    return Held(rule, How.PARTLY, (*conditions, *denials)) if conditions else Held(rule, How.NOT)


def _nobody_with(names: Collection[str]) -> SubjectFacts:
    """Somebody of whom nothing else is known: what every user has does not come on top."""
    facts = SubjectFacts(Principal(PrincipalKind.USER, 0, None, roles=tuple(names)))
    facts.id = facts.kind = facts.group = ""
    return facts
