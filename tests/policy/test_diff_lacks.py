"""Diff where a line asks for what one may not hand out.

Stock Casbin decides on every row; what one lacks in both versions, it says itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.policy import brute_force
from tests.policy.brute_force import Stock
from tests.policy.mutations import line
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal, SubjectFacts
from v6srv.authz.rules import DECLARED
from v6srv.authz.source.model_conf import define
from v6srv.policy.diff.compare import Change, Kind, compare
from v6srv.vocabulary import Operation, Resource

DEFINITION = define(brute_force.MODEL.read_text())
WHO = [one for one in brute_force.PRINCIPALS if one.account_id in (11, 13, 15)]
BASE = (
    "g, kind:user, role:everyone",
    "g2, global, collaboration",
    "g2, collaboration, organization",
    "g2, organization, own_organization",
    "g2, own_organization, own",
    "p, role:root, *, global, *, True, allow",
    "p, role:viewer, user, organization, view, True, allow",
    "p, role:org_admin, user, organization, view, True, allow",
    "p, role:org_admin, user, organization, edit, True, allow",
    "p, role:org_admin, user, organization, delete, True, allow",
    "p, role:org_admin, role, organization, delete, True, allow",
    "p, kind:user, user, global, delete, meets(r.obj.rules, r.sub.lacks), deny",
    "p, kind:user, user, global, edit, meets(r.sub.changes, ('roles',)) && meets(r.obj.role_rules, r.sub.lacks), deny",
    "p, kind:user, role, global, delete, !(r.obj.id == 6) && meets(r.obj.rules, r.sub.lacks), deny",
)
TASKS = "p, role:org_admin, task, organization, view, True, allow"
_COVERED = [("task", scope, "view") for scope in ("organization", "own_organization", "own")]
NODES = "p, role:viewer, node, organization, view, True, allow"
ASKED = (
    (Resource.USER, Operation.DELETE),
    (Resource.USER, Operation.EDIT),
    (Resource.ROLE, Operation.DELETE),
)


def _lines(*without: str, more: tuple[str, ...] = ()) -> list[Line]:
    kept = [text for text in BASE if text not in without]
    return [line(text, f"lines.csv:{at}") for at, text in enumerate((*kept, *more), 1)]


VERSIONS = {
    "base": _lines(),
    "more to hand out": _lines(more=(TASKS,)),
    "something else to hand out": _lines(BASE[7], more=(TASKS,)),
    "an edge": _lines(more=(NODES, "g, role:org_admin, role:viewer")),
    "no power": _lines(BASE[11]),
    "no power and more to hand out": _lines(BASE[11], BASE[13], more=(TASKS,)),
    "a rule that is named": _lines(
        more=(
            "p, kind:user, user, global, delete, 'task:own:view' in r.sub.lacks, deny",
            "p, kind:user, user, global, edit, 'task:organization:view' in r.sub.lacks, deny",
        )
    ),
}


PAIRS = [pair for pair in itertools.permutations(VERSIONS, 2) if "base" in pair]


def _lacks(stock: Stock, who: Principal) -> frozenset[str]:
    return frozenset(":".join(r.key) for r in DECLARED if not stock.may_hand_out(who, *r.key))


def _rows(
    who: Principal, resource: Resource, lacks: tuple[frozenset[str], frozenset[str]]
) -> Iterator[tuple[SubjectFacts, SimpleNamespace]]:
    """Rows with one rule of each kind: lacked in both versions, in one, or in none; or without."""
    signs = {tuple(rule in one for one in lacks): rule for rule in sorted(map(_text, DECLARED))}
    rules = (frozenset(), *(frozenset({rule}) for rule in signs.values()))
    org = who.organization_id
    for id, held, in_roles, changes in itertools.product(
        (4, 6), rules, rules, (frozenset(), frozenset({"roles"}))
    ):
        facts = {"rules": held, "role_rules": in_roles, "orgs": frozenset({org})}
        nothing = {"collabs": frozenset(), "owners": frozenset({f"user:{id}"})}
        row = SimpleNamespace(type=resource.value, id=id, org=org, **facts, **nothing)
        yield who.facts.changing(changes), row


def _text(rule: Any) -> str:
    return ":".join(rule.key)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_changes_are_those_that_stock_casbin_makes(old: str, new: str) -> None:
    stocks = Stock(VERSIONS[old]), Stock(VERSIONS[new])
    found = compare(*(Enforcer(DEFINITION, VERSIONS[one], 0) for one in (old, new)), WHO)
    checked = 0
    for who, (resource, operation) in itertools.product(WHO, ASKED):
        told = [
            change
            for change in found.changes
            if who.subject in change.principals
            and (change.resource, change.operation, change.hand_out) == (resource, operation, False)
        ]
        lacks = _lacks(stocks[0], who), _lacks(stocks[1], who)
        seen: list[Change] = []
        for subject, row in _rows(who, resource, lacks):
            if operation is not Operation.EDIT:
                subject = subject.changing(frozenset())
            subject = subject.lacking(lacks[0] & lacks[1])
            was, becomes = (
                stock.decide(stock.lines, subject, row, operation.value) for stock in stocks
            )
            inside = [change for change in told if _holds(change, subject, row)]
            kinds = [change.kind for change in inside]
            assert kinds == ([] if was is becomes else [Kind.GAINED if becomes else Kind.LOST])
            seen += inside
            checked += 1
        assert all(change in seen for change in told)
    assert checked > 100


def _holds(change: Change, subject: SubjectFacts, row: SimpleNamespace) -> bool:
    known = {"sub": subject, "obj": row, **FUNCTIONS}
    return all(
        eval(text.replace("r.sub.", "sub.").replace("r.obj.", "obj."), known) is wanted
        for text, wanted in change.case.conditions
    )


def test_what_one_may_hand_out_now_is_told_once() -> None:
    """And not once more for every user and role that one has power over now."""
    old, new = VERSIONS["base"], VERSIONS["more to hand out"]
    found = compare(Enforcer(DEFINITION, old, 0), Enforcer(DEFINITION, new, 0), WHO)
    told = [(change.resource, change.hand_out) for change in found.changes]
    covered = [rule for rule in DECLARED if rule.key in _COVERED]
    assert told == [(Resource.TASK, False), *[(Resource.TASK, True)] * len(covered)]
    assert {change.case.scope for change in found.changes if change.hand_out} == {
        rule.scope for rule in covered
    }


def test_a_power_that_is_new_reaches_whom_it_is_granted_over() -> None:
    """Root lacks nothing, whatever it may not hand out before."""
    admin = line("p, user:13, *, global, *, True, allow", "local.csv:1")
    old, new = VERSIONS["base"], [*VERSIONS["base"], admin]
    found = compare(Enforcer(DEFINITION, old, 0), Enforcer(DEFINITION, new, 0), WHO)
    cases = [
        change.case.name
        for change in found.changes
        if (change.resource, change.operation) == (Resource.USER, Operation.DELETE)
        and not change.hand_out
    ]
    assert cases == ["other organizations"]
