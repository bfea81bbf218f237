"""Every operation of both documents, each kind of caller, each relation to the row.

A new route is in it by itself: no error of the server, and a row is handed out exactly where the
explanation of the policy says so.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from flask import Flask

from tests.databases import Databases
from tests.support import Caller, database_digest, open_app
from tests.tenancy.questions import DOCUMENTS, Operation, operations
from tests.world import World
from v6srv.errors import NotFound
from v6srv.policy import ask
from v6srv.policy.explain.explanation import explain
from v6srv.vocabulary import V3, PrincipalKind, Resource
from v6srv.vocabulary import Operation as Verb

CALLERS = {
    **dict.fromkeys(("nobody", "viewer", "researcher", "org_admin", "collab_admin"), "user"),
    "second_root": "user",
    "north_registry": "node",
    "container": "container",
}
MISSING = 999_999
CALLED = {"run": Resource.RESULT}
"""Paths that call a resource otherwise."""
VERBS = {"GET": Verb.VIEW, "PATCH": Verb.EDIT, "DELETE": Verb.DELETE}


class House:
    """An application that refuses, or is asked to change nothing."""

    def __init__(self, app: Flask, world: World) -> None:
        self.app, self.world = app, world
        below = {dialect: base for dialect, (_, base) in DOCUMENTS.items()}
        self.operations = [
            one for one in operations(app) if one.path.startswith(f"{below[one.dialect]}/")
        ]
        self.calls = {dialect: Caller(app, base) for dialect, (_, base) in DOCUMENTS.items()}
        self._enforcer = app.extensions["authz"].policy

    def ask(self, who: str | None, operation: Operation, path: str, **more: Any) -> Any:
        """The answer, whatever it changes."""
        base = DOCUMENTS[operation.dialect][1]
        call = self.calls[operation.dialect]
        speaking = who if who is None or operation.dialect == V3 else f"{who} in 4"
        return call(speaking, operation.method, path.removeprefix(base), **more)

    def rule(self, operation: Operation) -> Any:
        """What the guard of an operation asks."""
        path = operation.path.replace("{", "<int:").replace("}", ">")
        for route in self.app.url_map.iter_rules():
            if route.rule == path and operation.method in (route.methods or ()):
                view = self.app.view_functions[route.endpoint].view_class  # type: ignore[attr-defined]
                return getattr(view, operation.method.lower()).rule
        raise LookupError(operation.path)

    def ids(self, resource: Resource) -> dict[str, int]:
        """Rows of the own organization, of a partner, of somebody else, and none."""
        world = self.world
        known = {
            Resource.ORGANIZATION: (world.org.north, world.org.south, world.org.east),
            Resource.COLLABORATION: (world.collab.registry, world.collab.trial),
            Resource.NODE: (
                world.node.north_registry,
                world.node.south_registry,
                world.node.west_trial,
            ),
            Resource.TASK: (world.task.running, world.task.failed, world.task.waiting),
            Resource.RESULT: tuple(
                world.result[key]
                for key in (("running", "north"), ("running", "south"), ("waiting", "west"))
            ),
            Resource.USER: (world.user.extra, world.user.south_viewer, world.user.east_admin),
            Resource.ROLE: (world.role.analysts, world.role.helpers),
            Resource.PORT: (world.port["first"], world.port["trial"]),
        }
        rows = known.get(resource, ())
        return {**{f"{resource} {id}": id for id in rows}, "missing": MISSING}

    def explained(self, who: str, verb: Verb, resource: Resource, id: int) -> bool | None:
        """What the explanation says of a row; None when there is none."""
        with self.app.app_context():
            with suppress(NotFound):
                thing = ask.row(resource, id)
                principal = ask.named(self._enforcer, self._subject(who), None)
                return explain(self._enforcer, principal, verb, thing).allowed
            return None

    def _subject(self, who: str) -> str:
        world = self.world
        return {
            "user": lambda: f"user:{getattr(world.user, who)}",
            "node": lambda: f"node:{getattr(world.node, who)}",
            "container": lambda: f"container:{world.task.running}",
        }[CALLERS[who]]()


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[House]:
    with open_app(databases, "sqlite", with_world=True) as (app, world):
        assert world is not None
        yield House(app, world)


def _by_id(house: House) -> Iterator[tuple[Operation, Any]]:
    for operation in house.operations:
        if operation.path.endswith("/{id}") and "/policy/" not in operation.path:
            rule = house.rule(operation)
            if rule.on is None and rule.resource == CALLED.get(
                operation.resource, operation.resource
            ):
                yield operation, rule


@pytest.mark.parametrize("who", CALLERS)
def test_a_row_is_handed_out_where_the_explanation_says_so(house: House, who: str) -> None:
    """403 for what is not allowed, and for what is not there, unless all would be allowed."""
    compared = 0
    for operation, rule in _by_id(house):
        verb = VERBS[operation.method]
        for relation, id in house.ids(rule.resource).items():
            allowed = house.explained(who, verb, rule.resource, id)
            is_open = PrincipalKind(CALLERS[who]) in rule.callers
            if allowed and is_open and verb is Verb.DELETE:
                continue  # it would be done
            answer = house.ask(who, operation, operation.path.replace("{id}", str(id)), json={})
            told = f"{who} {operation.method} {operation.path} {relation}: {answer.status_code}"
            if allowed and is_open:
                assert answer.status_code in (200, 400), told
            elif allowed is None:
                assert answer.status_code in (403, 404), told
            else:
                assert answer.status_code == 403, told
            compared += 1
    assert compared > 100


@pytest.mark.parametrize("who", [None, *CALLERS])
def test_no_operation_is_an_error_of_the_server(house: House, who: str | None) -> None:
    """With bodies that say nothing, for rows of every relation; without a token nothing is open
    that is not said to be."""
    for operation in house.operations:
        if operation.method == "DELETE":
            continue
        for id in (house.world.org.north, house.world.org.south, MISSING):
            path = operation.path
            while "{" in path:
                path = f"{path[: path.index('{')]}{id}{path[path.index('}') + 1 :]}"
            before = database_digest() if who is None else None
            answer = house.ask(who, operation, path, json=None if operation.reads else {})
            told = f"{who} {operation.method} {path}: {answer.status_code}"
            assert answer.status_code < 500 or answer.status_code == 501, told
            assert "Traceback" not in answer.text, told
            if who is None:
                assert operation.is_open or answer.status_code == 401, told
                assert database_digest() == before, told
            if path == operation.path:
                break
