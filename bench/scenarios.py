"""What the servers are asked for, in turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fill import Filled

Request = tuple[str, str, Any]
"""Method, path, body."""


@dataclass(frozen=True)
class Scenario:
    """One kind of request: the same to our server and to the reference, its like to the floor."""

    name: str
    request: Callable[[Filled, int], Request]
    """Of the number of the turn."""
    floor: Callable[[Filled, int], Request] | None = None
    """Where it differs: the floor knows nobody, so it is told whose rows are wanted."""
    who: str = "user"
    statuses: tuple[int, ...] = (200,)
    floor_statuses: tuple[int, ...] = (200,)
    then: Request | None = None
    """What is asked for next and counts as part of it: what the first leaves to be done."""
    goal: float | None = None
    """How many times the floor it may take."""


def _nth(values: tuple[int, ...], turn: int) -> int:
    return values[turn * 7919 % len(values)]  # everywhere in the table, the same for all


def _mine(data: Filled) -> str:
    mine = "".join(f"&collaboration={id}" for id in data.collaboration_ids)
    return f"{mine}&own={data.organization_id}"


def _task(data: Filled, turn: int) -> Request:
    return "GET", f"/task/{_nth(data.task_ids, turn)}", None


def _hidden_task(data: Filled, turn: int) -> Request:
    return "GET", f"/task/{_nth(data.hidden_task_ids, turn)}", None


def _node_task(data: Filled, turn: int) -> Request:
    return "GET", f"/task/{_nth(data.node_task_ids, turn)}", None


def _version(_data: Filled, _turn: int) -> Request:
    return "GET", "/version", None


def page(kind: str, size: int = 20, pages: int = 5) -> Callable[[Filled, int], Request]:
    """A page of our server."""
    return lambda _data, turn: ("GET", f"/{kind}?page={1 + turn % pages}&per_page={size}", None)


def floor_page(kind: str, size: int = 20, pages: int = 5) -> Callable[[Filled, int], Request]:
    """The same rows of the floor."""
    ours = page(kind, size, pages)
    return lambda data, turn: ("GET", ours(data, turn)[1] + _mine(data), None)


def _create(data: Filled, _turn: int) -> Request:
    task = {
        "name": "bench",
        "image": "registry.example/average:1",
        "collaboration_id": data.collaboration_ids[0],
        "organizations": [{"id": id, "input": "e30="} for id in data.member_ids[:5]],
    }
    return "POST", "/task", task


def _patch(data: Filled, turn: int) -> Request:
    id = data.open_result_ids[turn % len(data.open_result_ids)]
    now = datetime.now(UTC).isoformat()[:-6]
    return "PATCH", f"/result/{id}", {"status": "active", "started_at": now}


def _login(data: Filled, _turn: int) -> Request:
    return "POST", "/token/user", {"username": data.username, "password": data.password}


def _floor_login(data: Filled, turn: int) -> Request:
    return "POST", "/login", _login(data, turn)[2]


def _node_login(data: Filled, _turn: int) -> Request:
    return "POST", "/token/node", {"api_key": data.api_key}


def _floor_node_login(data: Filled, turn: int) -> Request:
    return "POST", "/node-login", _node_login(data, turn)[2]


TASKS = Scenario("page of 20 tasks", page("task"), floor_page("task"), goal=2)
RESULTS = Scenario("page of 20 results", page("result"), floor_page("result"), goal=2)
NODES = Scenario("page of 20 nodes, by root", page("node", pages=1), who="root", goal=2)
SCENARIOS = (
    Scenario("GET /api/version", _version, who="nobody", goal=1.1),
    Scenario("one task, by a user", _task, goal=1.8),
    Scenario("one task, by a node", _node_task, who="node", goal=1.8),
    Scenario("denied by rule (a task)", _hidden_task, _hidden_task, statuses=(401, 403), goal=1.6),
    Scenario(
        "denied a list",
        lambda _data, _turn: ("GET", "/task?page=1", None),
        _task,
        who="stranger",
        statuses=(401, 403),
        goal=1.6,
    ),
    Scenario("denied without token", _task, _version, who="nobody", statuses=(401,), goal=1.2),
    TASKS,
    RESULTS,
    NODES,
    Scenario(
        "one organization",
        lambda data, _turn: ("GET", f"/organization/{data.organization_id}", None),
        lambda data, _turn: ("GET", f"/organization/{data.organization_id}?{_mine(data)}", None),
        goal=1.5,
    ),
    Scenario(
        "page of organizations",
        page("organization", 10, 1),
        floor_page("organization", 10, 1),
        goal=1.5,
    ),
    Scenario(
        "create a task (5 organizations)", _create, statuses=(201,), floor_statuses=(201,), goal=2
    ),
    Scenario("change a result", _patch, who="node", goal=1.6),
    Scenario("log in as a user", _login, _floor_login, who="nobody"),
    Scenario("log in as a node", _node_login, _floor_node_login, who="nobody"),
)


def _create_role(data: Filled, turn: int) -> Request:
    role = {
        "name": f"bench {turn}",
        "description": "",
        "rules": list(data.rule_ids),
        "organization_id": data.organization_id,
    }
    return "POST", "/role", role


def _change_role(data: Filled, turn: int) -> Request:
    return "PATCH", f"/role/{data.role_ids[0]}", {"rules": list(data.rule_ids[turn % 2 :])}


def _plain_write(data: Filled, turn: int) -> Request:
    return "PATCH", f"/organization/{data.organization_id}", {"address1": f"street {turn}"}


NEXT: Request = ("GET", "/organization?page=1&per_page=1", None)
"""A policy that changed is built when somebody is decided by it."""
ROLES = (
    Scenario(
        "create a role (30 rules)", _create_role, _plain_write, "root", (201,), then=NEXT, goal=3
    ),
    Scenario("change a role (30 rules)", _change_role, _plain_write, "root", then=NEXT, goal=3),
)
"""Beside a plain write to the same server, each with the request after it."""
