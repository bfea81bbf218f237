"""Measuring: servers in turns, statements in this process, decisions without a server."""

import importlib
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from figures import Row, percentile, sample
from fill import PASSWORD, Filled
from scenarios import Scenario
from servers import Failed, Party, settings_of
from sqlalchemy import event

from tests.support import counting
from v6srv import db
from v6srv.app import create_app
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import facts_of
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.rules import RULES
from v6srv.authz.source.load import build
from v6srv.vocabulary import Operation, PrincipalKind, Resource

WARM_UP = 3


def in_turns(
    scenario: Scenario, data: Filled, parties: list[Party], most: int, seconds: float
) -> Row:
    """Take turns, so that whatever else the machine does meets all; who has used up its part of the
    time drops out.
    """
    lengths = {}
    for turn in range(WARM_UP):
        for party in parties:
            lengths[party.name] = _length(_ask(scenario, data, party, turn)[1])
    if len({length for length in lengths.values() if length is not None}) > 1:
        raise Failed(f"{scenario.name}: lists of different lengths: {lengths}")
    took: dict[str, list[float]] = {party.name: [] for party in parties}
    before = {party.name: party.cpu_s() for party in parties}
    for turn in range(WARM_UP, WARM_UP + most):
        for party in parties:
            if sum(took[party.name]) < seconds / len(parties):
                took[party.name].append(_ask(scenario, data, party, turn)[0])
    return Row(
        scenario.name,
        {
            party.name: sample(
                took[party.name], party.cpu_s() - before[party.name], _queries(scenario, party)
            )
            for party in parties
        },
        scenario.goal,
    )


def _ask(scenario: Scenario, data: Filled, party: Party, turn: int) -> tuple[float, bytes]:
    if party.name in ("v6srv", "reference"):
        request, who, statuses = scenario.request, scenario.who, scenario.statuses
    else:
        request, who = scenario.floor or scenario.request, party.base_who
        statuses = scenario.floor_statuses
    took, body = party.as_(who).ask(*request(data, turn), statuses)
    if scenario.then:
        took += party.as_(who).ask(*scenario.then)[0]
    return took, body


def _length(body: bytes) -> int | None:
    """How many rows a list holds."""
    found = json.loads(body)
    if isinstance(found, dict):
        found = found.get("data")
    return len(found) if isinstance(found, list) else None


def _queries(scenario: Scenario, party: Party) -> int | None:
    """What the last answer said, as the reference's does."""
    got = party.as_(scenario.who).got
    said = got.getheader("X-Queries") if got else None
    return int(said) if said else None


def counted(
    rows: Iterable[Row], scenarios: Iterable[Scenario], data: Filled, uri: str, instance: Path
) -> list[Row]:
    """The rows with the statements that our server and the floor send, counted in this process."""
    found = {"v6srv": _ours(scenarios, data, uri, instance), "floor": _floors(scenarios, data, uri)}
    return [
        replace(
            row,
            samples={
                name: replace(one, queries=found[name][row.name]) if name in found else one
                for name, one in row.samples.items()
            },
        )
        for row in rows
    ]


def _ours(scenarios: Iterable[Scenario], data: Filled, uri: str, instance: Path) -> dict[str, int]:
    app = create_app(settings_of(uri, instance))
    client = app.test_client()

    def token(path: str, body: dict[str, str]) -> dict[str, str]:
        answer = client.post(f"/api/token/{path}", json=body)
        return {"Authorization": f"Bearer {answer.get_json()['access_token']}"}

    headers = {
        "nobody": {},
        "user": token("user", {"username": data.username, "password": PASSWORD}),
        "root": token("user", {"username": "root", "password": PASSWORD}),
        "stranger": token("user", {"username": data.stranger, "password": PASSWORD}),
        "node": token("node", {"api_key": data.api_key}),
    }
    found = {}
    for scenario in scenarios:
        for turn in range(2):  # the second time nothing is new
            method, path, body = scenario.request(data, turn)
            with counting() as statements:
                answer = client.open(
                    f"/api{path}", method=method, json=body, headers=headers[scenario.who]
                )
            _expect(answer.status_code, scenario.statuses, scenario.name)
        found[scenario.name] = len(statements)
    engine = db.session.get_bind()
    db.session.remove()
    engine.dispose()
    return found


def _floors(scenarios: Iterable[Scenario], data: Filled, uri: str) -> dict[str, int]:
    os.environ["BENCH_DATABASE"] = uri
    sys.modules.pop("floor", None)  # it binds itself to the database when it is imported
    floor = importlib.import_module("floor")

    statements: list[str] = []
    event.listen(floor.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    client = floor.app.test_client()
    found = {}
    for scenario in scenarios:
        method, path, body = (scenario.floor or scenario.request)(data, 0)
        statements.clear()
        answer = client.open(path, method=method, json=body)
        _expect(answer.status_code, scenario.floor_statuses, scenario.name)
        found[scenario.name] = sum(not text.startswith("BEGIN") for text in statements)
    floor.engine.dispose()
    return found


def _expect(status: int, statuses: tuple[int, ...], name: str) -> None:
    if status not in statuses:
        raise Failed(f"{name}: {status} where its statements are counted")


def decisions(policies: Path, users: int, roles: int, rules_per_role: int) -> dict[str, float]:
    """May this user view this task: `users` users with two of `roles` roles each.

    Without server and database, by a policy that is loaded.
    """
    chance = random.Random(3)
    first = 8  # after the default roles
    lines = [
        Line("p", (f"role:{role}", *rule.key, "True", "allow"), "bench")
        for role in range(first, first + roles)
        for rule in chance.sample(RULES, rules_per_role)
    ]
    started = time.perf_counter()
    enforcer = build(policies, lines)
    took = time.perf_counter() - started
    authorizer = Authorizer(SimpleNamespace(live=enforcer))  # type: ignore[arg-type]
    callers = [
        Principal(
            PrincipalKind.USER,
            number,
            number % 20,
            frozenset(chance.sample(range(10), 3)),
            tuple(f"role:{first + chance.randrange(roles)}" for _ in range(2)),
        )
        for number in range(1, users + 1)
    ]
    known = {"id": 9, "org": 3, "orgs": frozenset({3, 4, 5}), "collabs": frozenset({1}), "run": 4}
    empty = {"owners": frozenset()}
    task = {name: {**known, **empty}.get(name) for name in facts_of(Resource.TASK)}
    for who in callers:
        authorizer.decide_facts(who, Resource.TASK, Operation.VIEW, task)
    times = []
    for who in chance.choices(callers, k=20_000):
        begun = time.perf_counter_ns()
        authorizer.decide_facts(who, Resource.TASK, Operation.VIEW, task)
        times.append((time.perf_counter_ns() - begun) / 1000)
    return {
        "users": users,
        "lines": len(enforcer.lines),
        "build_ms": 1000 * took,
        "p50_us": statistics.median(times),
        "p99_us": percentile(times, 0.99),
    }
