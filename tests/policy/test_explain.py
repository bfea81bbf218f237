"""Explanations are those of the decisions that are made, and what they advise works."""

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.authz.random_world import World as RandomWorld
from tests.authz.random_world import make_lines, make_world, oracle
from tests.examples import examples
from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz import clock
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.source.codes import DENIES_NOTHING, ROOT_LOCKED_OUT, STRANGERS_LET_IN
from v6srv.authz.source.lines import split
from v6srv.authz.source.load import examine
from v6srv.authz.source.model_conf import define
from v6srv.errors import Denied, NotFound
from v6srv.model import CasbinRule, Collaboration, Node, Organization, Task
from v6srv.model import Result as ResultRow
from v6srv.policy import ask as questions
from v6srv.policy.ask import Thing
from v6srv.policy.explain.explanation import Explanation, explain
from v6srv.policy.explain.remedy import Fix
from v6srv.vocabulary import Operation, Resource, Scope

MODEL = Path(__file__).parents[2] / "policies" / "model.conf"
SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

FOREIGN = (
    (Resource.EVENT, Operation.CREATE, Task),
    (Resource.EVENT, Operation.CREATE, Node),
    (Resource.NODE, Operation.VIEW, Organization),
    (Resource.TASK, Operation.VIEW, Collaboration),
    (Resource.PORT, Operation.CREATE, ResultRow),
)
"""Resources that endpoints decide on rows of another table."""

NAMES = {model: resource for resource, model in MODELS.items()}


@pytest.fixture
def opened(app: Flask, world: World) -> Iterator[World]:
    with app.app_context():
        yield world


@pytest.fixture
def policy(app: Flask, opened: World) -> Enforcer:
    return app.extensions["authz"].policy


def ask(policy: Enforcer, who: str, operation: str, row: str, **more: Any) -> Explanation:
    asked = questions.resource(more.pop("resource")) if "resource" in more else None
    thing = questions.thing(row, asked)
    return explain(policy, questions.principal(who), Operation(operation), thing, **more)


def decides(policy: Enforcer, who: Principal, operation: Operation, thing: Thing) -> bool:
    """The decision, without anything of what is tested here."""
    plan = policy.plan(who.facts, thing.resource, operation)
    return plan.decide(who.facts, thing.facts, operation.value)


@lru_cache(2000)
def changed(policy: Enforcer, added: str | None, removed: tuple[str, ...]) -> Enforcer:
    """The policy with one more line, and without those of these origins."""
    lines = [line for line in policy.lines if line.origin not in removed]
    if added is not None:
        ptype, *values = (value for value, _ in split(added))
        lines.append(Line(ptype, tuple(values), "added"))
    return Enforcer(policy.definition, lines, 0)


# --- the decision


def test_an_explanation_says_what_the_authorizer_decides(app: Flask, opened: World) -> None:
    """For real rows of every table, and several kinds of principals."""
    authz: Authorizer = app.extensions["authz"]
    user, node, task = opened.user, opened.node, opened.task
    people = [
        *(f"user:{id}" for id in (user.nobody, user.extra, user.org_admin, user.second_root)),
        f"node:{node.north_registry}",
        f"container:{task.running}",
    ]
    seen: Counter[bool] = Counter()
    for name in people:
        who = questions.principal(name)
        for resource, model in MODELS.items():
            for row in db.session.query(model).order_by(model.id).limit(6):
                for operation in Operation:
                    decision = authz.decide(who, resource, operation, row)
                    found = explain(authz.policy, who, operation, questions.row(resource, row.id))
                    assert found.allowed is decision.allowed, (name, operation, found.row)
                    assert found.policy == decision.policy
                    seen[found.allowed] += 1
    assert seen[True] > 100
    assert seen[False] > 300


