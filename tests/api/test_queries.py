"""How many SQL statements a request takes, and that the number does not depend on the rows.

Principal 1; get-one +1; list +1, +1 for each embedded relation; and the row that a sub-resource
belongs to +1. How many rows there are in all comes with the rows of a page. Reads never commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from tests.contract.routes import BY_KIND, ROUTES, Route
from tests.databases import Databases
from tests.support import Caller, counting, counting_commits, open_app
from tests.world import IMAGE, NOON, World
from v6srv import db
from v6srv.model import (
    Account,
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Organization,
    Permission,
    Port,
    Result,
    Role,
    RoleRule,
    Rule,
    Run,
    Task,
    User,
    UserPermission,
)

FEW, MANY = 10, 600
"""Many are more than SQLAlchemy loads at once of what belongs to rows: 500."""

Query = dict[str, Any]
PAGE: Query = {"page": 1, "per_page": 5}

LISTS = [
    route
    for route in ROUTES
    if route.paged or route.path in ("/organization/{id}/collaboration", "/organization/{id}/node")
]
ROWS = [
    route
    for route in ROUTES
    if route.method == "GET" and route.path.count("/") == 2 and route.path.endswith("/{id}")
]
INCLUDES = {
    "/task": "results",
    "/task/{id}": "results",
    "/result": "task",
    "/result/{id}": "task",
}
"""Relations that an answer embeds when it is asked for."""

FIXED = ("/rule", "/role/{id}/rule")
"""There are 53 rules, however large the world."""


ONE_TO_NODES = (
    "/collaboration",
    "/node",
    "/organization/{id}/collaboration",
    "/organization/{id}/node",
)
"""Lists in which a node finds itself alone, or its collaboration (ADR 44)."""


@dataclass(frozen=True)
class Measured:
    """What one request took."""

    statements: tuple[str, ...]
    commits: int
    rows: int
    """Of the answer, when it is a list."""


Key = tuple[str, str, str]
"""Path, caller, query."""


@pytest.fixture(scope="module")
def measured(backend: str, databases: Databases) -> dict[int, dict[Key, Measured]]:
    """What each request takes in a small and in a large world."""
    found: dict[int, dict[Key, Measured]] = {}
    for size in (FEW, MANY):
        with open_app(databases, backend, with_world=True) as (app, world):
            assert world is not None
            with db.session.get_bind().begin() as connection:
                grow(connection, world, size)
            found[size] = _measure(Caller(app), world)
    return found


def _measure(call: Caller, world: World) -> dict[Key, Measured]:
    found = {}
    for route in (*LISTS, *ROWS):
        for who, query in _requests(route):
            call(who, "GET", "/rule")  # writes when it was last seen, as once a minute
            with counting() as statements, counting_commits() as commits:
                answer = call(who, "GET", route.url(world), query=query)
            assert answer.status_code == 200, (route, who, answer.text)
            rows = len(answer.json) if isinstance(answer.json, list) else 1
            found[route.path, who, str(query)] = Measured(tuple(statements), len(commits), rows)
    return found


def _requests(route: Route) -> Iterator[tuple[str, Query]]:
    kinds = [BY_KIND[kind] for kind in route.callers]
    if route.path == "/node/{id}":
        kinds.remove("container")  # sees only the node that runs it, another row than the others
    for who in [*kinds, *(["viewer"] if "U" in route.callers else [])]:
        yield who, {}
        if route.paged:
            yield who, PAGE
        if route.path in INCLUDES:
            yield who, {"include": INCLUDES[route.path]}


def _key(route: Route, who: str, query: Query) -> Key:
    return route.path, who, str(query)


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_lists_take_the_same_queries_whatever_their_length(
    measured: dict[int, dict[Key, Measured]], route: Route
) -> None:
    for who, query in _requests(route):
        few, many = (measured[size][_key(route, who, query)] for size in (FEW, MANY))
        alone = who == BY_KIND["N"] and route.path in ONE_TO_NODES
        if query is not PAGE and route.path not in FIXED and not alone:
            assert many.rows > few.rows, "the large world is no larger here"
        assert len(many.statements) == len(few.statements), (who, query, many.statements)


@pytest.mark.parametrize("route", LISTS, ids=str)
def test_lists_take_few_queries(measured: dict[int, dict[Key, Measured]], route: Route) -> None:
    parent = 1 if "{id}" in route.path else 0
    for who, query in _requests(route):
        took = measured[MANY][_key(route, who, query)]
        allowed = 1 + parent + 1 + ("include" in query)
        assert len(took.statements) <= allowed, (who, query, took.statements)


@pytest.mark.parametrize("route", ROWS, ids=str)
def test_one_row_takes_two_queries(measured: dict[int, dict[Key, Measured]], route: Route) -> None:
    """One for the principal, one for the row; one more when a relation is embedded."""
    for size in (FEW, MANY):
        for who, query in _requests(route):
            took = measured[size][_key(route, who, query)]
            assert len(took.statements) <= 2 + ("include" in query), (who, query, took.statements)


def test_reads_do_not_commit(measured: dict[int, dict[Key, Measured]]) -> None:
    assert [key for key, took in measured[MANY].items() if took.commits] == []


def test_a_refusal_takes_no_more_than_the_answer(call: Caller, world: World) -> None:
    """Without any rule it is the principal alone; for a row out of reach the row as well."""
    for who, path, allowed in (
        ("nobody", f"/task/{world.task.running}", 1),
        ("nobody", "/task", 1),
        ("viewer", f"/task/{world.task.waiting}", 2),
        ("viewer", "/task/999999", 2),
        ("root", "/task/999999", 2),
    ):
        call(who, "GET", "/rule")  # writes when it was last seen
        with counting() as statements:
            answer = call(who, "GET", path)
        assert answer.status_code in (403, 404)
        assert len(statements) <= allowed, (who, path, statements)


def grow(connection: Connection, world: World, size: int) -> None:
    """Add `size` of everything, around organization north and collaboration registry."""
    north, registry = world.org.north, world.collab.registry

    def add(table: Any, rows: list[dict[str, Any]]) -> list[int]:
        statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
        return list(connection.execute(statement, rows).scalars())

    def link(table: Any, rows: list[dict[str, Any]]) -> None:
        connection.execute(insert(table), rows)

    numbers = range(size)
    orgs = add(Organization.__table__, [{"name": f"org {i}"} for i in numbers])
    collabs = add(
        Collaboration.__table__, [{"name": f"collab {i}", "encrypted": False} for i in numbers]
    )
    link(Member, [{"organization_id": org, "collaboration_id": registry} for org in orgs])
    link(Member, [{"organization_id": north, "collaboration_id": collab} for collab in collabs])
    places = [(org, registry) for org in orgs] + [(north, collab) for collab in collabs]
    accounts = add(Account.__table__, [{"type": "node"} for _ in places])
    link(
        Node.__table__,
        [
            {"id": id, "name": f"node {id}", "organization_id": org, "collaboration_id": collab}
            for id, (org, collab) in zip(accounts, places, strict=True)
        ],
    )
    link(NodeConfig.__table__, [{"node_id": id, "key": "k", "value": "v"} for id in accounts])
    roles = add(Role.__table__, [{"name": f"role {i}", "organization_id": north} for i in numbers])
    rules = list(connection.scalars(select(Rule.id).order_by(Rule.id)))
    link(RoleRule, [{"role_id": role, "rule_id": rule} for role in roles for rule in rules[:3]])
    users = add(Account.__table__, [{"type": "user"} for _ in numbers])
    link(
        User.__table__,
        [
            {"id": id, "username": f"user {id}", "email": f"{id}@x", "organization_id": north}
            for id in users
        ],
    )
    link(Permission, [{"user_id": id, "role_id": world.role.viewer} for id in users])
    link(UserPermission, [{"user_id": id, "rule_id": rules[0]} for id in users])
    run = connection.scalar(select(Task.run_id).where(Task.id == world.task.subtask))
    runs = add(Run.__table__, [{"id": 1000 + i} for i in numbers])
    tasks = add(
        Task.__table__,
        [
            {
                "name": f"task {i}",
                "image": IMAGE,
                "collaboration_id": registry,
                "initiator_id": north,
                "init_user_id": world.user.researcher,
                "parent_id": world.task.subtask if i % 2 else None,
                "run_id": run if i % 2 else runs[i],
                "created_at": NOON,
            }
            for i in numbers
        ],
    )
    results = add(
        Result.__table__,
        [
            {"task_id": task, "organization_id": org, "status": "pending", "assigned_at": NOON}
            for i in numbers
            for task, org in ((tasks[i], north), (world.task.running, orgs[i]))
        ],
    )
    link(Port.__table__, [{"result_id": id, "port": 1000, "label": "x"} for id in results])
