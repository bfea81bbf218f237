"""Whoever asks the policy gets one answer: requests, lists, explanations, tests, replay, shadow.

Random databases and policies, with lines that fail among them; rows of other tables too.
"""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from tests.authz.one_version import EXAMPLES, OneVersion
from tests.authz.random_world import World, make_lines, make_world
from tests.authz.test_engine_properties import MODELS
from v6srv import db
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.decision_log import stamp
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS as MODELS_OF
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.shadow import Shadow
from v6srv.authz.source.model_conf import define
from v6srv.errors import Denied
from v6srv.model import Organization, Rule
from v6srv.policy import ask
from v6srv.policy.audit.replay import replay
from v6srv.policy.explain.explanation import explain
from v6srv.policy.testing.files import Case
from v6srv.policy.testing.run import outcome, passes
from v6srv.policy.who import abilities
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FAILING = (
    "timeMatch('never', 'ever')",
    "r.obj.id == 1 || timeMatch('never', 'ever')",
    "!(r.obj.id == 1 && timeMatch('never', 'ever'))",
)
"""What raises when it is asked; Python does not always get there."""


def _enforcer(chance: random.Random, model: str) -> Enforcer:
    lines = make_lines(chance)
    if chance.random() < 0.3:
        subject = chance.choice(("kind:user", "kind:node", "role:a"))
        effect = chance.choice(("allow", "deny"))
        values = (subject, "*", "global", "*", chance.choice(FAILING), effect)
        lines.append(Line("p", values, "failing:1"))
    return Enforcer(define(model), lines, 0)


class _Everybody:
    """All who ask one version of the policy."""

    def __init__(self, enforcer: Enforcer) -> None:
        self.enforcer = enforcer
        store = OneVersion(enforcer, shadow=enforcer)
        self.shadow = Shadow(store)
        self.authz = Authorizer(store, shadow=self.shadow)

    def of_row(self, question: Question, row: Any, facts: Any) -> dict[str, bool]:
        """What each says about one row."""
        who, resource, operation = question.who, question.resource, question.operation
        foreign = question.table is not MODELS_OF.get(resource)
        thing = ask.row(resource, row.id, Resource.ORGANIZATION if foreign else None)
        said = {
            "decide": self.authz.decide(who, resource, operation, row).allowed,
            "fetch": self._fetched(question),
            "answer in SQL": self.enforcer.answer(question).allowed,
            "answer by facts": self.enforcer.answer(question, thing.facts).allowed,
            "explain": explain(self.enforcer, who, operation, thing).allowed,
            "who": abilities.Poll(self.enforcer, operation, thing).allows(who),
        }
        said["replay"] = self._replayed(question, said["decide"])
        if not foreign:
            found = abilities.allowed_rows(self.enforcer, who, resource, operation)
            said |= {
                "list": row.id in self._listed(who, resource, operation),
                "what": row.id in found.ids,
                "test": self._tested(who, resource, operation, facts),
            }
        assert self.shadow.disagreements.count == 0
        return said

    def _fetched(self, question: Question) -> bool:
        asked = question.who, question.resource, question.operation
        try:
            self.authz.fetch(*asked, question.row, on=question.table)  # type: ignore[arg-type]
        except Denied:
            return False
        return True

    def _listed(self, who: Principal, resource: Resource, operation: Operation) -> set[int]:
        try:
            rows = self.authz.allowed_rows(who, resource, operation)
        except Denied:
            return set()
        return {row.id for row in db.session.scalars(rows.select, rows.parameters)}

    def _replayed(self, question: Question, allowed: bool) -> bool:
        effect = Effect.ALLOW if allowed else Effect.DENY
        record = {**question.record(), "effect": effect.value, "time": stamp(NOW), "id": "x"}
        found = replay([record], self.enforcer)
        assert (found.asked, found.unknown, found.gone) == (1, 0, 0)
        return allowed if not found.disagreements else not allowed

    def _tested(
        self, who: Principal, resource: Resource, operation: Operation, row: Any, **rule: Any
    ) -> bool:
        case = Case(
            suite="",
            name="",
            origin="",
            subject=who.facts,
            resource=resource,
            operation=operation,
            row=row,
            scope=rule.get("scope"),
            at=NOW,
            expected=Effect.ALLOW,
            because=None,
        )
        allowed = outcome(self.enforcer, case).found is Effect.ALLOW
        assert passes(self.enforcer, case) is allowed
        return allowed

    def of_rule(self, who: Principal, rule: Rule) -> dict[str, bool]:
        """What each says about handing out a rule."""
        resource, operation = Resource(rule.name), rule.operation
        key = (rule.name, rule.scope.value, operation.value)
        question = Question(Form.HAND_OUT, who, resource, operation, rules=(key,))
        said = {
            "hand out": not self.authz.may_hand_out(who, [rule]),
            "answer": self.enforcer.answer(question).allowed,
            "test": self._tested(who, resource, operation, None, scope=rule.scope),
        }
        said["replay"] = self._replayed(question, said["hand out"])
        assert self.shadow.disagreements.count == 0
        return said


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@EXAMPLES
@given(seed=st.integers(0, 2**32))
def test_all_who_ask_get_the_same_answer(session: Session, model: str, seed: int) -> None:
    chance = random.Random(seed)
    world = make_world(chance, session)
    try:
        asked = _Everybody(_enforcer(chance, model))
        _compare(world, asked, chance.choice(world.principals), chance)
    finally:
        session.rollback()