@SQLITE
@pytest.mark.parametrize(
    "line",
    [
        "p, kind:user, node, global, view, r.obj.status == 'online', deny",
        "p, kind:user, node, global, view, r.obj.status == 'online' && r.sub.org in r.obj.orgs, deny",
        "p, kind:user, event, global, create, glob(r.obj.image, 'other/*'), allow",
        "p, kind:node, port, global, create, r.obj.status == 'active', deny",
        "p, kind:user, task, global, view, r.obj.image == 'x', allow",
    ],
)
def test_a_row_of_another_table_is_decided_as_by_fetch(
    app: Flask, opened: World, policy: Enforcer, line: str
) -> None:
    """Of a condition only facts count that the other table has."""
    authz: Authorizer = app.extensions["authz"]
    authz.store.live = changed(policy, line, ())
    people = [f"user:{id}" for id in (opened.user.viewer, opened.user.collab_admin)]
    people += [f"user:{opened.user.second_root}", f"node:{opened.node.north_registry}"]
    seen: Counter[bool] = Counter()
    for name in people:
        who = questions.principal(name)
        for resource, operation, model in FOREIGN:
            for row in db.session.query(model).order_by(model.id).limit(5).all():
                try:
                    authz.fetch(who, resource, operation, row.id, model)
                    allowed = True
                except (Denied, NotFound):
                    allowed = False
                thing = questions.row(resource, row.id, NAMES[model])
                found = explain(authz.policy, who, operation, thing)
                assert found.allowed is allowed, (name, resource, operation, thing.name)
                seen[allowed] += 1
    assert min(seen[True], seen[False]) > 10


def test_random_policies_are_explained_and_their_denials_mended(
    database_uri: str, tmp_path: Path
) -> None:
    """With denials, conditions and inheritance of all kinds, against plain Python."""
    engine = db.connect(database_uri)
    db.Base.metadata.create_all(engine)
    mended: Counter[str] = Counter()
    try:
        for seed in range(examples(2)):
            chance = random.Random(seed)
            world = make_world(chance, db.session())
            db.session.flush()
            mended.update(_explained(chance, world, _random_policy(chance, tmp_path)))
            db.session.rollback()
    finally:
        db.session.remove()
        engine.dispose()
    assert mended["line"] > 200
    assert mended["denial"] > 4


def _explained(chance: random.Random, world: RandomWorld, policy: Enforcer) -> Counter[str]:
    mended: Counter[str] = Counter()
    people = chance.sample(world.principals, min(4, len(world.principals)))
    for resource, rows in world.rows.items():
        for id in [row.id for row in rows]:  # type: ignore[attr-defined]
            thing = questions.row(resource, id)
            for who, operation in itertools.product(people, Operation):
                found = explain(policy, who, operation, thing)
                expected = oracle(who, world.facts[resource, id], operation, [*policy.lines])
                assert found.allowed is expected, (who, operation, thing.name)
                if not found.allowed:
                    mended.update(_mend(policy, who, operation, thing, found.fix))
    return mended


def _random_policy(chance: random.Random, folder: Path) -> Enforcer:
    (folder / "model.conf").write_text(MODEL.read_text())
    enforcer, problems = examine(
        define((folder / "model.conf").read_text()), (), make_lines(chance)
    )
    assert {one.code for one in problems} <= {
        ROOT_LOCKED_OUT,
        STRANGERS_LET_IN,
        DENIES_NOTHING,
    }
    assert enforcer is not None
    return enforcer


# --- what would help


