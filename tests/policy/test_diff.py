"""Diff: exactly the decisions that change, for whom, in which cases and because of which lines."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from types import CodeType
from typing import Any

import pytest

from tests.examples import examples
from tests.policy import brute_force
from tests.policy.brute_force import PRINCIPALS, Stock, facts_of
from tests.policy.mutations import KINDS, RICHER, line, mutated
from v6srv.authz.definition import Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import FUNCTIONS
from v6srv.authz.line import Line
from v6srv.authz.rules import DECLARED
from v6srv.authz.source.load import read_folder
from v6srv.authz.source.model_conf import define
from v6srv.policy.diff.compare import Change, Kind, PolicyDiff, compare
from v6srv.vocabulary import Operation, Resource

DEFINITION = define(brute_force.MODEL.read_text())
SHIPPED = [
    # What one lacks has tests of its own: `test_diff_lacks.py`.
    *(one for one in read_folder(brute_force.MODEL.parent)[1] if ".lacks" not in str(one)),
    line("p, role:12, task, own, view, True, allow", "db:role:12"),
]
RICH = [*SHIPPED, *(line(text, f"richer.csv:{at}") for at, text in enumerate(RICHER, 1))]


def _enforcer(lines: list[Line], definition: Definition = DEFINITION) -> Enforcer:
    return Enforcer(definition, lines, 0)


# --- every decision, against stock Casbin


SEEDS = range(examples(3))
BASES = pytest.mark.parametrize("base", [SHIPPED, RICH], ids=["shipped", "richer"])


def _mutations(base: list[Line], seed: int) -> Iterator[tuple[str, list[Line]]]:
    chance = random.Random(f"{seed} {len(base)}")
    for _ in range(10):
        yield mutated(chance, base)


@pytest.mark.parametrize("seed", SEEDS)
@BASES
def test_changes_are_exactly_those_that_stock_casbin_makes(base: list[Line], seed: int) -> None:
    """Ten random mutations. Both ways: nothing missed, nothing made up.

    `make soak` tries more (V6SRV_TEST_EXAMPLES).
    """
    old = _enforcer(base)
    before = Stock(base)
    for name, lines in _mutations(base, seed):
        found = compare(old, _enforcer(lines), PRINCIPALS)
        _check(found, before, Stock(lines), f"{name}: {_difference(base, lines)}")


@BASES
def test_the_mutations_are_of_every_kind(base: list[Line]) -> None:
    """Those of more seeds than are tried each time: making them costs nothing."""
    seen = Counter(name for seed in range(examples(5)) for name, _ in _mutations(base, seed))
    assert seen.keys() == KINDS
    assert min(seen.values()) > 1


@pytest.mark.parametrize(
    "condition",
    [
        "r.obj.id == r.obj.id",
        "r.obj.parent != r.obj.parent",
        "r.obj.id == r.obj.run",
        "r.obj.id != r.obj.run && r.obj.run == 4",
        "r.obj.parent == r.obj.org",
        "r.obj.parent != r.obj.org && r.obj.org != r.sub.org",
        "r.obj.id in (r.obj.run, 6)",
        "r.obj.id == r.obj.run && r.sub.org in r.obj.orgs",
        "!(r.obj.run == r.obj.id || r.obj.parent == r.obj.org)",
    ],
)
@pytest.mark.parametrize("effect", ["allow", "deny"])
def test_facts_of_a_row_are_compared_with_each_other(condition: str, effect: str) -> None:
    """As stock Casbin decides on every row; absent facts are equal to each other."""
    added = [line(f"p, kind:user, task, global, view, {condition}, {effect}", "local.csv:1")]
    added += [line(f"p, role:viewer, task, own, delete, {condition}, {effect}", "local.csv:2")]
    for old, new in ((SHIPPED, [*SHIPPED, *added]), ([*SHIPPED, *added], SHIPPED)):
        found = compare(_enforcer(old), _enforcer(new), PRINCIPALS)
        _check(found, Stock(old), Stock(new), condition)


@pytest.mark.parametrize(
    ("resource", "condition", "seen"),
    [
        ("organization", "r.obj.id == r.obj.org", ["every row"]),  # an organization is its own
        ("organization", "r.obj.id != r.obj.org", []),
        ("organization", "r.obj.country == r.obj.domain", ["r.obj.country == r.obj.domain"]),
        ("collaboration", "r.obj.org == r.obj.id", []),  # it has none
        ("user", "r.obj.org == r.obj.id", ["r.obj.org == r.obj.id"]),
        ("role", "r.obj.id == r.obj.org", ["not own, r.obj.id == r.obj.org"]),
        (
            "task",
            "r.obj.image == r.obj.database && r.obj.image == 'a'",
            ["r.obj.image == 'a', r.obj.image == r.obj.database"],
        ),
        (
            "task",
            "r.obj.run == r.obj.parent && r.obj.parent == r.obj.run",
            ["r.obj.parent == r.obj.run"],  # the other way round is the same
        ),
    ],
)
def test_facts_that_depend_on_each_other(resource: str, condition: str, seen: list[str]) -> None:
    new = [*SHIPPED, line(f"p, user:17, {resource}, global, view, {condition}, allow", "x.csv:1")]
    found = compare(_enforcer(SHIPPED), _enforcer(new), PRINCIPALS)
    assert [change.case.name for change in found.changes if not change.hand_out] == seen


def _difference(old: list[Line], new: list[Line]) -> str:
    gone = {str(one) for one in old} - {str(one) for one in new}
    come = {str(one) for one in new} - {str(one) for one in old}
    return f"-{sorted(gone)} +{sorted(come)}"


def _check(found: PolicyDiff, before: Stock, after: Stock, said: str) -> None:
    changes: dict[Any, list[Change]] = {}
    for change in found.changes:
        for name in change.principals:
            key = (name, change.resource, change.operation, change.hand_out)
            changes.setdefault(key, []).append(change)
    for who in PRINCIPALS:
        for resource in Resource:
            for operation in Operation:
                reported = changes.get((who.subject, resource, operation, False), [])
                _check_rows(who, resource, operation, reported, before, after, said)
        _check_hand_outs(who, changes, before, after, said)


def _check_rows(who, resource, operation, reported, before, after, said) -> None:  # type: ignore[no-untyped-def]
    lines = [one.matching(who, resource, operation) for one in (before, after)]
    if lines[0] == lines[1]:
        assert not reported, (said, who.subject, reported)
        return
    facts = facts_of([*lines[0], *lines[1]])
    rows = brute_force.rows(who, resource, operation, facts)
    old = before.decisions(who, resource, operation, rows, facts)
    new = after.decisions(who, resource, operation, rows, facts)
    seen: set[int] = set()
    for (subject, row), was, becomes in zip(rows, old, new, strict=True):
        inside = [change for change in reported if _holds(change, subject, row)]
        kinds = [change.kind for change in inside]
        expected = [] if was == becomes else [Kind.GAINED if becomes else Kind.LOST]
        assert kinds == expected, (said, who.subject, operation, row, subject.changes, reported)
        seen |= set(map(id, inside))
    made_up = [str(change) for change in reported if id(change) not in seen]
    assert not made_up, (said, who.subject, made_up)


def _holds(change: Change, subject: object, row: object) -> bool:
    known = {"sub": subject, "obj": row, **FUNCTIONS}
    return all(eval(_code(text), known) is wanted for text, wanted in change.case.conditions)


@cache
def _code(text: str) -> CodeType:
    return compile(text.replace("r.sub.", "sub.").replace("r.obj.", "obj."), text, "eval")


def _check_hand_outs(  # type: ignore[no-untyped-def]
    who, changes: Mapping[Any, list[Change]], before: Stock, after: Stock, said: str
) -> None:
    for rule in DECLARED:
        was, becomes = (stock.may_hand_out(who, *rule.key) for stock in (before, after))
        reported = changes.get((who.subject, rule.resource, rule.operation, True), [])
        kinds = [change.kind for change in reported if change.case.scope == rule.scope]
        expected = [] if was == becomes else [Kind.GAINED if becomes else Kind.LOST]
        assert kinds == expected, (said, who.subject, rule, reported)


def test_the_brute_force_leaves_out_only_lines_that_cannot_match() -> None:
    """With all lines at once, stock Casbin decides the same."""
    stock = Stock(RICH)
    chance, checked = random.Random(1), 0
    for who in PRINCIPALS:
        for resource, operation in (
            (Resource.TASK, Operation.VIEW),
            (Resource.USER, Operation.EDIT),
            (Resource.EVENT, Operation.CREATE),
        ):
            lines = stock.matching(who, resource, operation)
            rows = brute_force.rows(who, resource, operation, facts_of(lines))
            for subject, row in chance.sample(rows, min(4, len(rows))):
                few = stock.decide(lines, subject, row, operation.value)
                assert stock.decide(stock.lines, subject, row, operation.value) is few
                checked += 1
    assert checked > 60
