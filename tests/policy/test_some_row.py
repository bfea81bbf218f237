"""Asking without a row: for which rows it is allowed, and what would allow it for some."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.authz.random_world import make_world, oracle
from tests.examples import examples
from tests.policy.test_explain import _random_policy, changed
from tests.world import World
from v6srv import db
from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.policy import ask as questions
from v6srv.policy.explain.explanation import Explanation, explain
from v6srv.policy.who import abilities
from v6srv.vocabulary import Operation, Scope

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


_SECRETS = "email or otp_confirmed or otp_secret or password or sessions"
NOBODYS = (
    "with the id {0}, if roles or rules is changed",
    "whose id is not {0}, if username is changed",
    "whose id is not {0} and with a role with a rule that one may not hand out,"
    f" if {_SECRETS} is changed",
    f"whose id is not {{0}} and with a rule that one may not hand out, if {_SECRETS} is changed",
    "with a rule that one may not hand out, if rules is changed",
    "with a role with a rule that one may not hand out, if roles is changed",
    "whose foreign_roles is true, if organization_id or roles is changed",
)
"""What nobody does with users, the own id given."""
WHERE_TASKS_START = "in collaborations of organization 2 and where no node refuses user:0"


@pytest.fixture
def opened(app: Flask, world: World) -> Iterator[World]:
    with app.app_context():
        yield world


@pytest.fixture
def policy(app: Flask, opened: World) -> Enforcer:
    return app.extensions["authz"].policy


def ask(policy: Enforcer, somebody: str, question: str, **more: Any) -> Explanation:
    """`somebody` as `--as` takes it: `role:viewer,org:2`."""
    operation, _, resource = question.partition(" ")
    principal = questions.made_up_principal(questions.description(somebody), None, policy.roles)
    thing = questions.thing(resource)
    return explain(policy, principal, Operation(operation), thing, **more)


@SQLITE
@pytest.mark.parametrize(
    ("somebody", "question", "rows"),
    [
        ("researcher, org:2", "create task", [WHERE_TASKS_START]),
        ("root, org:2", "create task", [WHERE_TASKS_START]),
        ("root, org:2", "view task", ["every task"]),
        ("viewer, org:2", "view node", ["of organization 2"]),
        ("viewer, org:2", "view collaboration", ["with organization 2 as a member"]),
        (
            '{"roles": ["viewer"], "org": 2, "collabs": [3, 5]}',
            "view organization",
            ["in collaborations 3, 5", "with the id 2"],
        ),
        ("viewer, org:2", "view role", ["of organization 2, or default roles"]),
        ("viewer, org:2", "view event", ["for organization 2"]),
        (
            "collab_admin",
            "edit user",
            ["every user, but not " + "; nor ".join(NOBODYS).format(0)],
        ),
        (
            '{"kind": "node", "org": 2, "id": 4, "collabs": [1]}',
            "edit node",
            ["of organization 2 and with the id 4, if nothing but config, ip is changed"],
        ),
        (
            '{"roles": ["org_admin"], "org": 2, "id": 9}',
            "edit user",
            [
                "of organization 2, but not " + "; nor ".join(NOBODYS).format(9),
                "owned by user:9, but not " + "; nor ".join(NOBODYS).format(9),
            ],
        ),
        (
            '{"roles": ["org_admin"], "org": 2, "id": 9}',
            "delete role",
            [
                "of organization 2, or default roles and whose default is not true"
                " and without a rule that one may not hand out",
            ],
        ),
        (
            "root, org:2",
            "delete role",
            ["whose default is not true"],
        ),
        (
            '{"kind": "node", "org": 2, "id": 4, "collabs": [1]}',
            "edit result",
            ["in collaboration 1 and whose org is 2"],
        ),
        (
            '{"kind": "container", "org": 2, "id": 4, "collabs": [1], "task": 7, "image": "x:1"}',
            "create task",
            ["in collaboration 1 and whose image is 'x:1' and whose parent is 7"],
        ),
    ],
)
def test_it_says_for_which_rows(
    policy: Enforcer, somebody: str, question: str, rows: list[str]
) -> None:
    found = ask(policy, somebody, question)
    assert (found.allowed, found.some_row, list(found.rows)) == (True, True, rows)
    assert found.reason == "; or ".join(rows)
    assert found.fix is None
    assert found.decided_by


@SQLITE
@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("glob(r.obj.image, 'a/*')", "whose image matches 'a/*'"),
        ("!glob(r.obj.image, 'a/*')", "whose image does not match 'a/*'"),
        ("r.obj.org > 4", "whose org > 4"),
        ("r.obj.image in ('a', 'b')", "whose image is among {a, b}"),
        ("r.obj.parent == None", "whose parent is (none)"),
        ("r.obj.org == r.sub.org", "whose org is 2"),
        ("!(r.obj.org == r.sub.org)", "whose org is not 2"),
        ("within(r.obj.orgs, (2, 3))", "whose orgs are all among {2, 3}"),
        ("!(r.sub.org in r.obj.orgs)", "not in collaborations of organization 2"),
        ("!(3 in r.obj.collabs)", "not in collaboration 3"),
        ("r.obj.run == r.obj.parent", "whose run is its parent"),
        ("g(r.sub.id, 'role:some')", "every task"),
        ("timeMatch('2026-01-01', '2026-02-01')", "every task"),
    ],
)
def test_conditions_are_told_in_words(policy: Enforcer, condition: str, words: str) -> None:
    # Events are asked of facts, never in SQL: there conditions can say more.
    resource = "event" if " > " in condition or "within" in condition else "task"
    line = f"p, role:other, {resource}, global, delete, {condition}, allow"
    granted = changed(changed(policy, "g, role:other, role:some", ()), line, ())
    for at, allowed in (("2026-01-15", True), ("2026-03-01", "timeMatch" not in condition)):
        with clock.stopped(clock.read(at)):
            found = ask(granted, "other, org:2", f"delete {resource}")
        assert found.rows == ((words,) if allowed else ())


@SQLITE
def test_what_nothing_grants_is_mended_by_a_grant_and_no_shipped_line_is_taken_away(
    policy: Enforcer,
) -> None:
    found = ask(policy, "viewer, org:2", "create task")
    assert (found.allowed, found.rows) == (False, ())
    assert found.reason == "nothing grants user:0 to create task"
    assert found.fix is not None
    assert found.fix.denials == ()
    assert found.fix.grant is not None
    assert found.fix.grant.scope is Scope.ORGANIZATION
    assert found.fix.rule_scope is Scope.ORGANIZATION
    assert "role:researcher" in [role.subject for role in found.fix.roles]
    assert ask(changed(policy, found.fix.line, ()), "viewer, org:2", "create task").allowed


@SQLITE
def test_lines_that_forbid_it_for_every_row_are_named(policy: Enforcer) -> None:
    """Only those that are in the way: not a denial that leaves some rows."""
    denied = changed(policy, "p, role:researcher, task, global, create, True, deny", ())
    found = ask(denied, "researcher, org:2", "create task")
    assert (found.allowed, found.decided_by) == (False, ("added",))
    assert found.reason == "forbidden by added"
    assert found.fix is not None
    assert (found.fix.grant, found.fix.denials) == (None, ("added",))
    nobody = ask(policy, '{"roles": ["researcher"]}', "create task")
    assert not nobody.allowed


@SQLITE
def test_the_policy_itself_is_asked_for_as_a_whole(policy: Enforcer) -> None:
    found = ask(policy, "root", "view policy")
    assert (found.allowed, found.some_row, found.rows) == (True, False, ())
    assert found.reason.startswith("allowed by default_roles.csv:")


@SQLITE
def test_who_can_without_a_row_names_all_who_may_for_some(opened: World, policy: Enforcer) -> None:
    """Not nobody, because a row in no organization is forbidden; with the lines that grant it."""
    whole = questions.thing("task")
    found = abilities.who_can(policy, Operation.CREATE, whole)
    named = {one.subject for way in found.ways for one in way.principals}
    assert named == {
        one.subject
        for one in abilities.everyone(whole)
        if explain(policy, one, Operation.CREATE, whole).allowed
    }
    user = opened.user
    assert {f"user:{user.researcher}", f"user:{user.second_root}"} <= named
    assert not {f"user:{user.viewer}", f"user:{user.nobody}"} & named
    [line] = next(way.lines for way in found.ways if way.held == "role:researcher")
    assert line.line == "p, role:researcher, task, organization, create, True, allow"
    denied = changed(policy, "p, role:researcher, task, global, create, True, deny", ())
    left = abilities.who_can(denied, Operation.CREATE, whole)
    assert "role:researcher" not in [way.held for way in left.ways]
    assert left.users < found.users


def test_random_policies_allow_no_row_that_is_not_spoken_of(
    database_uri: str, tmp_path: Path
) -> None:
    """Against plain Python: who may for a row may for some row; and what is advised, works."""
    engine = db.connect(database_uri)
    db.Base.metadata.create_all(engine)
    seen: Counter[str] = Counter()
    try:
        for seed in range(examples(2)):
            chance = random.Random(seed)
            world = make_world(chance, db.session())
            db.session.flush()
            policy = _random_policy(chance, tmp_path)
            lines = [*policy.lines]
            for asking in chance.sample(world.principals, min(4, len(world.principals))):
                for resource, rows in world.rows.items():
                    for operation in Operation:
                        found = explain(policy, asking, operation, questions.whole(resource))
                        facts = [world.facts[resource, row.id] for row in rows]  # type: ignore[attr-defined]
                        some = any(oracle(asking, one, operation, lines) for one in facts)
                        assert found.allowed or not some, (seed, asking.subject, operation)
                        seen["allowed" if found.allowed else "denied"] += 1
                        seen["some"] += some
                        if found.some_row and not found.allowed:
                            assert found.fix is not None
                            mended = changed(policy, found.fix.line, found.fix.denials)
                            whole = questions.whole(resource)
                            assert explain(mended, asking, operation, whole).allowed
            db.session.rollback()
    finally:
        db.session.remove()
        engine.dispose()
    assert min(seen["allowed"], seen["denied"], seen["some"]) > 50, seen


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("role:viewer", {"roles": ["role:viewer"]}),
        ("role:11", {"roles": ["role:11"]}),
        ("11", {"roles": ["11"]}),
        (" viewer , org:3,rule:4", {"roles": ["viewer"], "org": 3, "rules": [4]}),
        ("kind:node, org:2", {"kind": "node", "org": 2}),
        ('{"org": 3}', {"org": 3}),
    ],
)
def test_principals_are_described_in_the_words_that_tools_print(
    text: str, description: dict[str, Any]
) -> None:
    assert questions.description(text) == description