@SQLITE
def test_for_every_denied_case_of_the_default_matrix_the_fix_works(
    opened: World, policy: Enforcer
) -> None:
    """Each default role, a node and a container; each resource and operation; near and far rows.

    Of a fix each way is tried by itself: the line added, the rule granted, each role given; and
    every line that it says is in the way is needed, and no narrower scope would have done.
    """
    org, collab = opened.org, opened.collab
    roles = ("root", "container", "node", "viewer", "researcher", "org_admin", "collab_admin")
    user = {"id": opened.user.nobody, "org": org.north}
    people = [questions.made_up_principal({**user, "roles": [role]}) for role in roles]
    people.append(questions.principal(f"node:{opened.node.north_registry}"))
    people.append(questions.principal(f"container:{opened.task.running}"))
    counts: Counter[str] = Counter()
    for who in people:
        rows = {
            "own": {"owners": [who.id], "org": org.north, "orgs": [org.north], "collabs": [1]},
            "organization": {"org": org.north, "orgs": [org.north], "collabs": [collab.registry]},
            "collaboration": {"org": org.south, "orgs": [org.south], "collabs": [collab.registry]},
            "elsewhere": {"org": org.east, "orgs": [org.east], "collabs": []},
        }
        for resource in Resource:
            for facts in rows.values():
                thing = questions.made_up_row(resource, {"id": 900, **facts})
                for operation in Operation:
                    counts["cases"] += 1
                    found = explain(policy, who, operation, thing)
                    assert found.allowed is decides(policy, who, operation, thing)
                    if not found.allowed:
                        counts["denied"] += 1
                        counts.update(_mend(policy, who, operation, thing, found.fix))
    assert counts["cases"] == 9 * 11 * 4 * 4
    assert counts["denied"] > 1000
    assert counts["line"] + counts["only denials"] == counts["denied"]
    assert counts["rule"] > 500
    assert counts["role"] > 1000
    assert counts["denial"] >= 30


def _mend(
    policy: Enforcer, who: Principal, operation: Operation, thing: Thing, fix: Fix | None
) -> Counter[str]:
    """Apply each way of a fix; assert that it flips the decision. Returns what was tried."""
    assert fix is not None
    without = changed(policy, None, fix.denials)
    tried: Counter[str] = Counter()

    def flips(policy: Enforcer, who: Principal) -> None:
        assert decides(policy, who, operation, thing), (who.subject, operation, thing.name, fix)

    if fix.grant is None:
        assert fix.denials
        flips(without, who)
        tried["only denials"] += 1
    else:
        assert fix.line is not None
        assert not decides(without, who, operation, thing)
        flips(changed(without, fix.line, ()), who)
        tried["line"] += 1
        for scope in Scope:
            if scope is fix.grant.scope:
                break
            narrower = fix.line.replace(f", {fix.grant.scope}, ", f", {scope}, ")
            assert not decides(changed(without, narrower, ()), who, operation, thing)
    if fix.rule is not None:
        flips(without, replace(who, roles=(*who.roles, f"rule:{fix.rule}")))
        tried["rule"] += 1
    for role in fix.roles:
        flips(without, replace(who, roles=(*who.roles, role.subject)))
        tried["role"] += 1
    for origin in fix.denials:
        others = tuple(other for other in fix.denials if other != origin)
        left = changed(policy, fix.line, others)
        assert not decides(left, who, operation, thing), "this line was not in the way"
        tried["denial"] += 1
    return tried


def test_the_rule_that_is_named_can_be_given(world: World, call: Caller) -> None:
    """From the refusal of a request to one that is granted, over REST alone."""
    task, user = f"/task/{world.task.running}", f"/user/{world.user.nobody}"
    assert call("nobody", "GET", task).status_code == 403
    query = {
        "principal": f"user:{world.user.nobody}",
        "operation": "view",
        "resource": "task",
        "id": world.task.running,
    }
    fix = call("root", "GET", "/policy/explain", query=query).json["fix"]
    narrowest = {"resource": "task", "scope": "own_organization", "operation": "view"}
    assert fix["grant"] == narrowest  # which no rule of 3.x is
    assert fix["rule"] == world.rule["task", "ORGANIZATION", "VIEW"]
    assert call("root", "PATCH", user, json={"rules": [fix["rule"]]}).status_code == 200
    assert call("nobody", "GET", task).status_code == 200
    assert call("root", "GET", "/policy/explain", query=query).json["allowed"] is True


@SQLITE
def test_roles_that_could_be_given_are_named_least_powerful_first(
    opened: World, policy: Enforcer
) -> None:
    """Custom ones of the own organization among them; none that forbids it otherwise."""
    found = ask(policy, f"user:{opened.user.nobody}", "view", f"task:{opened.task.running}")
    assert found.fix is not None
    assert [role.subject for role in found.fix.roles] == [
        f"role:{opened.role.analysts}",
        "role:viewer",
        "role:researcher",
        "role:org_admin",
        "role:collab_admin",
        "role:root",
        "role:node",
    ]
    elsewhere = ask(policy, f"user:{opened.user.nobody}", "edit", f"user:{opened.user.analyst}")
    assert elsewhere.fix is not None
    assert f"role:{opened.role.helpers}" not in [role.subject for role in elsewhere.fix.roles]


