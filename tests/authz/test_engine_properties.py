"""The compiled policy says what stock Casbin says, and lists say what single decisions say.

Random databases, policies with denials and conditions, several models, SQLite and PostgreSQL.
"""

import random
from pathlib import Path

import casbin
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from tests.authz.one_version import EXAMPLES, OneVersion
from tests.authz.random_world import World, make_lines, make_world, oracle
from tests.stock_casbin import stock_enforcer
from v6srv import db
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.source.codes import (
    DENIES_NOTHING,
    NO_LIST_FORM,
    ROOT_LOCKED_OUT,
    STRANGERS_FOR_A_TIME,
    STRANGERS_LET_IN,
)
from v6srv.authz.source.load import build, examine
from v6srv.authz.source.model_conf import define
from v6srv.errors import Denied
from v6srv.vocabulary import Operation, PrincipalKind, Resource

SHIPPED = Path(__file__).parents[2] / "policies" / "model.conf"


def _replaced(*changes: tuple[str, str]) -> str:
    text = SHIPPED.read_text()
    for old, new in changes:
        assert old in text, f"the shipped model no longer says {old}"
        text = text.replace(old, new)
    return text


MODELS = {
    "shipped": SHIPPED.read_text(),
    "organization means the owning one": _replaced(
        ("r.sub.org in r.obj.orgs", "r.sub.org == r.obj.org")
    ),
    "allow only": _replaced(
        (
            "e = some(where (p.eft == allow)) && !some(where (p.eft == deny))",
            "e = some(where (p.eft == allow))",
        )
    ),
    "no index on resources": _replaced(
        (
            '(r.obj.type == p.res || p.res == "*") && (r.act',
            '(r.obj.type == p.res || p.res == "*" || r.obj.type == "port" && p.res == "result")'
            " && (r.act",
        )
    ),
    "no groups, kinds compared": _replaced(
        (
            "(g(r.sub.id, p.sub) || g(r.sub.kind, p.sub) || g(r.sub.group, p.sub)) && \\\n"
            '    (p.scope == "global"',
            '(g(r.sub.id, p.sub) || r.sub.kind == p.sub) && \\\n    (p.scope == "global"',
        )
    ),
    "negations in the matcher": _replaced(
        (
            'p.scope == "own" && r.sub.id in r.obj.owners)',
            'p.scope == "own" && !(r.sub.org in r.obj.orgs) && r.sub.id in r.obj.owners)',
        )
    ),
    "own includes the own organization": _replaced(
        (
            'p.scope == "own" && r.sub.id in r.obj.owners)',
            'p.scope == "own" && (r.sub.id in r.obj.owners || r.obj.org == r.sub.org))',
        )
    ),
}


def _enforcer(tmp: Path, model: str, lines: list[Line]) -> Enforcer | None:
    """Also of a policy that does harm; None where a line of one resource asks rows of another."""
    (tmp / "model.conf").write_text(model)
    enforcer, problems = examine(define((tmp / "model.conf").read_text()), (), lines)
    found = {problem.code for problem in problems}
    if NO_LIST_FORM in found and model == MODELS["no index on resources"]:
        return None
    harmful = {ROOT_LOCKED_OUT, STRANGERS_LET_IN, DENIES_NOTHING}
    assert found <= {*harmful, STRANGERS_FOR_A_TIME}
    return enforcer


def _stock(model: str, lines: list[Line], principals: list[Principal]) -> casbin.Enforcer:
    enforcer = stock_enforcer(model, lines)
    for who in principals:
        for role in who.roles:
            enforcer.add_grouping_policy(who.id, role)
    return enforcer


def _listed(
    authz: Authorizer, who: Principal, resource: Resource, operation: Operation
) -> set[int]:
    try:
        rows = authz.allowed_rows(who, resource, operation)
    except Denied:
        return set()
    return {row.id for row in db.session.scalars(rows.select, rows.parameters)}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_the_compiled_decision_is_the_stock_decision_and_the_list(
    session: Session, tmp_path: Path, model: str, seed: int
) -> None:
    """For every row: in the list, decided alone and decided by stock Casbin all agree."""
    chance = random.Random(seed)
    world = make_world(chance, session)
    try:
        lines = make_lines(chance)
        enforcer = _enforcer(tmp_path, model, lines)
        if enforcer is None:
            return
        authz = Authorizer(OneVersion(enforcer))
        stock = _stock(model, lines, world.principals)
        for who in chance.sample(world.principals, min(3, len(world.principals))):
            _compare(world, authz, stock, who, chance)
    finally:
        session.rollback()


def _compare(
    world: World,
    authz: Authorizer,
    stock: casbin.Enforcer,
    who: Principal,
    chance: random.Random,
) -> None:
    subject = who.facts
    for resource, rows in world.rows.items():
        operation = chance.choice(tuple(Operation))
        listed = _listed(authz, who, resource, operation)
        for row in rows:
            facts = world.facts[resource, row.id]  # type: ignore[attr-defined]
            expected, line = stock.enforce_ex(subject, facts, operation.value)
            case = (who.id, resource, operation, facts)
            assert authz.policy.enforce(subject, facts, operation.value) is expected, case
            if not authz.policy.definition.allow_only:  # stock names denials without effect there
                assert authz.policy.enforce_ex(subject, facts, operation.value) == (expected, line)
            assert authz.decide(who, resource, operation, row).allowed is expected, case  # type: ignore[arg-type]
            assert (row.id in listed) is expected, case  # type: ignore[attr-defined]
            in_memory = {k: v for k, v in vars(facts).items() if k != "type"}
            assert authz.decide_facts(who, resource, operation, in_memory) is expected, case


def test_a_condition_on_the_kind_of_row_and_the_operation_is_asked_each_time() -> None:
    """What is known for one question must not stay in the condition for the next one."""
    condition = "r.obj.type == 'node' && r.act != 'edit'"
    line = Line("p", ("user:77", "*", "global", "*", condition, "allow"), "more")
    enforcer = build(SHIPPED.parent, [line])
    authz = Authorizer(OneVersion(enforcer))
    who = Principal(PrincipalKind.USER, 77, 1, frozenset(), ())
    granted = {
        (resource, operation)
        for resource in (Resource.NODE, Resource.TASK, Resource.PORT)
        for operation in Operation
        if authz.decide_facts(who, resource, operation, {"id": 5})
    }
    assert granted == {(Resource.NODE, o) for o in Operation if o is not Operation.EDIT}


@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_the_list_is_what_a_plain_python_oracle_says(
    session: Session, tmp_path: Path, seed: int
) -> None:
    """Every resource, every operation, every principal, by an oracle that shares no code."""
    chance = random.Random(seed)
    world = make_world(chance, session)
    try:
        lines = make_lines(chance)
        enforcer = _enforcer(tmp_path, MODELS["shipped"], lines)
        if enforcer is None:
            return
        authz = Authorizer(OneVersion(enforcer))
        for who in world.principals:
            for resource, rows in world.rows.items():
                for operation in Operation:
                    expected = {
                        row.id  # type: ignore[attr-defined]
                        for row in rows
                        if oracle(who, world.facts[resource, row.id], operation, lines)  # type: ignore[attr-defined]
                    }
                    assert _listed(authz, who, resource, operation) == expected, (
                        who.id,
                        resource,
                        operation,
                    )
    finally:
        session.rollback()
