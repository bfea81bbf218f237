"""What a page offers is what the policy says to each of its questions, asked one by one.

Offers ask everything about a row in one statement, and nothing where the lines decide without it.
"""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.authz.one_version import EXAMPLES, OneVersion
from tests.authz.random_world import make_lines, make_world
from tests.authz.test_engine_properties import MODELS
from tests.authz.test_one_answer import FAILING
from tests.databases import Databases
from tests.support import counting, open_app
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS as MODELS_OF
from v6srv.authz.line import Line
from v6srv.authz.offers import Act, Offers, change
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.source.model_conf import define
from v6srv.db import session as current
from v6srv.errors import Denied
from v6srv.identity import principals
from v6srv.model import Organization
from v6srv.vocabulary import Operation, Resource

FIELDS = (
    *("name", "encrypted", "organization_ids", "public_key", "api_key", "username", "firstname"),
    *("email", "password", "sessions", "notifications", "roles", "rules", "status"),
)
OF_WHO_ASKS = (
    "meets(r.sub.changes, ('name', 'roles'))",
    "within(r.sub.changes, ('sessions',))",
    "r.sub.org == 1",
    "r.obj.id != r.sub.account && meets(r.sub.changes, ('email', 'name'))",
    "r.sub.account == 1 && timeMatch('_', '2020-01-01 00:00:00')",
    "r.sub.account == 1 && timeMatch('never', 'ever')",
    *FAILING,
)
"""What holds or not before any row is looked at, alone and beside what is asked of the row."""
ACTS = {
    **{str(operation): Act(operation) for operation in Operation},
    **{f"edit {name}": change(name) for name in FIELDS},
    "edit two": change("name", "email"),
    "edit nothing": Act(Operation.EDIT, frozenset()),
}
THERE = {
    f"{operation} {resource}": Act(operation, resource=resource)
    for resource in Resource
    for operation in Operation
}
"""What could be done at an organization."""


def _one_by_one(enforcer: Enforcer, who: Principal, row: Any, acts: dict[str, Act]) -> Any:
    said, [own] = {}, [one for one, model in MODELS_OF.items() if model is type(row)]
    for name, act in acts.items():
        changes = act.changes if act.operation is Operation.EDIT else frozenset[str]()
        about = act.resource or own, act.operation, type(row), row.id
        question = Question(Form.ROW, who, *about, lenient=True, changes=changes)
        said[name] = enforcer.answer(question).allowed
    return said


def _acts(row: Any) -> dict[str, Act]:
    return {**ACTS, **THERE} if isinstance(row, Organization) else ACTS


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_all_at_once_is_one_by_one(session: Session, model: str, seed: int) -> None:
    chance = random.Random(seed)
    world = make_world(chance, session)
    try:
        session.flush()
        enforcer = Enforcer(define(model), [*make_lines(chance), *_lines(chance)], 0)
        rows = [row for rows in world.rows.values() for row in rows]
        for who in chance.sample(world.principals, 2):
            may = Offers(OneVersion(enforcer), who)
            for row in chance.sample(rows, 3):
                acts = dict(chance.sample([*_acts(row).items()], 16))
                with counting() as statements:
                    found = may.acts(row, **acts)
                assert len(statements) <= 1
                assert found == _one_by_one(enforcer, who, row, acts), (who, row, seed)
    finally:
        session.rollback()


def _lines(chance: random.Random) -> Iterator[Line]:
    for number in range(chance.randint(1, 6)):
        subject = chance.choice(("kind:user", "kind:node", "role:a"))
        operation = chance.choice(("edit", "*"))
        condition, effect = chance.choice(OF_WHO_ASKS), chance.choice(("allow", "deny"))
        yield Line("p", (subject, "*", "global", operation, condition, effect), f"more:{number}")


def test_everybody_of_the_world_is_offered_what_is_allowed_then(databases: Databases) -> None:
    """By the shipped policy: every user, every row, everything that could be done with it."""
    with open_app(databases, "sqlite", with_world=True) as (app, _), app.app_context():
        authz = app.extensions["authz"]
        models = [model for model in MODELS_OF.values() if hasattr(model, "id")]
        rows = [row for model in models for row in current.scalars(select(model).limit(3))]
        everyone = [known.principal for known in principals.everyone()]
        assert len(rows) > 20
        assert len(everyone) > 8
        offered = 0
        for who in everyone:
            may = Offers(authz.store, who)
            for row in rows:
                acts = _acts(row)
                found = may.acts(row, **acts)
                assert found == _one_by_one(authz.policy, who, row, acts), (who, row)
                for name in ("delete", *(f"edit {field}" for field in FIELDS)):
                    assert found[name] is _is_done(authz, who, row, acts[name]), (who, row, name)
                offered += sum(found.values())
            _compare_lists(may, rows)
        assert offered > 1_000


def _is_done(authz: Authorizer, who: Principal, row: Any, act: Act) -> bool:
    try:
        authz.require(who, act.operation, row, act.changes or frozenset())
    except Denied:
        return False
    return True


def _compare_lists(may: Offers, rows: list[Any]) -> None:
    for model in {type(row) for row in rows}:
        alike = [row for row in rows if type(row) is model]
        for name, act in _acts(alike[0]).items():
            one_by_one = {row.id for row in alike if may.acts(row, it=act)["it"]}
            at_once = may.among(act.operation, alike, act.changes, act.resource)
            assert at_once == one_by_one, (model, name)
