"""What the main requests may cost at most: calls of Python functions and SQL statements.

Counted and not timed, so that a busy machine changes nothing. The limits leave room for releases of
Python and of libraries: about a third above what was counted. Who needs more says why in the commit
that raises one; `docs/performance.md` says where it goes. The server in front, gunicorn, is not
counted, and neither is what was never asked before.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import EnvironBuilder, run_wsgi_app

from tests.databases import Databases
from tests.support import Caller, counting, open_app
from tests.world import World, average


@dataclass(frozen=True)
class Budget:
    """A request, and what it may cost."""

    name: str
    who: str | None
    method: str
    path: Callable[[World], str]
    calls: int
    statements: int
    status: int = 200
    body: Callable[[World], dict[str, Any]] | None = None


def _run(world: World) -> str:
    return f"/result/{world.result['running', 'north']}"


def _task(world: World) -> str:
    return f"/task/{world.task.running}"


BUDGETS = (
    Budget("version", None, "GET", lambda _: "/version", 470, 0),
    Budget("denied without token", None, "GET", _task, 450, 0, 401),
    Budget("denied by rule", "west_researcher", "GET", _task, 1_850, 2, 403),
    Budget("denied a list", "nobody", "GET", lambda _: "/task", 1_220, 1, 403),
    Budget("one task, by a user", "viewer", "GET", _task, 1_850, 2),
    Budget("one task, by a node", "north_registry", "GET", _task, 1_850, 2),
    Budget("page of tasks", "viewer", "GET", lambda _: "/task?page=1&per_page=5", 2_850, 2),
    Budget("page of results", "viewer", "GET", lambda _: "/result?page=1&per_page=5", 2_700, 2),
    Budget("page of nodes", "root", "GET", lambda _: "/node?page=1&per_page=5", 2_200, 2),
    Budget(
        "change a result", "north_registry", "PATCH", _run, 3_450, 5, 200, lambda _: {"log": "x"}
    ),
    Budget(
        "create a task",
        "researcher",
        "POST",
        lambda _: "/task",
        5_700,
        8,
        201,
        lambda world: average(world, "north", "south"),
    ),
)


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[tuple[Flask, World, Caller]]:
    with open_app(databases, "sqlite", with_world=True) as (app, world):
        assert world is not None
        yield app, world, Caller(app)


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda one: one.name)
def test_no_request_costs_more_than_it_may(
    house: tuple[Flask, World, Caller], budget: Budget
) -> None:
    app, world, call = house
    with counting() as statements:
        calls = min(_calls(app, world, call, budget, statements) for _ in range(4))
    assert calls <= budget.calls
    assert len(statements) <= budget.statements, statements


def _calls(app: Flask, world: World, call: Caller, budget: Budget, statements: list[str]) -> int:
    """How many functions of Python one request calls; `statements` are those that it sends."""
    token = {"Authorization": f"Bearer {call.token(budget.who)}"} if budget.who else {}
    body = budget.body and budget.body(world)
    path = call.base + budget.path(world)
    environ = EnvironBuilder(path, method=budget.method, headers=token, json=body).get_environ()
    counted = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event == "call"

    before = sys.getprofile()
    statements.clear()
    sys.setprofile(count)
    try:
        answer = run_wsgi_app(app.wsgi_app, environ, buffered=True)
    finally:
        sys.setprofile(before)
    assert answer[1].startswith(str(budget.status)), (answer[1], list(answer[0]))
    assert counted > 100  # it does count
    return counted
