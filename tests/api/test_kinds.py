"""Who may call an endpoint is decided by the lines: users, nodes and containers, every endpoint."""

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from tests.api.test_matrix import survived
from tests.api.test_wrong_values import bodies
from tests.contract.routes import BY_KIND, ROUTES, Route
from tests.databases import Databases
from tests.policy_edits import take_up
from tests.support import Caller, open_app
from tests.world import World
from v6srv.api import guard
from v6srv.authz.facts import MODELS
from v6srv.authz.fields import field_names
from v6srv.policy import ask
from v6srv.policy.explain.explanation import explain
from v6srv.vocabulary import Operation, PrincipalKind, Resource

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

CLOSED = {
    "GET /node",
    "GET /organization/{id}/collaboration",
    "GET /organization/{id}/node",
    "GET /collaboration",
    "GET /collaboration/{id}/node",
    "GET /collaboration/{id}/task",
}
"""Closed to containers whatever the lines say (permissions.md 5.1, Q-01): one algorithm, one run."""

_OWN = {"GET /vpn", "POST /vpn/update", "GET /vpn/algorithm/addresses"}
"""About the caller's own node or task: who has none is refused, whatever is granted."""


_PROOFS = ("/password/change", "/token/container")
"""They answer 401 for a wrong password or image, as the contract has it."""


_WORDS = ("You cannot change the username of another user!",)
"""How the contract says some denials."""


class House:
    """An application in which every request is undone, so that all see the same rows."""

    def __init__(self, app: Flask, world: World) -> None:
        self.app, self.world, self.call = app, world, Caller(app)
        self.bodies = bodies(world)

    def send(self, who: str, route: Route, *, empty: bool = False) -> TestResponse:
        _, body = (None, {}) if empty else self.bodies.get(str(route), (None, {}))
        query = {"result_id": self.own_result} if str(route) == "DELETE /port" else None
        json = body if route.body else None
        return self.call(who, route.method, route.url(self.world), json=json, query=query)

    @property
    def own_result(self) -> int:
        return self.world.result["running", "north"]

    def rule(self, route: Route) -> guard.Rule:
        path = route.url(self.world)
        with self.app.test_request_context(f"/api{path}", method=route.method) as context:
            endpoint = context.request.url_rule.endpoint
        view = self.app.view_functions[endpoint].view_class
        found: guard.Rule = getattr(view, route.method.lower()).rule
        return found

    def explained(self, who: str, route: Route) -> bool:
        """What `explain` says to the question of the endpoint."""
        rule = self.rule(route)
        assert rule.resource is not None
        assert rule.operation is not None
        policy = self.app.extensions["authz"].policy
        with self.app.app_context():
            principal = ask.principal(self.name(who))
            thing = self.thing(who, route, rule, rule.resource)
            changes = self.changes(route, rule) if rule.operation is Operation.EDIT else frozenset()
            if rule.min_scope is not None:
                question = (principal.facts, rule.resource, rule.operation)
                scopes = frozenset({"organization", "collaboration", "global"})
                if policy.plan(*question, scopes).never:
                    return False  # explain knows no scopes that do not count
            return explain(policy, principal, rule.operation, thing, changes).allowed

    def name(self, who: str) -> str:
        users, nodes = vars(self.world.user), vars(self.world.node)
        if who == "container":
            return f"container:{self.world.task.running}"
        return f"user:{users[who]}" if who in users else f"node:{nodes[who]}"

    def thing(self, who: str, route: Route, rule: guard.Rule, resource: Resource) -> ask.Thing:
        table = next((r for r, m in MODELS.items() if m.__name__ == rule.on), None)
        _, body = self.bodies.get(str(route), (None, {}))
        if route.path.startswith("/rule"):
            return ask.whole(resource)
        if "{id}" in route.path:
            id = int(route.url(self.world).split("/")[2])
        elif (resource is Resource.PORT and rule.on) or route.path == "/token/container":
            id = self.own_result
        elif route.path == "/password/change":
            id = getattr(self.world.user, who, self.world.user.viewer)
        elif rule.on:
            id = body["id"]
        elif str(route) in ("GET /vpn", "POST /vpn/update"):
            id = self.world.node.north_registry
        else:
            return ask.whole(resource)
        return ask.row(resource, id, table)

    def changes(self, route: Route, rule: guard.Rule) -> frozenset[str]:
        if route.path == "/recover/node":
            return frozenset({"api_key"})
        if route.path.startswith("/vpn"):
            return frozenset({"ip"})
        if route.path == "/password/change":
            return frozenset({"password"})
        assert rule.resource is not None
        _, body = self.bodies.get(str(route), (None, {}))
        given = {name for name, value in body.items() if value is not None}
        return frozenset(given) & field_names(MODELS[rule.resource])