@SQLITE
def test_a_role_that_a_condition_asks_about_is_not_advised(opened: World, policy: Enforcer) -> None:
    """A denial can look at the roles that somebody would then have."""
    line = "p, kind:user, task, global, view, 'role:viewer' in r.sub.roles, deny"
    who, row = f"user:{opened.user.nobody}", f"task:{opened.task.running}"
    found = ask(changed(policy, line, ()), who, "view", row)
    assert found.fix is not None
    subjects = [role.subject for role in found.fix.roles]
    assert "role:viewer" not in subjects
    assert "role:researcher" in subjects


# --- the lines


@SQLITE
def test_an_allowance_names_the_line_that_gives_it(opened: World, policy: Enforcer) -> None:
    found = ask(policy, f"user:{opened.user.viewer}", "view", f"task:{opened.task.running}")
    [line] = found.lines
    assert (found.allowed, found.fix, found.nearest) == (True, None, None)
    assert line.line == "p, role:viewer, task, organization, view, True, allow"
    assert line.origin.startswith("default_roles.csv:")
    assert found.decided_by == (line.origin,)
    assert line.remaining == "r.sub.org in r.obj.orgs"
    assert [term.words for term in line.terms] == [
        f"organization {opened.org.north} is among {{{opened.org.north}, {opened.org.south}}}"
    ]
    assert found.principal["roles"] == ["role:viewer"]
    assert found.principal["inherits"] == ["role:everyone", "role:viewer"]
    assert found.facts["owners"] == [f"user:{opened.user.researcher}"]


@SQLITE
def test_a_denial_names_what_is_nearest(opened: World, policy: Enforcer) -> None:
    found = ask(policy, f"user:{opened.user.viewer}", "view", f"task:{opened.task.waiting}")
    mine = [line for line in found.lines if line.held]
    assert not found.allowed
    assert found.decided_by == ()
    assert [(line.matched, line.failing) for line in mine] == [(False, 1)]
    others = {line.line: line.matched for line in found.lines if not line.held}
    assert others["p, role:root, *, global, *, True, allow"]
    assert not others[f"p, role:{opened.role.analysts}, task, organization, view, True, allow"]
    nearest = next(line for line in found.lines if line.origin == found.nearest)
    assert nearest.line == "p, role:root, *, global, *, True, allow"
    assert found.fix is not None
    assert found.fix.grant is not None
    assert found.fix.grant.scope is Scope.GLOBAL


@SQLITE
def test_of_equally_near_lines_the_narrowest_is_named(opened: World, policy: Enforcer) -> None:
    found = ask(policy, f"user:{opened.user.viewer}", "edit", f"user:{opened.user.analyst}")
    nearest = next(line for line in found.lines if line.origin == found.nearest)
    assert nearest.line == "p, role:org_admin, user, organization, edit, True, allow"


@SQLITE
def test_a_line_that_forbids_wins_and_is_named(opened: World, policy: Enforcer) -> None:
    """Root would be granted everything, but for one line."""
    found = ask(policy, f"user:{opened.user.second_root}", "create", f"task:{opened.task.waiting}")
    [won] = [line for line in found.lines if line.origin in found.decided_by]
    assert not found.allowed
    assert "deny" in won.line
    assert found.reason == f"forbidden by {won.origin}"
    assert found.fix == Fix(None, None, None, None, (), (won.origin,))
    assert all(line.held for line in found.lines)


@SQLITE
def test_what_an_edit_changes_is_a_fact(opened: World, policy: Enforcer) -> None:
    node = opened.node.north_registry
    for fields, allowed in (({"ip"}, True), ({"name"}, False), (set(), True)):
        found = ask(policy, f"node:{node}", "edit", f"node:{node}", changes=frozenset(fields))
        assert found.allowed is allowed
        assert found.principal["changes"] == sorted(fields)


