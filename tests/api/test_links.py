"""What an answer shows of related rows can be fetched by its reader, and nothing is left out.

Every list, every `include` and every sub-list, as callers of all kinds, with the default policy and
with denials on top. What stays whatever its reader may view is what unmodified clients and nodes
read (ADR 17).
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.routes import ROUTES
from tests.support import Caller
from tests.world import World

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

LINKED: dict[str, dict[str, str]] = {
    "organization": {
        "collaborations": "collaboration",
        "nodes": "node",
        "users": "user",
        "results": "result",
        "roles": "role",
    },
    "collaboration": {"organizations": "organization", "nodes": "node", "tasks": "task"},
    "user": {"roles": "role", "rules": "rule", "created_tasks": "task"},
    "role": {"rules": "rule", "users": "user"},
    "rule": {"users": "user"},
    "task": {"children": "task", "results": "result", "collaboration": "collaboration"},
    "result": {"organization": "organization", "ports": "port"},
    "port": {"result": "result"},
    "node": {},
}
"""The kind of row that each attribute of a row links to."""

STAYS = {
    ("task", "parent"),
    ("task", "initiator"),
    ("task", "init_user"),
    ("result", "task"),
    ("result", "node"),
    ("node", "organization"),
    ("node", "collaboration"),
    ("user", "organization"),
    ("role", "organization"),
}
"""ADR 17 says why."""

PLAIN = {"config"}
"""Values that are no links, although they are lists."""

USERS = ("viewer", "researcher", "org_admin", "collab_admin", "analyst", "extra", "nobody")
OTHERS = ("south_viewer", "east_admin", "node_role", "north_registry", "south_trial", "container")

DENIED = (
    ("kind:user", "result", "r.obj.status == 'pending'"),
    ("kind:user", "node", "r.obj.status == 'online'"),
    ("kind:user", "user", "r.obj.id in (6, 8, 10, 12, 14, 16)"),
    ("kind:user", "task", "r.obj.parent != None"),
    ("kind:user", "collaboration", "r.obj.encrypted == True"),
    ("kind:user", "organization", "r.obj.country == 'Denmark' && r.obj.org != r.sub.org"),
    ("kind:user", "role", "r.obj.org == None"),
    ("kind:user", "port", "r.obj.id == 1"),
)
"""Who is denied to view what, when."""


def _lists(world: World) -> Iterator[tuple[str, str]]:
    """The kind of row, and the path, of every list and sub-list of the contract."""
    for route in ROUTES:
        kind = route.path.rpartition("/")[2]
        if route.method == "GET" and kind in LINKED:
            yield kind, route.url(world)
    yield "task", "/task?include=results"
    yield "result", "/result?include=task"
    yield "task", f"/task/{world.task.running}?include=results"
    yield "result", f"/result/{world.result['running', 'north']}?include=task"


def _rows(kind: str, shown: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows in an answer, embedded ones too."""
    for row in shown if isinstance(shown, list) else [shown]:
        yield kind, row
        if kind == "task" and isinstance(row.get("results"), list):
            yield from (("result", one) for one in row["results"] if "input" in one)
        if kind == "result" and isinstance(row["task"], dict) and "run_id" in row["task"]:
            yield "task", row["task"]


def _ids(value: Any) -> set[int]:
    """The ids in an attribute: links, objects or numbers, one or several."""
    values = value if isinstance(value, list) else [value]
    return {one["id"] if isinstance(one, dict) else one for one in values if one is not None}


def _links(call: Caller, who: str, world: World) -> dict[tuple[str, str, int, str], set[int]]:
    """By path, kind, id and attribute: the ids that an answer shows."""
    found = {}
    for kind, path in _lists(world):
        answer = call(who, "GET", path)
        if answer.status_code != 200:
            continue
        for of, row in _rows(kind, answer.json):
            for name, value in row.items():
                if name in LINKED[of] and not (of == "node" and name in PLAIN):
                    found[path, of, row["id"], name] = _ids(value)
    return found