@pytest.fixture(scope="module")
def opened(backend: str, databases: Databases) -> Iterator[House]:
    with open_app(databases, backend, with_world=True) as (app, world):
        assert world is not None
        yield House(app, world)


@pytest.fixture
def house(opened: House, monkeypatch: pytest.MonkeyPatch) -> House:
    for who in (*BY_KIND.values(), "viewer", "nobody"):
        opened.call(who, "GET", "/organization")  # writes when they were last seen
    monkeypatch.setattr(Session, "commit", Session.rollback)
    return opened


DECIDED = [r for r in ROUTES if not r.anonymous and r.path != "/token/refresh"]


@SQLITE
def test_what_the_lines_do_not_decide_is_a_short_list(opened: House) -> None:
    limited = {}
    for route in ROUTES:
        rule = opened.rule(route)
        if rule.callers not in (guard.ALL, guard.NOBODY):
            limited[str(route)] = guard.ALL - rule.callers
        if not rule.callers:
            assert rule.resource is None
            assert rule.reason
        else:
            assert rule.resource is not None
    assert {name for name, closed in limited.items() if closed == guard.CONTAINERS} == CLOSED
    assert limited.keys() == CLOSED


def _agree(house: House, who: str, route: Route) -> None:
    """The endpoint refuses what explain calls denied, and by its own question nothing else."""
    answer = house.send(who, route)
    survived(answer, f"{who} {route}")
    if (who, str(route)) in {("container", name) for name in CLOSED}:
        assert answer.status_code == 403
        return
    if str(route) in _OWN and who not in ("north_registry", "container"):
        assert answer.status_code == 403
        return
    if str(route) == "GET /vpn/algorithm/addresses" and who == "north_registry":
        assert answer.status_code == 403
        return
    if not house.explained(who, route):
        empty = answer.status_code == 200 and answer.json == []
        in_words = answer.status_code == 400 and answer.json["msg"] in _WORDS
        assert answer.status_code == 403 or empty or in_words, (who, str(route), answer.text)
    elif answer.status_code == 403:
        _is_of_a_later_question(house, answer, route)


def _is_of_a_later_question(house: House, answer: TestResponse, route: Route) -> None:
    """A view may be refused by what it asks itself: rules handed out, and rows as they will be."""
    asked = house.call("second_root", "GET", f"/policy/decision/{answer.json['decision_id']}").json
    rule = house.rule(route)
    first = (asked["resource"], asked["operation"]) == (rule.resource, rule.operation)
    later = asked["question"] == "hand_out" or asked.get("prospective", False)
    assert later or not first, (str(route), asked)


@SQLITE
@pytest.mark.parametrize("who", ["root", "viewer", "nobody", "north_registry", "container"])
@pytest.mark.parametrize("route", DECIDED, ids=str)
def test_endpoint_and_explain_agree(house: House, who: str, route: Route) -> None:
    _agree(house, who, route)


SUBJECTS = ("kind:node", "kind:container", "role:viewer", "role:node", "role:container")
CONDITIONS = (
    "True",
    "r.obj.org == r.sub.org",
    "!(r.sub.org in r.obj.orgs)",
    "meets(r.sub.collabs, r.obj.collabs)",
)


def _random_lines(chance: random.Random) -> str:
    lines = []
    for _ in range(chance.randint(1, 6)):
        effect = chance.choice(("allow", "deny", "deny"))
        scope = "global" if effect == "deny" else chance.choice(("organization", "collaboration"))
        line = (
            *(chance.choice(SUBJECTS), chance.choice(tuple(Resource)), scope),
            *(chance.choice(tuple(Operation)), chance.choice(CONDITIONS), effect),
        )
        lines.append("p, " + ", ".join(line))
    return "\n".join(lines) + "\n"


