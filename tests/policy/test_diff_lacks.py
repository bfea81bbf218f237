"""Diff where a line asks for what one may not hand out: each version says that by its own lines.

Stock Casbin decides on every row; it is told what each version lets nobody hand out, by asking it.
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
    "something else to hand out": _lines(BASE[3], more=(TASKS,)),
    "an edge": _lines(more=(NODES, "g, role:org_admin, role:viewer")),
    "no power": _lines(BASE[7]),
    "no power and more to hand out": _lines(BASE[7], BASE[9], more=(TASKS,)),
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
            was, becomes = (
                stock.decide(stock.lines, subject.lacking(held), row, operation.value)
                for stock, held in zip(stocks, lacks, strict=True)
            )
            inside = [c for c in told if _holds(c, subject.lacking(lacks[0] & lacks[1]), row)]
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


def test_what_one_may_hand_out_now_is_told_by_name_and_why() -> None:
    old, new = VERSIONS["base"], VERSIONS["more to hand out"]
    found = compare(Enforcer(DEFINITION, old, 0), Enforcer(DEFINITION, new, 0), WHO)
    [change] = [
        change
        for change in found.changes
        if (change.resource, change.operation) == (Resource.USER, Operation.DELETE)
    ]
    assert change.case.name == (
        "organization, not (meets(r.obj.rules, r.sub.lacks)),"
        " meets(r.obj.rules, ('task:organization:view',))"
    )
    assert [cause.text for cause in change.causes] == [TASKS]
