"""Who may do something, and what somebody may do: the answers of the Authorizer, read backwards."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from flask import Flask
from sqlalchemy import select

from tests.policy_edits import take_up
from tests.world import World
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import MODELS
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.identity import principals
from v6srv.model import CasbinRule, Task
from v6srv.policy import ask
from v6srv.policy.who import abilities
from v6srv.vocabulary import Operation, Resource

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def everybody() -> list[Principal]:
    known = [*principals.everyone(), *principals.containers()]
    return [one.principal for one in known]


def add_lines(authz: Authorizer, *lines: tuple[str, ...]) -> None:
    for line in lines:
        ptype = "p" if len(line) > 2 else "g"
        session.add(CasbinRule(ptype=ptype, **{f"v{at}": value for at, value in enumerate(line)}))
    session.commit()
    assert take_up(authz.store), authz.store.problem


ODD_LINES = (
    ("user:1", "task", "global", "view", "timeMatch('_', '2001-01-01 00:00:00')", "deny"),
    ("org:2", "result", "organization", "view", "glob(r.obj.image, '*average*')", "allow"),
    ("kind:container", "role:any_container"),
    ("role:any_container", "organization", "global", "view", "r.sub.task != 2", "allow"),
    ("role:viewer", "task", "global", "delete", "r.sub.task > 5", "allow"),  # users have no task
)


def test_who_can_is_what_the_authorizer_says_of_each(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    asked = allowed = 0
    with app.app_context():
        add_lines(authz, *ODD_LINES)
        people = everybody()
        assert {one.kind for one in people} == {"user", "node", "container"}
        for resource, model in MODELS.items():
            for row in session.scalars(select(model)):
                for operation in Operation:
                    thing = ask.row(resource, row.id)
                    question = abilities.Poll(authz.policy, operation, thing)
                    expected = {
                        one.id
                        for one in people
                        if authz.decide(one, resource, operation, row).allowed
                    }
                    assert {one.id for one in people if question.allows(one)} == expected, (
                        thing.name
                    )
                    asked += len(people)
                    allowed += len(expected)
    assert asked > 6_000
    assert 1_000 < allowed < asked - 1_000


@SQLITE
def test_a_row_of_another_table_is_decided_as_endpoints_do(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        thing = ask.row(Resource.NODE, world.org.south, Resource.ORGANIZATION)
        question = abilities.Poll(authz.policy, Operation.VIEW, thing)
        row = session.get_one(MODELS[Resource.ORGANIZATION], world.org.south)
        people = everybody()
        decided = [authz.decide(one, Resource.NODE, Operation.VIEW, row).allowed for one in people]
        assert [question.allows(one) for one in people] == decided
        assert 0 < sum(decided) < len(people)


@SQLITE
def test_everybody_who_may_is_named_with_the_reason(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        found = abilities.who_can(
            authz.policy, Operation.VIEW, ask.row(Resource.TASK, world.task.running)
        )
    ways = {way.held: way for way in found.ways}
    named = {held: {one.name for one in way.principals} for held, way in ways.items()}
    assert named["role:viewer"] == {"viewer", "south_viewer"}
    assert named["role:researcher"] == {"researcher", "south_researcher"}
    assert ways["role:researcher"].name == "Researcher"
    assert [line.line for line in ways["role:researcher"].lines] == [
        "p, role:viewer, task, organization, view, True, allow"
    ]
    assert ways["role:researcher"].lines[0].origin.startswith("default_roles.csv:")
    assert named[f"role:{world.role.analysts}"] == {"analyst"}
    assert ways[f"role:{world.role.analysts}"].name == "analysts"
    assert named[f"rule:{world.rule['task', 'GLOBAL', 'VIEW']}"] == {"extra"}
    # The world gives one user the role of nodes; nodes have it by what they are.
    assert {one.subject for one in ways["kind:node"].principals} == {
        f"node:{world.node.north_registry}",
        f"node:{world.node.south_registry}",
    }
    # Containers see the tasks of their own run: running and its subtask.
    assert {one.subject for one in ways["kind:container"].principals} == {
        f"container:{world.task.running}",
        f"container:{world.task.subtask}",
    }
    assert found.nodes == 2
    everybody_named = {one.subject for way in found.ways for one in way.principals}
    assert len(everybody_named) == found.users + found.nodes + found.containers


@SQLITE
def test_a_right_that_comes_in_two_ways_is_shown_in_both(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        add_lines(authz, (f"user:{world.user.viewer}", "task", "global", "view", "True", "allow"))
        thing = ask.row(Resource.TASK, world.task.running)
        found = abilities.who_can(authz.policy, Operation.VIEW, thing)
    ways = {way.held: {one.id for one in way.principals} for way in found.ways}
    assert world.user.viewer in ways[f"user:{world.user.viewer}"] & ways["role:viewer"]


@SQLITE
def test_one_who_is_forbidden_is_left_out(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    thing_name = f"task:{world.task.running}"
    with app.app_context():
        before = abilities.who_can(authz.policy, Operation.VIEW, ask.thing(thing_name))
        add_lines(authz, (f"user:{world.user.viewer}", "task", "global", "view", "True", "deny"))
        after = abilities.who_can(authz.policy, Operation.VIEW, ask.thing(thing_name))
    assert before.users - after.users == 1
    names = {one.name for way in after.ways for one in way.principals}
    assert "viewer" not in names
    assert "south_viewer" in names


@SQLITE
def test_the_number_of_queries_does_not_grow_with_the_number_of_people(
    app: Flask, world: World, count_queries: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    authz: Authorizer = app.extensions["authz"]
    cached = len(authz.policy._rows._plans)
    with app.app_context(), count_queries() as statements:
        thing = ask.row(Resource.TASK, world.task.running)
        abilities.who_can(authz.policy, Operation.VIEW, thing)
    # Facts of the row and its five sets; users, nodes, containers; names of roles.
    assert len(statements) == 6 + 3 + 1
    assert len(authz.policy._rows._plans) == cached  # a look from above fills no cache of requests


@pytest.mark.parametrize("name", ["viewer", "org_admin", "second_root", "extra", "nobody"])
def test_what_somebody_can_is_what_the_authorizer_lists(
    app: Flask, world: World, name: str
) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        one = principals.named(f"user:{getattr(world.user, name)}").principal
        found = abilities.what_can(authz.policy, one, rows=1000)
        rows = {
            (ability.reach.resource, ability.reach.operation): ability.rows
            for ability in found.abilities
        }
        for resource, model in MODELS.items():
            for operation in Operation:
                expected = tuple(
                    row.id
                    for row in session.scalars(select(model).order_by(model.id))
                    if authz.decide(one, resource, operation, row).allowed
                )
                all_rows = abilities.allowed_rows(authz.policy, one, resource, operation)
                assert all_rows == abilities.Rows(expected, len(expected))
                if operation is not Operation.CREATE and (resource, operation) in rows:
                    assert rows[resource, operation] == all_rows
    assert found.may_something


@SQLITE
def test_abilities_name_scope_conditions_and_denials(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        add_lines(
            authz,
            ("role:viewer", "task", "global", "view", "r.obj.database == 'open'", "allow"),
        )
        viewer = principals.named(f"user:{world.user.viewer}").principal
        node = principals.named(f"node:{world.node.north_registry}").principal
        can = {
            (one.reach.resource, one.reach.operation): one
            for one in abilities.what_can(authz.policy, viewer).abilities
        }
        of_node = abilities.what_can(authz.policy, node, [Resource.NODE], rows=5)
    tasks = can[Resource.TASK, Operation.VIEW].reach
    assert tasks.scope == "organization"
    assert [one.condition for one in tasks.conditional] == ["r.obj.database == 'open'"]
    assert can[Resource.TASK, Operation.VIEW].rows is None
    users = can[Resource.USER, Operation.EDIT].reach
    assert users.scope == "own"
    assert {one.origin.split(":")[0] for one in users.denials} == {"default_roles.csv"}
    assert [one.condition for one in users.denials if "username" in one.condition] == [
        "r.obj.id != r.sub.account && meets(r.sub.changes, ('username',))"
    ]
    create = can[Resource.TASK, Operation.CREATE].reach  # forbidden outside, and not granted inside
    assert create.scope is None
    assert create.nothing
    edit = next(one for one in of_node.abilities if one.reach.operation is Operation.EDIT)
    assert len(edit.reach.denials) == 1
    assert edit.rows == abilities.Rows(
        (world.node.north_registry,), 1
    )  # of its organization only itself


@SQLITE
def test_rows_come_in_pages(app: Flask, world: World) -> None:
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        root = principals.named("user:1").principal
        ids = tuple(session.scalars(select(Task.id).order_by(Task.id)))
        first = abilities.allowed_rows(authz.policy, root, Resource.TASK, Operation.VIEW, limit=4)
        rest = abilities.allowed_rows(
            authz.policy, root, Resource.TASK, Operation.VIEW, limit=4, after=first.ids[-1]
        )
    assert first == abilities.Rows(ids[:4], 6)
    assert rest == abilities.Rows(ids[4:], 6)