@pytest.mark.parametrize("denied", [(), DENIED], ids=["default policy", "denials"])
def test_a_link_can_be_fetched_and_no_other_is_left_out(
    world: World, call: Caller, denied: tuple[tuple[str, str, str], ...]
) -> None:
    everything = _links(call, "root", world)
    for subject, resource, condition in denied:
        body = {
            "subject": subject,
            "resource": resource,
            "scope": "global",
            "operation": "view",
            "condition": f"{condition} && !('role:root' in r.sub.roles)",
            "effect": "deny",
        }
        assert call("root", "POST", "/policy/line", json=body).status_code == 201, body
    for who in (*USERS, *OTHERS):
        status: dict[str, int] = {}

        def may(path: str, who: str = who, status: dict[str, int] = status) -> bool:
            if path not in status:
                status[path] = call(who, "GET", path).status_code
            return status[path] == 200

        for key, ids in _links(call, who, world).items():
            kind = LINKED[key[1]][key[3]]
            expected = {id for id in everything[key] if may(f"/{kind}/{id}")}
            assert ids == expected, (who, key)


def test_every_link_is_known(world: World, call: Caller) -> None:
    """So that one that is added is decided too, or stands in ADR 17."""
    for who in ("root", "container"):
        for kind, path in _lists(world):
            answer = call(who, "GET", path)
            if answer.status_code != 200:
                continue
            for of, row in _rows(kind, answer.json):
                for name, value in row.items():
                    if isinstance(value, (list, dict)) and name not in PLAIN:
                        assert name in LINKED[of] or (of, name) in STAYS, (path, name)


def test_changes_answer_with_the_same_links(world: World, call: Caller) -> None:
    """What is read again after a change is cut for its reader as well."""
    paths = {
        "collab_admin": (f"/collaboration/{world.collab.registry}", {"name": "renamed"}),
        "org_admin": (f"/organization/{world.org.north}", {"name": "renamed"}),
    }
    for who, (path, body) in paths.items():
        changed = call(who, "PATCH", path, json=body)
        assert changed.status_code == 200, changed.json
        assert changed.json == call(who, "GET", path).json
    members = f"/collaboration/{world.collab.nothing}/organization"
    added = call("collab_admin", "POST", members, json={"id": world.org.south})
    assert added.json == call("collab_admin", "GET", members).json
    nodes = f"/collaboration/{world.collab.registry}/node"
    assert call("collab_admin", "GET", nodes).status_code == 200
    opened = call(
        "north_registry",
        "POST",
        "/port",
        json={"port": 4444, "result_id": world.result["running", "north"]},
    )
    assert opened.json == call("north_registry", "GET", f"/port/{opened.json['id']}").json


def test_rules_are_shown_to_who_may_view_some_role(world: World, call: Caller) -> None:
    """As `GET /rule` asks, on which no line speaks of rules."""
    path = f"/user/{world.user.extra}"
    before = call("extra", "GET", path).json
    assert before["rules"], "nothing to hide"
    line = {"subject": f"user:{world.user.extra}", "resource": "role", "scope": "global"}
    body = {**line, "operation": "view", "condition": "True", "effect": "deny"}
    assert call("root", "POST", "/policy/line", json=body).status_code == 201
    assert call("extra", "GET", f"/rule/{before['rules'][0]['id']}").status_code == 403
    assert call("extra", "GET", path).json["rules"] is None
    assert call("root", "GET", path).json["rules"] == before["rules"]


def test_case_12(world: World, call: Caller) -> None:
    """A Viewer of the west sees no ids of the registry, in an organization that is in both."""
    shown = call("west_researcher", "GET", f"/organization/{world.org.south}").json
    assert _ids(shown["collaborations"]) == {world.collab.trial}
    assert _ids(shown["results"]) == {world.result["waiting", "south"]}
    assert (shown["nodes"], shown["users"], shown["roles"]) == (None, None, [])