def _compare(world: World, asked: _Everybody, who: Principal, chance: random.Random) -> None:
    own = [(resource, row) for resource, rows in world.rows.items() for row in rows]
    others = [(resource, row) for resource in Resource for row in world.rows[Resource.ORGANIZATION]]
    for resource, row in [*chance.sample(own, 4), *chance.sample(others, 2)]:
        operation = chance.choice(tuple(Operation))
        table, id = type(row), row.id  # type: ignore[attr-defined]
        question = Question(Form.ROW, who, resource, operation, table, id)  # type: ignore[arg-type]
        said = asked.of_row(question, row, world.facts.get((resource, id)))
        assert len({*said.values()}) == 1, (question, said)
        rule = Rule(name=resource.value, scope=chance.choice(tuple(Scope)), operation=operation)
        said = asked.of_rule(who, rule)
        assert len({*said.values()}) == 1, (who, rule.name, rule.scope, operation, said)


WHO = Principal(PrincipalKind.USER, 7, 3, frozenset({1}), ("role:a",))


def test_what_fails_denies_whoever_asks(session: Session) -> None:
    """Even where the row makes what fails unimportant: a database would be given its value."""
    line = Line("p", ("role:a", "organization", "global", "view", FAILING[1], "allow"), "x:1")
    asked = _Everybody(Enforcer(define(MODELS["shipped"]), [line], 0))
    first = Organization(id=1, name="first")
    session.add(first)
    session.flush()
    question = Question(Form.ROW, WHO, Resource.ORGANIZATION, Operation.VIEW, Organization, 1)
    said = asked.of_row(question, first, ask.row(Resource.ORGANIZATION, 1).facts)
    assert {*said.values()} == {False}, said
    session.rollback()


def test_handing_out_is_denied_when_it_fails() -> None:
    """And is no error of the server."""
    shipped = define(MODELS["shipped"])
    m2 = f"timeMatch('never', 'ever') && ({shipped.matchers['m2']})"
    failing = replace(shipped, matchers={**shipped.matchers, "m2": m2})
    line = Line("p", ("role:a", "task", "global", "view", "True", "allow"), "x:1")
    asked = _Everybody(Enforcer(failing, [line], 0))
    rule = Rule(name="task", scope=Scope.GLOBAL, operation=Operation.VIEW)
    assert asked.of_rule(WHO, rule) == dict.fromkeys(
        ("hand out", "answer", "test", "replay"), False
    )


def test_an_answer_names_the_lines_that_made_it(session: Session) -> None:
    texts = (
        ("role:a", "organization", "global", "view", "r.obj.id == 1", "allow"),
        ("role:a", "organization", "global", "view", "r.obj.id in (1, 2)", "allow"),
        ("kind:user", "organization", "global", "view", "r.obj.id == 2", "deny"),
        ("role:a", "task", "global", "view", "True", "allow"),
        ("role:a", "node", "global", "view", "r.obj.status == 'online'", "allow"),
        ("role:a", "node", "global", "view", "r.obj.id == 1", "allow"),
    )
    lines = [Line("p", values, f"x:{number}") for number, values in enumerate(texts, 1)]
    enforcer = Enforcer(define(MODELS["shipped"]), lines, 0)
    session.add_all([Organization(id=id, name=f"o{id}") for id in (1, 2, 3)])
    session.flush()
    table = Question(Form.ROW, WHO, Resource.ORGANIZATION, Operation.VIEW, Organization, 1)

    def origins(question: Question) -> list[str]:
        stored = enforcer.answer(question)
        places = [rest.line.origin for rest in stored.lines]
        if question.form is Form.ROW:
            facts = ask.row(question.resource, question.row or 0, Resource.ORGANIZATION).facts
            by_facts = enforcer.answer(question, facts)
            assert by_facts.allowed is stored.allowed
            assert [rest.line.origin for rest in by_facts.lines] == places
        return places

    assert origins(table) == ["x:1", "x:2"]
    assert origins(replace(table, row=2)) == ["x:3"]
    assert origins(replace(table, row=3)) == []
    # Of an organization nobody can ask for the status.
    assert origins(replace(table, resource=Resource.NODE)) == ["x:6"]
    assert origins(replace(table, form=Form.ROWS, table=None, row=None)) == ["x:1", "x:2"]
    whole = Question(Form.WHOLE, WHO, Resource.TASK, Operation.VIEW)
    assert origins(whole) == ["x:4"]
    handed = Question(
        Form.HAND_OUT,
        WHO,
        Resource.TASK,
        Operation.VIEW,
        rules=(("task", "global", "view"),),
    )
    assert origins(handed) == ["x:4"]
    session.rollback()
