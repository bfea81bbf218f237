"""What would turn a denial into an allowance."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import or_, select

from v6srv.authz.compiler import closure
from v6srv.authz.rules import FINER_RULES
from v6srv.db import session
from v6srv.model import Role, Rule
from v6srv.policy.inquiry.considered import Inquiry
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

_FINER = frozenset(rule.text for rule in FINER_RULES)
_WIDENING = {scope: at for at, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Grant:
    """What would have to be granted."""

    resource: Resource
    scope: Scope
    """The narrowest that reaches the row."""
    operation: Operation


@dataclass(frozen=True, slots=True)
class RoleName:
    """A role, as people and as policies call it."""

    id: int
    name: str
    subject: str
    """`role:viewer`, `role:12`."""


@dataclass(frozen=True, slots=True)
class Fix:
    """What would turn a denial into an allowance.

    `line`, or `rule`, or one of `roles`: each grants what is missing, and all are empty when
    enough is granted. And none of `denials` may be left.
    """

    grant: Grant | None
    line: str | None
    """The grant as a line of policy; None for a principal that no line can name."""
    rule: int | None
    """Id of the narrowest declared rule that reaches the row, of those that every dialect can give
    if there is one. Only users can be given one."""
    rule_scope: Scope | None
    roles: tuple[RoleName, ...]
    """Those that reach the row and forbid nothing more; the least powerful first."""
    denials: tuple[str, ...]
    """Origins of the lines that forbid it, or that fail."""


def remedy(inquiry: Inquiry, granted: bool, denials: tuple[str, ...]) -> Fix:
    """What would turn this denial into an allowance; `granted`: but for these `denials`."""
    if granted:
        return Fix(None, None, None, None, (), denials)
    scope = next((scope for scope in inquiry.scopes if inquiry.reaches(scope)), None)
    grant = line = None
    if scope is not None:
        grant = Grant(inquiry.thing.resource, scope, inquiry.operation)
        subject = _subject(inquiry)
        line = subject and str(inquiry.grant(subject, scope))
    rule, rule_scope = _rule(inquiry)
    return Fix(grant, line, rule, rule_scope, _roles(inquiry, denials), denials)


def _subject(inquiry: Inquiry) -> str | None:
    """Whom a line would be for: the narrowest name of the principal that lines can have.

    Containers have none of their own. A made-up user without an id is known by its role.
    """
    who = inquiry.who
    if who.kind is not PrincipalKind.CONTAINER and who.account_id:
        return who.subject
    if who.kind is not PrincipalKind.USER:
        return f"kind:{who.kind}"
    return next((role for role in who.roles if role.startswith("role:")), None)


def _rule(inquiry: Inquiry) -> tuple[int | None, Scope | None]:
    if inquiry.who.kind is not PrincipalKind.USER:
        return None, None
    declared = select(Rule).where(
        Rule.name == inquiry.thing.resource.value, Rule.operation == inquiry.operation
    )
    rules = sorted(
        session.scalars(declared), key=lambda rule: (rule.text in _FINER, _WIDENING[rule.scope])
    )
    found = next((rule for rule in rules if inquiry.reaches(rule.scope)), None)
    return (None, None) if found is None else (found.id, found.scope)


def _roles(inquiry: Inquiry, denials: tuple[str, ...]) -> tuple[RoleName, ...]:
    """The roles that this user could be given, and that would be enough."""
    who = inquiry.who
    if who.kind is not PrincipalKind.USER:
        return ()
    graph = inquiry.enforcer.graphs.get("g", {})
    held = closure(graph, who.subject, who.facts.membership)
    assignable = select(Role).where(
        or_(Role.organization_id.is_(None), Role.organization_id == who.organization_id)
    )
    found = [
        RoleName(role.id, role.name or "", role.subject)
        for role in session.scalars(assignable.order_by(Role.id))
        if role.subject not in held and inquiry.with_role(role.subject).gives(denials)
    ]
    powers = _powers(inquiry)

    def power(role: RoleName) -> tuple[bool, int]:
        names = closure(graph, role.subject)
        return role.subject in ("role:node", "role:container"), sum(powers[n] for n in names)

    return tuple(sorted(found, key=power))


def _powers(inquiry: Inquiry) -> Counter[str]:
    """How much each subject of lines is granted by them, roughly: to put the least first."""
    powers: Counter[str] = Counter()
    at = inquiry.field("sub")
    for line in inquiry.program.lines:
        if at is not None and inquiry.program.effect_of(line) is Effect.ALLOW:
            powers[line.values[at]] += inquiry.breadth(line)
    return powers