@SQLITE
def test_a_line_of_the_database_is_named_by_its_row(
    app: Flask, opened: World, policy: Enforcer
) -> None:
    fields = {"v1": "task", "v2": "global", "v3": "view", "v4": "True", "v5": "deny"}
    row = CasbinRule(ptype="p", v0=f"user:{opened.user.viewer}", **fields)
    db.session.add(row)
    db.session.commit()
    store = app.extensions["authz"].store
    assert take_up(store)
    found = ask(store.live, f"user:{opened.user.viewer}", "view", f"task:{opened.task.running}")
    assert found.decided_by == (f"db:casbin_rule:{row.id}",)
    assert found.fix is not None
    assert found.fix.denials == (f"db:casbin_rule:{row.id}",)


@SQLITE
def test_a_condition_that_fails_denies_and_says_so(opened: World, policy: Enforcer) -> None:
    line = "p, kind:user, task, global, view, timeMatch('never', 'ever'), allow"
    failing = changed(policy, line, ())
    who, row = f"user:{opened.user.viewer}", f"task:{opened.task.running}"
    found = ask(failing, who, "view", row)
    assert not found.allowed
    assert found.reason == "a condition fails, and what fails denies: added"
    [one] = [line for line in found.lines if line.failure]
    assert "ValueError" in (one.failure or "")
    assert found.fix is not None
    assert found.fix.denials == ("added",)


@SQLITE
@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("r.obj.image == 'x'", "image 'other/b:1' is not 'x'"),
        ("r.obj.image != 'other/b:1'", "image 'other/b:1' is 'other/b:1'"),
        ("r.obj.image == r.sub.image", "image 'other/b:1' is not (none), the principal's image"),
        ("glob(r.obj.image, 'harbor/*')", "image 'other/b:1' does not match 'harbor/*'"),
        ("!glob(r.obj.image, '*')", "image 'other/b:1' matches '*'"),
        ("r.obj.parent == 9", "parent (none) is not 9"),
        ("r.obj.id in (1, 2)", "task 7 is not among {1, 2}"),
        ("!(r.sub.org in r.obj.orgs)", "organization 2 is among {2, 3}"),
        (
            "meets(r.sub.collabs, r.obj.collabs)",
            "collaborations {1} and {8, 9} have nothing in common",
        ),
        ("within(r.sub.changes, ('ip',))", "changes {name} are not all among {ip}"),
        ("r.sub.account > 90", "account 21 > 90 is false"),
        ("g(r.sub.id, 'role:node')", "user:21 is not role:node"),
        (
            "r.obj.org == 4 && r.obj.run == 5",
            "organization 3 is not 4; run (none) is not 5",
        ),
        ("r.obj.org == 4 || r.obj.run == 5", "organization 3 is not 4; run (none) is not 5"),
        (
            "timeMatch('2030-01-01 00:00:00', '_')",
            "it is 2026-06-01 00:00:00 UTC, before 2030-01-01 00:00:00",
        ),
        (
            "timeMatch('_', '2026-01-01 00:00:00')",
            "it is 2026-06-01 00:00:00 UTC, not before 2026-01-01 00:00:00",
        ),
    ],
)
def test_why_a_line_does_not_match_is_said_in_words(
    opened: World, policy: Enforcer, condition: str, words: str
) -> None:
    who = questions.made_up_principal({"id": 21, "org": 2, "collabs": [1]})
    row = {"id": 7, "image": "other/b:1", "org": 3, "orgs": [2, 3], "collabs": [8, 9]}
    asked = changed(policy, f"p, kind:user, task, global, view, {condition}, allow", ())
    with clock.stopped(clock.read("2026-06-01")):
        found = explain(
            asked,
            who,
            Operation.VIEW,
            questions.made_up_row(Resource.TASK, row),
            frozenset({"name"}),
        )
    [line] = [line for line in found.lines if line.origin == "added"]
    assert not line.matched
    assert "; ".join(term.words for term in line.terms) == words
