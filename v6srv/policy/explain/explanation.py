"""Why somebody may or may not do something, and what would change it.

The same plan that decides is taken apart line by line. The facts are those that every decision is
made by, or made up; so the answer is that of the Authorizer, with its reasons.
"""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from v6srv.authz import clock
from v6srv.authz.compiler import closure
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.principal import SUBJECT_FACTS, Principal
from v6srv.errors import Invalid
from v6srv.policy import ask
from v6srv.policy.ask import Thing
from v6srv.policy.explain.remedy import Fix, remedy
from v6srv.policy.inquiry.considered import Considered, Inquiry, distance
from v6srv.policy.inquiry.some_row import SomeRow
from v6srv.policy.inquiry.terms import ordered
from v6srv.vocabulary import Effect, Operation, Resource

NEAR = 10
"""On a denial: how many lines that others hold are shown beside those of the principal."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with all its reasons."""

    allowed: bool
    reason: str
    policy: str
    """Version of the policy."""
    at: datetime
    """The time that time limits were asked at."""
    principal: Mapping[str, Any]
    """Its facts as policies saw them, and `inherits`: all roles that it has in the end."""
    resource: Resource
    operation: Operation
    row: str
    """In the words of the question: `task:12`."""
    facts: Mapping[str, Any]
    """The facts of the row as policies saw them."""
    some_row: bool
    """No row was named: it is allowed for some row, and `rows` says for which."""
    rows: tuple[str, ...]
    """The rows for which it is allowed when none was named, in words: each text is enough."""
    lines: tuple[Considered, ...]
    """Those of the principal, in the order of the policy; on a denial the nearest ones of others,
    unless enough is granted."""
    decided_by: tuple[str, ...]
    """Origins of the lines that won; empty when nothing was granted."""
    nearest: str | None
    """Origin of the allowance that is nearest to matching, on a denial where none does."""
    fix: Fix | None
    """None when it is allowed."""


def answer(enforcer: Enforcer, query: Mapping[str, Any]) -> Explanation:
    """The explanation that a query asks for.

    `principal` (`user:7`) and `made_up` (described) say who, at least one of them; `operation` and
    `resource` what. The row is the one with the `id`, or made up (`row`, JSON), of the table `on`
    if that is not the resource's own; or the `room`; or none: the resource as a whole. `changes`:
    names of the fields that an edit changes. `at`: the time it is asked for. Raises Invalid and
    NotFound.
    """
    who = ask.named(enforcer, query.get("principal"), query.get("made_up"))
    operation = ask.operation(query["operation"])
    thing = _thing(query)
    fields = ask.changed(thing, query.get("changes", ()))
    with clock.stopped(ask.moment(query["at"])) if "at" in query else nullcontext():
        return explain(enforcer, who, operation, thing, fields)


def _thing(query: Mapping[str, Any]) -> Thing:
    resource = ask.resource(query["resource"])
    on = ask.resource(query["on"]) if "on" in query else None
    ways = [way for way in ("id", "row", "room") if way in query]
    if len(ways) > 1 or (on is not None and ways not in (["id"], ["row"])):
        raise Invalid("Name one row: by id or row, of the table `on`; or a room; or none of them")
    if ways == ["id"]:
        return ask.row(resource, query["id"], on)
    if ways == ["row"]:
        return ask.made_up_row(resource, ask.document(query["row"], "the row"), on)
    if ways == ["room"]:
        return ask.thing(f"room:{query['room']}", resource)
    return ask.whole(resource)


def explain(
    enforcer: Enforcer,
    who: Principal,
    operation: Operation,
    thing: Thing,
    changes: frozenset[str] = frozenset(),
) -> Explanation:
    """Why `who` may or may not do so with `thing`, by this version of the policy."""
    inquiry = (SomeRow if thing.some_row else Inquiry)(enforcer, who, operation, thing, changes)
    allowed, held = inquiry.allowed(), inquiry.held()
    granting = [one for one in held if one.matched and one.effect is Effect.ALLOW]
    against = [] if allowed else inquiry.against(held)
    missing = not allowed and not granting
    near = inquiry.others()[:NEAR] if missing else []
    decided_by = _origins(granting if allowed else against)
    fix = None if allowed else remedy(inquiry, bool(granting), _origins(against))
    return Explanation(
        allowed=allowed,
        reason=_reason(inquiry, allowed, held, against, decided_by),
        policy=enforcer.version,
        at=clock.now(),
        principal=_principal_facts(inquiry),
        resource=thing.resource,
        operation=operation,
        row=thing.name,
        facts={name: _plain(value) for name, value in _facts(thing).items()},
        some_row=thing.some_row,
        rows=inquiry.rows() if allowed else (),
        lines=(*held, *near),
        decided_by=decided_by,
        nearest=_nearest([*held, *near]) if missing else None,
        fix=fix,
    )


def _facts(thing: Thing) -> Mapping[str, Any]:
    """What is known of the row: of one that nobody named, nothing but what it is."""
    return {"type": thing.resource.value} if thing.some_row else vars(thing.facts)


def _origins(lines: Iterable[Considered]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.origin for one in lines))


def _nearest(lines: Iterable[Considered]) -> str | None:
    allowances = [one for one in lines if one.effect is Effect.ALLOW]
    return min(allowances, key=distance).origin if allowances else None


def _reason(
    inquiry: Inquiry,
    allowed: bool,
    held: Iterable[Considered],
    against: Iterable[Considered],
    decided_by: tuple[str, ...],
) -> str:
    origins = ", ".join(decided_by)
    if allowed:
        return "; or ".join(inquiry.rows()) or f"allowed by {origins}"
    if any(one.matched for one in against):
        return f"forbidden by {origins}"
    if decided_by:
        return f"a condition fails, and what fails denies: {origins}"
    who, thing = inquiry.who.subject, inquiry.thing
    if not any(one.effect is Effect.ALLOW for one in held):
        return f"nothing grants {who} to {inquiry.operation} {thing.resource}"
    return f"what lets {who} {inquiry.operation} {thing.resource} does not reach {thing.name}"


def _principal_facts(inquiry: Inquiry) -> dict[str, Any]:
    subject, graph = inquiry.subject, inquiry.enforcer.graphs.get("g", {})
    own = {subject.id, subject.kind, subject.group}
    names = set(closure(graph, subject.id, subject.membership))
    names |= closure(graph, subject.kind) | closure(graph, subject.group)
    facts = {name: _plain(getattr(subject, name)) for name in SUBJECT_FACTS}
    facts["lacks"] = _plain(inquiry.enforcer.lacks(subject))
    return {**facts, "inherits": sorted(names - own)}


def _plain(value: Any) -> Any:
    """A fact as JSON can hold it."""
    return ordered(value) if isinstance(value, frozenset) else value