@SQLITE
@pytest.mark.parametrize("seed", range(3))
def test_endpoint_and_explain_agree_whatever_is_added(
    house: House, use_lines: Callable[[str], bool], seed: int
) -> None:
    chance = random.Random(seed)
    while not use_lines(_random_lines(chance)):
        pass  # not every line may go live
    for route in DECIDED:
        for who in ("viewer", "north_registry", "container"):
            _agree(house, who, route)


@pytest.fixture
def restored(opened: House) -> Iterator[None]:
    """The policy as it was, after the test."""
    store = opened.app.extensions["authz"].store
    before = store.folder
    yield
    store.folder = before
    with opened.app.app_context():
        assert take_up(store), store.problem


@pytest.fixture
def use_lines(opened: House, tmp_path: Path, restored: None) -> Callable[[str], bool]:
    """Let the policy have more lines until the end of the test; False when it may not."""
    store = opened.app.extensions["authz"].store
    before = store.folder

    def use(text: str) -> bool:
        for path in before.glob("*.c*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "more.csv").write_text(text)
        store.folder = tmp_path
        with opened.app.app_context():
            return bool(take_up(store))

    return use


# --- whatever is granted


def _everything() -> str:
    """Lines that let every user, node and container do everything, and no other lines but root's."""
    lines = [
        "g2, global, collaboration",
        "g2, collaboration, organization",
        "g2, organization, own",
    ]
    lines += ["p, role:root, *, global, *, True, allow"]
    for kind in PrincipalKind:
        lines.append(f"g, kind:{kind}, role:any_{kind}")
        for resource in Resource:
            lines += [
                f"p, role:any_{kind}, {resource}, global, {operation}, True, allow"
                for operation in Operation
            ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", tuple(PrincipalKind))
def test_who_may_do_everything_meets_no_error(
    house: House, tmp_path: Path, restored: None, kind: PrincipalKind
) -> None:
    """Answers of 4xx where an endpoint needs what a kind does not have, and no row without sense."""
    who = {"user": "nobody", "node": "north_registry", "container": "container"}[kind]
    _use(house.app, tmp_path, _everything())
    answers = {}
    for route in DECIDED:
        for empty in (True, False):
            answer = house.send(who, route, empty=empty)
            survived(answer, f"{who} {route}")
            assert answer.status_code != 401 or route.path in _PROOFS, (str(route), answer.text)
        answers[str(route)] = answer
    for method, path in _own_endpoints(house.app, "/policy", "/event"):
        answer = house.call(who, method, path, json={} if method != "GET" else None)
        survived(answer, f"{who} {method} {path}")
    status = {name: answer.status_code for name, answer in answers.items()}
    own = status["GET /vpn"], status["GET /vpn/algorithm/addresses"]
    assert own == {"user": (403, 403), "node": (501, 403), "container": (501, 200)}[kind]
    assert status["PATCH /result/{id}"] == 200
    assert status["POST /task"] == {"user": 201, "node": 400, "container": 201}[kind]
    if kind is not PrincipalKind.NODE:
        user = house.world.user
        started_by = {"user": user.nobody, "container": user.researcher}[kind]
        assert answers["POST /task"].json["init_user"] == started_by


def _own_endpoints(app: Flask, *below: str) -> Iterator[tuple[str, str]]:
    """Method and path of what only this server has, by how it begins."""
    for rule in app.url_map.iter_rules():
        path = re.sub("<int:[a-z_]+>", "1", rule.rule.removeprefix("/api"))
        path = re.sub("<[a-z:_]+>", "x", path)
        if path.startswith(below):
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield method, path


@SQLITE
@pytest.mark.parametrize("who", ["viewer", "north_registry", "container"])
def test_the_policy_is_for_root_by_the_lines(house: House, who: str) -> None:
    found = list(_own_endpoints(house.app, "/policy"))
    assert len(found) > 10
    for method, path in found:
        answer = house.call(who, method, path, json={} if method != "GET" else None)
        assert answer.status_code == 403, (method, path)
        asked = house.call("root", "GET", f"/policy/decision/{answer.json['decision_id']}").json
        assert (asked["resource"], asked["question"] != "caller") == ("policy", True)


def _use(app: Flask, folder: Path, lines: str) -> None:
    """Let these lines be the whole policy."""
    store = app.extensions["authz"].store
    (folder / "model.conf").write_bytes((store.folder / "model.conf").read_bytes())
    (folder / "lines.csv").write_text(lines)
    store.folder = folder
    with app.app_context():
        assert take_up(store), store.problem
