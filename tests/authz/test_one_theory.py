"""What lint calls impossible and what diff finds rows for is the same, for every table.

Both know the rows that there can be from the declarations of facts. Diff tells for one principal
exactly whether a row makes a condition true, and which; logic has to agree, and may only call
possible what diff does not when a term is beyond it.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.examples import examples
from tests.policy import brute_force
from tests.policy.test_cases import NOW
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import facts_of
from v6srv.authz.line import Line
from v6srv.authz.principal import SUBJECT_FACTS, Principal
from v6srv.authz.source.model_conf import define
from v6srv.authz.theory.knowledge import known_of
from v6srv.authz.theory.satisfiability import satisfiable
from v6srv.policy.diff.cases import Pair
from v6srv.vocabulary import Operation, PrincipalKind, Resource

DEFINITION = define(brute_force.MODEL.read_text())
WHO = [who for who in brute_force.PRINCIPALS if who.account_id in (11, 13, 16, 21)]
NUMBERS = ("1", "2", "9", "11", "21", "r.sub.org", "r.sub.account")
NAMES = ("'user:11'", "'user:99'", "'node:21'", "r.sub.id")
TEXTS = ("'harbor/a:1'", "'other/b'", "None", "r.sub.image")
PATTERNS = ("'harbor/*'", "'*:1'", "'other/?'")
REQUESTS = [(resource, Operation.VIEW) for resource in Resource]
REQUESTS += [(Resource.EVENT, Operation.CREATE), (Resource.USER, Operation.EDIT)]
REQUESTS += [(Resource.COLLABORATION, Operation.CREATE), (Resource.COLLABORATION, Operation.EDIT)]
REQUESTS += [(Resource.NODE, Operation.EDIT)]


def _atom(chance: random.Random, resource: Resource, operation: Operation) -> str:
    facts = facts_of(resource, operation)
    name = chance.choice([*facts, "org", "orgs", "collabs"])
    fact, value = facts[name], f"r.obj.{name}"
    if fact.is_set:
        members = NAMES if fact.of is str else NUMBERS
        some = ", ".join(chance.sample(members, 2))
        sets = [f"meets({value}, ({some}))", f"{chance.choice(members)} in {value}"]
        sets += [f"meets(r.sub.collabs, {value})"] * (name == "collabs")
        return chance.choice(sets)
    if fact.of is bool:
        return f"{value} {chance.choice(('==', '!='))} {chance.choice(('True', 'None'))}"
    if fact.of is str:
        if chance.random() < 0.5:
            return f"glob({value}, {chance.choice(PATTERNS)})"
        return f"{value} {chance.choice(('==', '!='))} {chance.choice(TEXTS)}"
    others = [f"r.obj.{n}" for n, f in facts.items() if f.type is int and n != name]
    if chance.random() < 0.2:
        return f"{value} in ({', '.join(chance.sample(NUMBERS, 2))})"
    other = chance.choice([*NUMBERS, *NUMBERS, "None", *others])
    return f"{value} {chance.choice(('==', '!='))} {other}"


def _condition(chance: random.Random, resource: Resource, operation: Operation) -> str:
    terms = []
    for _ in range(chance.randint(1, 5)):
        atom = _atom(chance, resource, operation)
        terms.append(f"!({atom})" if chance.random() < 0.4 else atom)
    if len(terms) > 3:
        return f"({terms[0]} || {terms[1]}) && {' && '.join(terms[2:])}"
    return " && ".join(terms)


def _rows(resource: Resource, operation: Operation, condition: str, who: Principal) -> Any:
    """Of diff: a row for which the condition is true, or None."""
    line = ("kind:" + who.kind.value, resource.value, "global", operation.value, condition, "allow")
    new, old = Enforcer(DEFINITION, [Line("p", line, "t:1")], 0), Enforcer(DEFINITION, [], 0)
    plans = [(one.plan(who.facts, resource, operation), one.program) for one in (old, new)]
    found = Pair(plans[0], plans[1], (resource, operation), [NOW]).found(who.facts)
    return found[0].example if found else None


def _known(who: Principal, resource: Resource, operation: Operation, *names: str) -> Any:
    program = Enforcer(DEFINITION, [], 0).program
    more = {f"r_sub.{name}": getattr(who.facts, name) for name in names}
    return known_of(program, who.kind, resource, operation, at=NOW, more=more)


def _cases(seed: int) -> Iterator[tuple[Principal, Resource, Operation, str]]:
    chance = random.Random(seed)
    for resource, operation in REQUESTS:
        for _ in range(10):
            yield chance.choice(WHO), resource, operation, _condition(chance, resource, operation)


def _beyond_logic(who: Principal, resource: Resource, operation: Operation) -> bool:
    """Where logic knows less than diff, and may call possible what diff finds no row for.

    Rows that are of one of two tables; default roles, which are in all organizations; containers,
    for which diff believes that their node is where their task is.
    """
    two_tables = resource is Resource.EVENT and operation is not Operation.VIEW
    return two_tables or resource is Resource.ROLE or who.kind is PrincipalKind.CONTAINER


@pytest.mark.parametrize("seed", range(examples(4)))
def test_logic_and_diff_know_the_same_rows(seed: int) -> None:
    program = Enforcer(DEFINITION, [], 0).program
    told = [name for name in SUBJECT_FACTS if name != "changes"]
    for who, resource, operation, condition in _cases(seed):
        tree = program.condition(condition)
        row = _rows(resource, operation, condition, who)
        possible = satisfiable(tree, _known(who, resource, operation, *told))
        said = (who.subject, operation.value, resource.value, condition, row)
        if row is None and _beyond_logic(who, resource, operation):
            continue
        assert possible is (row is not None), said
        if row is not None:  # and for those of whom only the kind is known
            assert satisfiable(tree, _known(who, resource, operation)), said


@pytest.mark.parametrize("seed", range(examples(2)))
def test_no_row_that_is_written_down_makes_the_impossible_true(seed: int) -> None:
    program = Enforcer(DEFINITION, [], 0).program
    for who, resource, operation, condition in _cases(seed):
        tree = program.condition(condition)
        if satisfiable(tree, _known(who, resource, operation)):
            continue
        function = program.function(ast.unparse(tree))
        asked = frozenset(brute_force.facts_of([["", resource, "", "", f"{condition} ", ""]]))
        for subject, row in brute_force.rows(who, resource, operation, asked):
            declared = facts_of(resource, operation).items()
            facts = {name: fact.absent for name, fact in declared} | vars(row)
            assert not function(subject, SimpleNamespace(**facts), operation.value), condition


@pytest.mark.parametrize(
    ("kind", "resource", "condition"),
    [
        ("user", "node", "r.obj.org == 3 && !(3 in r.obj.orgs)"),
        ("user", "organization", "r.obj.id == 3 && r.obj.org != 3"),
        ("user", "node", "1 in r.obj.collabs && 2 in r.obj.collabs"),
        ("user", "task", "r.sub.org in r.obj.orgs && !meets(r.sub.collabs, r.obj.collabs)"),
        ("user", "user", "'user:5' in r.obj.owners && r.obj.id != 5"),
        ("user", "user", "r.obj.id == r.sub.account && r.obj.org != r.sub.org"),
        ("node", "user", "r.obj.id == r.sub.account"),
        ("node", "node", "r.sub.id in r.obj.owners && !meets(r.sub.collabs, r.obj.collabs) && 1 in r.obj.collabs"),
        ("user", "policy", "3 in r.obj.orgs"),
        ("user", "event", "r.obj.org == 3 && !(3 in r.obj.orgs)"),
        ("user", "task", "glob(r.obj.image, 'a?*') && !glob(r.obj.image, '??') && !glob(r.obj.image, '???*')"),
    ],
)  # fmt: skip
def test_what_no_row_can_be_never_matches(kind: str, resource: str, condition: str) -> None:
    program = Enforcer(DEFINITION, [], 0).program
    tree = program.condition(condition)
    asked = (program, PrincipalKind(kind), Resource(resource), Operation.VIEW)
    assert not satisfiable(tree, known_of(*asked))
    by_itself = "glob" in condition or resource == "policy"
    assert satisfiable(tree, known_of(*asked, related=False)) is not by_itself


@pytest.mark.parametrize(
    ("kind", "resource", "operation", "condition"),
    [
        ("user", "collaboration", "edit", "r.sub.org in r.obj.orgs && !meets(r.sub.collabs, r.obj.collabs)"),
        ("user", "collaboration", "edit", "meets(r.sub.collabs, r.obj.collabs) && !(r.sub.org in r.obj.orgs) && r.sub.org != None"),
        ("user", "collaboration", "create", "r.sub.org in r.obj.orgs && !meets(r.sub.collabs, r.obj.collabs)"),
        ("node", "collaboration", "edit", "meets(r.sub.collabs, r.obj.collabs) && !(r.sub.org in r.obj.orgs) && r.sub.org != None"),
        ("node", "node", "edit", "r.obj.id == r.sub.account && r.obj.org != r.sub.org"),
        ("node", "node", "edit", "r.obj.id == r.sub.account && 1 in r.obj.collabs && !(1 in r.sub.collabs)"),
    ],
)  # fmt: skip
def test_a_row_is_decided_as_it_will_stand_and_a_principal_as_it_was(
    kind: str, resource: str, operation: str, condition: str
) -> None:
    program = Enforcer(DEFINITION, [], 0).program
    tree, who = program.condition(condition), PrincipalKind(kind)
    assert satisfiable(tree, known_of(program, who, Resource(resource), Operation(operation)))
    if kind == "user":  # and diff finds it: who publishes is asked whether it is meant
        outsider = next(who for who in brute_force.PRINCIPALS if who.account_id == 16)
        insider = next(who for who in brute_force.PRINCIPALS if who.account_id == 11)
        joins = condition.startswith("r.sub.org in")
        assert _rows(
            Resource(resource), Operation(operation), condition, outsider if joins else insider
        )
    # What is not being changed is as always.
    assert not satisfiable(tree, known_of(program, who, Resource(resource), Operation.DELETE))
