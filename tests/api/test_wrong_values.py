"""Bodies whose fields hold what nobody expects: accepted or refused, but never a server error."""

import json
from typing import Any

from werkzeug.test import TestResponse

from tests.api.test_matrix import HUGE, routes, survived
from tests.contract.routes import Route
from tests.support import Caller, counting_commits
from tests.world import World

WRONG = (
    *(None, True, False, -1, 0, 1.5, *HUGE, -(10**30), "", " ", "abc", "1", "NaN"),
    *("\x00", "a\x00b", "\ud800", "\U0001f9ec", "\u202e\u0000", "e\u0301" * 5_000),
    *([], {}, [[]], [{}], [None], ["x"], [0], [-1], [10**30], ["\x00"], [1] * 3, {"id": 1}),
    *([{"id": None}], [{"id": "x"}], [{"id": 10**30}], [{"id": 1, "input": {"a": "\x00"}}]),
)
"""Values for fields that expect something else, or this with other limits."""


def bodies(world: World) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """For each endpoint with a body: who may call it, and a body that is right."""
    node, org, task = world.node.south_registry, world.org.west, world.task.running
    own_result = world.result["running", "north"]
    address = {"address1": "a", "address2": "b", "zipcode": "c", "country": "d", "domain": "e"}
    organization = {"name": "new", "public_key": "bmV3", **address}
    person = {"username": "new", "firstname": "New", "lastname": "User", "email": "new@x.example"}
    new_node = {"name": "new", "organization_id": org, "collaboration_id": world.collab.nothing}
    role = {"name": "new", "description": "new", "rules": [1], "organization_id": world.org.north}
    return {
        "POST /token/user": (None, {"username": "viewer", "password": "x", "mfa_code": "1"}),
        "POST /token/node": (None, {"api_key": "0b6f2a34-7e1c-4b0e-8d55-0d3f3a1c9e01"}),
        "POST /token/container": ("north_registry", {"task_id": task, "image": "x"}),
        "POST /node": ("root", new_node),
        "PATCH /node/{id}": ("root", {**new_node, "ip": "10.0.0.1", "clear_ip": False}),
        "POST /organization": ("root", organization),
        "PATCH /organization/{id}": ("root", organization),
        "POST /collaboration": (
            "root",
            {"name": "new", "organization_ids": [org], "encrypted": 1},
        ),
        "PATCH /collaboration/{id}": (
            "root",
            {"name": "new", "organization_ids": [world.org.north, org], "encrypted": True},
        ),
        "POST /collaboration/{id}/organization": ("root", {"id": org}),
        "DELETE /collaboration/{id}/organization": ("root", {"id": org}),
        "POST /collaboration/{id}/node": ("root", {"id": node}),
        "DELETE /collaboration/{id}/node": ("root", {"id": node}),
        "POST /task": (
            "researcher",
            {
                "name": "new",
                "description": "new",
                "image": "x",
                "database": "default",
                "collaboration_id": world.collab.registry,
                "organizations": [{"id": world.org.north, "input": "aW5wdXQ="}],
            },
        ),
        "PATCH /result/{id}": (
            "north_registry",
            {
                "started_at": "2024-03-01T12:01:00.5",
                "finished_at": None,
                "status": "active",
                "result": "eA==",
                "log": "x",
            },
        ),
        "POST /user": (
            "root",
            {
                **person,
                "password": "Str0ng-Pass!",
                "organization_id": world.org.north,
                "roles": [world.role.viewer],
                "rules": [1],
            },
        ),
        "PATCH /user/{id}": (
            "root",
            {**person, "roles": [world.role.viewer], "rules": [1], "password": ""},
        ),
        "POST /role": ("root", role),
        "PATCH /role/{id}": ("root", role),
        "POST /port": ("north_registry", {"port": 80, "result_id": own_result, "label": "x"}),
        "POST /vpn/update": ("north_registry", {"vpn_config": "x"}),
        "POST /recover/lost": (None, {"username": "unknown", "email": "unknown@x.example"}),
        "POST /recover/reset": (None, {"reset_token": "x", "password": "Str0ng-Pass!"}),
        "POST /recover/2fa/lost": (None, {"username": "unknown", "email": "x", "password": "x"}),
        "POST /recover/2fa/reset": (None, {"reset_token": "x"}),
        "PATCH /password/change": (
            "viewer",
            {"current_password": "x", "new_password": "N3w-Password!"},
        ),
        "POST /recover/node": ("root", {"id": node}),
        "POST /kill/task": ("root", {"id": task}),
        "POST /kill/node/tasks": ("root", {"id": world.node.north_registry}),
    }


@routes(lambda route: route.body)
def test_fields_with_wrong_values(call: Caller, world: World, route: Route) -> None:
    """Accepted or refused, but never an error of the server; what is refused stores nothing."""
    who, right = bodies(world)[str(route)]
    if who:
        call(who, "GET", "/organization")  # writes when it was last seen
    url = route.url(world)
    counts = route.anonymous or route.path == "/password/change"
    for field in right:
        for value in WRONG:
            with counting_commits() as commits:
                answer = _send(call, who, route.method, url, {**right, field: value})
            survived(answer, f"{field}={str(value)[:50]!r}")
            # A wrong password is counted; nothing else that is refused leaves a trace.
            if answer.status_code >= 400 and not counts:
                assert commits == [], f"{field}={str(value)[:50]!r}"
    for field in right:
        rest = {name: value for name, value in right.items() if name != field}
        survived(_send(call, who, route.method, url, rest), f"without {field}")


def _send(call: Caller, who: str | None, method: str, url: str, body: Any) -> TestResponse:
    """Written by json.dumps: it can write lone surrogates, which the server must survive."""
    data = json.dumps(body).encode()
    return call(who, method, url, data=data, content_type="application/json")


@routes(lambda route: route.body)
def test_fields_in_the_wrong_place(call: Caller, world: World, route: Route) -> None:
    """In places 3.x took what the body lacks from the URL. It is refused: a default would count."""
    who, right = bodies(world)[str(route)]
    if who:
        call(who, "GET", "/organization")  # writes when it was last seen
    for field, value in right.items():
        if (str(route), field) == ("PATCH /role/{id}", "organization_id"):
            continue  # no field of this body: without effect in either place
        body = {name: given for name, given in right.items() if name != field}
        with counting_commits() as commits:
            answer = call(who, route.method, route.url(world), json=body, query={field: str(value)})
        assert answer.status_code == 400, (field, answer.json)
        assert commits == []
