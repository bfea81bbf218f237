"""The end-to-end scenario of the contract (scenario.md), message by message, events included.

Steps have the names of the scenario. Where it says UPSTREAM and BETTER, better is expected.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import jwt
import pytest

from tests.live import LiveServer, live_server
from tests.scenario.actors import (
    IMAGE,
    SECRET,
    Scenario,
    a_jwt,
    a_link,
    a_time,
    a_uuid,
    claims,
    eventually,
)
from tests.scenario.ears import SETTLE_S, Actor, Ears, JsonObject, shows

INPUT = "gASVNgAAAAAAAAB9lCiMBm1hc3RlcpSIjAZtZXRob2SUjAdjZW50cmFslIwEYXJnc5RdlIwGa3dhcmdzlH2UdS4="
OUTPUT = "gASVCgAAAAAAAAB9lIwBbpRLA3Mu"
VERBS = {
    "node": {"GET", "PATCH", "DELETE"},
    "collaboration": {"GET", "PATCH", "DELETE"},
    "role": {"GET", "PATCH", "DELETE"},
    "user": {"GET", "PATCH", "DELETE"},
    "organization": {"GET", "PATCH"},
    "result": {"GET", "PATCH"},
    "task": {"GET", "DELETE"},
    "rule": {"GET"},
}


def at(resource: str, id: int) -> Any:
    """A check for the link `@resource/id`."""
    return a_link("/api", resource, id, VERBS[resource])


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server(V6SRV_JWT_SECRET=SECRET, V6SRV_WATCHDOG_S="600") as running:
        yield running


def test_the_scenario(server: LiveServer) -> None:
    s = Scenario(server)
    try:
        set_up_by_root(s)
        users_log_in_and_open_sockets(s)
        nodes_start(s)
        researcher_creates_a_task(s)
        node1_runs_it(s)
        the_container_creates_a_subtask(s)
        the_main_task_ends(s)
        kill(s)
        users_cannot_send_node_events(s)
        offline_node_and_recovery(s)
        tokens(s)
    finally:
        s.close()


def set_up_by_root(s: Scenario) -> None:
    root = s.root
    assert s.anybody.call("A1", 200, "GET", "/version") == {"version": "3.11.1"}
    assert s.anybody.call("A2", 200, "GET", "/health") == {"database": True}
    body = s.log_in("A3", root, "root", "root")
    shows(
        "A3",
        body,
        {
            "access_token": a_jwt,
            "refresh_token": a_jwt,
            "refresh_url": "/api/token/refresh",
            "user_url": "/api/user/1",
        },
    )
    now = root.claims["iat"]
    shows(
        "A3",
        root.claims,
        {
            "fresh": False,
            "jti": a_uuid,
            "type": "access",
            "sub": 1,
            "nbf": now,
            "exp": now + 21600,
            "client_type": "user",
            "roles": ["Root"],
        },
    )
    alpha = {
        "name": "Alpha",
        "address1": "Main street 1",
        "address2": "",
        "zipcode": "1000",
        "country": "NL",
        "domain": "alpha.example",
    }
    empty = dict.fromkeys(("collaborations", "nodes", "users", "results"))
    assert root.call("A4", 201, "POST", "/organization", alpha) == {
        "id": 2,
        **alpha,
        "public_key": "",
        **empty,
        "roles": [],
    }
    beta = {**alpha, "name": "Beta", "domain": "beta.example"}
    shows("A5", root.call("A5", 201, "POST", "/organization", beta), {"id": 3, "name": "Beta"})
    roles = {role["id"]: role["name"] for role in root.call("A6", 200, "GET", "/role")}
    assert roles == {
        1: "Root",
        2: "container",
        3: "node",
        4: "Viewer",
        5: "Researcher",
        6: "Organization Admin",
        7: "Collaboration Admin",
    }
    study = {"name": "Study", "organization_ids": [2, 3], "encrypted": False}
    shows(
        "A7",
        root.call("A7", 200, "POST", "/collaboration", study),
        {
            "id": 1,
            "name": "Study",
            "encrypted": False,
            "organizations": [at("organization", 2), at("organization", 3)],
            "nodes": None,
            "tasks": None,
        },
    )
    for step, number, organization, name in (("A8", 2, 2, "Alpha"), ("A9", 3, 3, "Beta")):
        asked = {"organization_id": organization, "collaboration_id": 1, "name": None}
        node = root.call(step, 201, "POST", "/node", asked)
        key = node.pop("api_key")
        assert a_uuid(key), step
        expected = {
            "id": number,
            "name": f"{name} - Study Node",
            "type": "node",
            "status": None,
            "ip": None,
            "last_seen": None,
            "config": [],
            "organization": at("organization", organization),
            "collaboration": at("collaboration", 1),
        }
        shows(step, node, expected)
        assert set(node) == set(expected), step
        if number == 2:
            s.key1 = key
        else:
            s.key2 = key
    people = (
        ("A10", 4, "rita", "Researcher", "Rita-pass-1", "rita@alpha.example", 2, 5),
        ("A11", 5, "cody", "Admin", "Cody-pass-1", "cody@beta.example", 3, 7),
    )
    for step, number, name, last, password, email, organization, role in people:
        user = root.call(
            step,
            201,
            "POST",
            "/user",
            {
                "username": name,
                "firstname": name.capitalize(),
                "lastname": last,
                "password": password,
                "email": email,
                "organization_id": organization,
                "roles": [role],
                "rules": [],
            },
        )
        shows(
            step,
            user,
            {
                "id": number,
                "username": name,
                "email": email,
                "organization": at("organization", organization),
                "roles": [at("role", role)],
                "rules": None,
                "type": "user",
                "created_tasks": [],
            },
        )
        assert not user.get("otp_secret"), step
        assert "password" not in user, step


def users_log_in_and_open_sockets(s: Scenario) -> None:
    body = s.log_in("B1", s.rita, "rita", "Rita-pass-1")
    assert body["user_url"] == "/api/user/4", "B1"
    shows("B1", s.rita.claims, {"roles": ["Researcher"], "sub": 4})
    shows(
        "B2",
        s.rita.call("B2", 200, "GET", "/user/4"),
        {"id": 4, "organization": at("organization", 2), "last_seen": a_time},
    )
    shows(
        "B3",
        s.rita.call("B3", 200, "GET", "/organization/2"),
        {
            "id": 2,
            "name": "Alpha",
            "collaborations": [at("collaboration", 1)],
            "nodes": [at("node", 2)],
            "users": [at("user", 4)],
        },
    )
    s.log_in("B4", s.cody, "cody", "Cody-pass-1")
    s.listen(s.rita)
    joined = "User <{}> joined room <{}>"
    s.hear("B5", "message", joined.format("rita", "collaboration_1_organization_2"), s.rita)
    s.listen(s.cody, ["websocket"])
    s.hear("B6", "message", joined.format("cody", "collaboration_1"), s.cody)
    s.listen(s.root, ["polling"])
    s.hear("B7", "message", joined.format("root", "collaboration_1"), s.root, s.cody)
    s.silence("B")


def nodes_start(s: Scenario) -> None:
    node1, node2, root, cody, rita = s.node1, s.node2, s.root, s.cody, s.rita
    s.log_in_node("C1", node1, s.key1, 2)
    node = node1.call("C2", 200, "GET", "/node/2")
    assert "api_key" not in node, "C2"
    shows(
        "C2",
        node,
        {
            "id": 2,
            "name": "Alpha - Study Node",
            "status": None,
            "collaboration": at("collaboration", 1),
            "organization": at("organization", 2),
        },
    )
    shows("C3", node1.call("C3", 200, "GET", "/organization/2"), {"name": "Alpha"})
    shows(
        "C4",
        node1.call("C4", 200, "GET", "/collaboration/1"),
        {
            "id": 1,
            "name": "Study",
            "encrypted": False,
            "organizations": [at("organization", 2), at("organization", 3)],
            "nodes": [at("node", 2)],  # recorded with node 3, which is 403 to it (ADR 17)
            "tasks": None,
        },
    )
    node1.call("C5", 501, "GET", "/vpn")
    node1_goes_online(s, "C6", root, cody, rita)
    assert node1.call("C7", 200, "GET", "/result?state=open&include=task&node_id=2") == []
    config = {
        "encryption": False,
        "allowed_algorithms": ["^harbor.example/.*"],
        "allowed_orgs": ["2", "3"],
    }
    assert node1.ears
    node1.ears.emit("node_info_update", config)
    node1.ears.emit("ping")
    stored = [
        {"key": "encryption", "value": "0"},
        {"key": "allowed_algorithms", "value": "^harbor.example/.*"},
        {"key": "allowed_orgs", "value": "2"},
        {"key": "allowed_orgs", "value": "3"},
    ]
    eventually(
        lambda: shows(
            "C10",
            root.call("C10", 200, "GET", "/node/2"),
            {"status": "online", "config": stored},
        )
    )
    s.log_in_node("C11", node2, s.key2, 3)
    shows("C11", node2.call("C11", 200, "GET", "/node/3"), {"name": "Beta - Study Node"})
    node2_goes_online(s, "C11")
    assert node2.ears
    node2.ears.emit("node_info_update", {"encryption": False})
    node2.ears.emit("ping")
    s.silence("C11")


def node1_goes_online(s: Scenario, step: str, *others: Actor) -> None:
    """`others` are who listens: users of the collaboration, and rita of the organization."""
    s.listen(s.node1)
    s.hear(step, "sync", None, s.node1)  # it may be one of 4.x; one of 3.x does not know it
    online = {"id": 2, "name": "Alpha - Study Node", "org_id": 2}
    s.hear(step, "node-online", online, *others)
    joined = "Node <Alpha - Study Node> joined room <{}>"
    wide = [actor for actor in others if actor is not s.rita]
    s.hear(step, "message", joined.format("collaboration_1"), s.node1, *wide)
    near = [actor for actor in others if actor is s.rita]
    s.hear(step, "message", joined.format("collaboration_1_organization_2"), s.node1, *near)
    s.silence(step)


def node2_goes_online(s: Scenario, step: str) -> None:
    s.listen(s.node2, ["websocket"])
    s.hear(step, "sync", None, s.node2)
    online = {"id": 3, "name": "Beta - Study Node", "org_id": 3}
    s.hear(step, "node-online", online, s.root, s.cody, s.node1)
    joined = "Node <Beta - Study Node> joined room <{}>"
    s.hear_all(step, "message", joined.format("collaboration_1"))
    s.hear(step, "message", joined.format("collaboration_1_organization_3"), s.node2)
    s.silence(step)


def order(name: str, *organizations: int, description: str = "demo") -> JsonObject:
    return {
        "name": name,
        "image": IMAGE,
        "collaboration_id": 1,
        "description": description,
        "organizations": [{"id": id, "input": INPUT} for id in organizations],
        "database": "default",
    }


def researcher_creates_a_task(s: Scenario) -> None:
    shows("D1", s.rita.call("D1", 200, "GET", "/organization/2"), {"public_key": ""})
    task = {
        "id": 1,
        "name": "average",
        "description": "demo",
        "image": IMAGE,
        "database": "default",
        "run_id": 1,
        "collaboration": at("collaboration", 1),
        "initiator": 2,
        "init_user": 4,
        "parent": None,
        "children": None,
        "results": [at("result", 1)],
        "status": "pending",
        "complete": False,
        "created_at": a_time,
        "finished_at": None,
    }
    answer = s.rita.call("D2", 201, "POST", "/task", order("average", 2))
    shows("D2", answer, task)
    assert set(answer) == set(task), "D2"
    created = {"task_id": 1, "run_id": 1, "collaboration_id": 1, "init_org_id": 2}
    s.hear_all("D2", "task_created", created)
    s.hear_all("D2", "new_task", 1)
    s.silence("D2")
    [queued] = s.node1.call("D3", 200, "GET", "/result?state=open&include=task&task_id=1&node_id=2")
    del task["results"]
    expected = {
        "id": 1,
        "input": INPUT,
        "result": None,
        "log": None,
        "status": "pending",
        "assigned_at": a_time,
        "started_at": None,
        "finished_at": None,
        "ports": [],
        "organization": at("organization", 2),
        "node": {
            "id": 2,
            "name": "Alpha - Study Node",
            "ip": None,
            "status": "online",
            "config": lambda ids: len(ids) == 4 and all(isinstance(id, int) for id in ids),
        },
        "task": task,
    }
    shows("D3", queued, expected)
    assert set(queued) == set(expected), "D3"
    assert set(queued["task"]) == set(task), "D3"
    path = "/result?state=open&include=task&task_id=1&node_id=3"
    assert s.node2.call("D4", 200, "GET", path) == []


def status_change(status: str, result: int, task: int, parent: int | None = None) -> JsonObject:
    return {
        "node_id": 2,
        "status": status,
        "result_id": result,
        "task_id": task,
        "collaboration_id": 1,
        "organization_id": 2,
        "parent_id": parent,
    }


def report(s: Scenario, step: str, node: Actor, event: JsonObject) -> None:
    """The node sends algorithm_status_change and the collaboration hears it, with its run."""
    assert node.ears
    node.ears.emit("algorithm_status_change", event)
    s.hear_all(step, "algorithm_status_change", {**event, "run_id": 1})


def node1_runs_it(s: Scenario) -> None:
    node1 = s.node1
    shows(
        "E1",
        node1.call("E1", 200, "PATCH", "/result/1", {"started_at": "2026-11-24T06:28:09.425079"}),
        {
            "id": 1,
            "status": "pending",
            "started_at": "2026-11-24T06:28:09.425079+00:00",
            "result": None,
            "task": at("task", 1),
        },
    )
    s.hear_all("E1", "status_update", {"result_id": 1})
    asked = {"task_id": 1, "image": IMAGE}
    answer = node1.call("E2", 200, "POST", "/token/container", asked)
    s.container.token = answer["container_token"]
    s.container.claims = claims(s.container.token)
    shows(
        "E2",
        s.container.claims,
        {
            "client_type": "container",
            "roles": [],
            "sub": {
                "client_type": "container",
                "node_id": 2,
                "organization_id": 2,
                "collaboration_id": 1,
                "task_id": 1,
                "image": IMAGE,
                "database": "default",
            },
        },
    )
    shows(
        "E3",
        node1.call("E3", 200, "PATCH", "/result/1", {"status": "active"}),
        {"status": "active", "started_at": a_time},
    )
    s.hear_all("E3", "status_update", {"result_id": 1})
    report(s, "E4", node1, status_change("active", 1, 1))
    node1.call("E5", 200, "DELETE", "/port?result_id=1")
    port = {"port": 50001, "label": "http", "result_id": 1}
    answer = node1.call("E6", 201, "POST", "/port", port)
    assert answer == {"id": 1, "port": 50001, "label": "http", "result": 1}, "E6"
    answer = node1.call("E7", 200, "PATCH", "/node/2", {"ip": "10.76.0.5"})
    shows("E7", answer, {"id": 2, "ip": "10.76.0.5", "name": "Alpha - Study Node"})
    s.silence("E")


def the_container_creates_a_subtask(s: Scenario) -> None:
    container, node1, node2 = s.container, s.node1, s.node2
    members = container.call("F1", 200, "GET", "/organization?collaboration_id=1")
    shows(
        "F1",
        members,
        [{"id": 2, "name": "Alpha", "public_key": ""}, {"id": 3, "name": "Beta"}],
    )
    assert container.call("F2", 200, "GET", "/collaboration/1/organization") == members
    shows(
        "F3",
        container.call("F3", 200, "GET", "/collaboration/1"),
        {"id": 1, "encrypted": False, "tasks": [at("task", 1)]},
    )
    address = {
        "port": 50001,
        "label": "http",
        "ip": "10.76.0.5",
        "organization_id": 2,
        "task_id": 1,
        "parent_id": None,
    }
    found = {"addresses": [address]}
    assert container.call("F4", 200, "GET", "/vpn/algorithm/addresses") == found
    flags = "&".join(
        f"{name}=False"
        for name in ("only_children", "only_parent", "include_children", "include_parent")
    )
    assert container.call("F5", 200, "GET", f"/vpn/algorithm/addresses?{flags}") == found
    shows("F6", container.call("F6", 200, "GET", "/node/2"), {"id": 2})
    subtask = container.call(
        "F7",
        201,
        "POST",
        "/task",
        order("subtask", 2, 3, description="task from container on node_id=2"),
    )
    shows(
        "F7",
        subtask,
        {
            "id": 2,
            "name": "subtask",
            "run_id": 1,
            "parent": at("task", 1),
            "initiator": 2,
            "init_user": 4,
            "results": [at("result", 2), at("result", 3)],
            "status": "pending",
        },
    )
    created = {"task_id": 2, "run_id": 1, "collaboration_id": 1, "init_org_id": 2}
    s.hear_all("F7", "task_created", created)
    s.hear_all("F7", "new_task", 2)
    s.silence("F7")
    runs_its_part(s, node1, 2, 2)
    runs_its_part(s, node2, 3, 3)
    shows(
        "F21",
        container.call("F21", 200, "GET", "/task/2"),
        {"status": "completed", "complete": True, "finished_at": a_time},
    )
    part = {
        "result": OUTPUT,
        "task": 2,
        "status": "completed",
        "log": "done\n",
        "input": INPUT,
        "ports": [],
    }
    node = {"id": 2, "name": "Alpha - Study Node", "ip": "10.76.0.5", "status": "online"}
    shows(
        "F22",
        container.call("F22", 200, "GET", "/task/2/result"),
        [
            {"id": 2, "organization": 2, "node": node, **part},
            {"id": 3, "organization": 3, "node": {"id": 3, "ip": None}, **part},
        ],
    )


def runs_its_part(s: Scenario, node: Actor, number: int, organization: int) -> None:
    """F8 to F19 by the node of result `number`."""
    node_id = node.claims["sub"]
    path = f"/result?state=open&include=task&task_id=2&node_id={node_id}"
    task = {"id": 2, "parent": at("task", 1), "run_id": 1, "initiator": 2, "init_user": 4}
    shows("F8", node.call("F8", 200, "GET", path), [{"id": number, "task": task}])
    mine = f"/result/{number}"
    started = {"started_at": datetime.now().isoformat()}
    node.call("F9", 200, "PATCH", mine, started)
    asked = {"task_id": 2, "image": IMAGE}
    node.call("F10", 200, "POST", "/token/container", asked)
    node.call("F11", 200, "PATCH", mine, {"status": "active"})
    for _ in range(2):
        s.hear_all("F11", "status_update", {"result_id": number})
    change = {
        **status_change("active", number, 2, parent=1),
        "node_id": node_id,
        "organization_id": organization,
    }
    report(s, "F12", node, change)
    shows(
        "F13",
        s.container.call("F13", 200, "GET", "/task/2"),
        {"id": 2, "status": "active", "complete": False, "finished_at": None},
    )
    node.call("F14", 200, "DELETE", f"/port?result_id={number}")
    report(s, "F15", node, {**change, "status": "completed"})
    shows(
        "F16",
        node.call("F16", 200, "GET", mine),
        {"id": number, "status": "active", "result": None, "task": at("task", 2)},
    )
    shows("F17", node.call("F17", 200, "GET", "/task/2"), {"id": 2, "initiator": 2})
    shows("F18", node.call("F18", 200, "GET", "/organization/2"), {"public_key": ""})
    finished = "2026-11-24T06:28:14.113388"
    shows(
        "F19",
        node.call(
            "F19",
            200,
            "PATCH",
            mine,
            {"result": OUTPUT, "log": "done\n", "status": "completed", "finished_at": finished},
        ),
        {
            "id": number,
            "result": OUTPUT,
            "log": "done\n",
            "status": "completed",
            "finished_at": f"{finished}+00:00",
        },
    )
    s.hear_all("F19", "status_update", {"result_id": number})
    s.silence("F19")


def the_main_task_ends(s: Scenario) -> None:
    node1, rita = s.node1, s.rita
    report(s, "G1", node1, status_change("completed", 1, 1))
    node1.call("G2", 200, "DELETE", "/port?result_id=1")
    end = {
        "result": OUTPUT,
        "log": "done\n",
        "status": "completed",
        "finished_at": datetime.now().isoformat(),
    }
    node1.call("G3", 200, "PATCH", "/result/1", end)
    s.hear_all("G3", "status_update", {"result_id": 1})
    node1.call("G4", 400, "PATCH", "/result/1", {"status": "crashed"})
    s.silence("G4")
    shows(
        "G5",
        rita.call("G5", 200, "GET", "/task/1"),
        {
            "complete": True,
            "status": "completed",
            "finished_at": a_time,
            "children": [at("task", 2)],
            "results": [at("result", 1)],
        },
    )
    shows(
        "G6",
        rita.call("G6", 200, "GET", "/result?task_id=1"),
        [
            {
                "id": 1,
                "result": OUTPUT,
                "input": INPUT,
                "log": "done\n",
                "task": at("task", 1),
                "organization": at("organization", 2),
            }
        ],
    )
    task = rita.call("G7", 200, "GET", "/task/1?include=results")
    embedded = {"id": 1, "result": OUTPUT, "organization": 2, "status": "completed"}
    shows("G7", task, {"results": [embedded]})
    assert "task" not in task["results"][0], "G7"
    said = s.container.call("G8", 401, "POST", "/task", order("late", 2))
    shows("G8", said, {"msg": "Container-token is not valid"})
    asked = {"task_id": 1, "image": IMAGE}
    node1.call("G9", 400, "POST", "/token/container", asked)


def kill(s: Scenario) -> None:
    root, rita, cody, node1 = s.root, s.rita, s.cody, s.node1
    shows(
        "H1",
        rita.call("H1", 201, "POST", "/task", order("long", 2, 3)),
        {"id": 3, "run_id": 2, "results": [at("result", 4), at("result", 5)]},
    )
    created = {"task_id": 3, "run_id": 2, "collaboration_id": 1, "init_org_id": 2}
    s.hear_all("H1", "task_created", created)
    s.hear_all("H1", "new_task", 3)
    rita.call("H2", 403, "POST", "/kill/task", {"id": 3})
    s.silence("H2")
    shows(
        "H3",
        cody.call("H3", 200, "POST", "/kill/task", {"id": 3}),
        {"msg": lambda text: "3" in text},
    )
    killed = {
        "kill_list": [
            {"task_id": 3, "result_id": 4, "organization_id": 2},
            {"task_id": 3, "result_id": 5, "organization_id": 3},
        ],
        "collaboration_id": 1,
    }
    s.hear_all("H3", "kill_containers", killed)
    closed = {"status": "killed by user", "finished_at": a_time, "result": None}
    shows(
        "H4",
        cody.call("H4", 200, "GET", "/task/3?include=results"),
        {
            "status": "failed",
            "complete": True,
            "results": [{"id": 4, **closed}, {"id": 5, **closed}],
        },
    )
    node1.call("H5", {200, 400}, "PATCH", "/result/4", {"status": "killed by user"})
    node1.call("H6", 403, "PATCH", "/result/5", {"status": "killed by user"})
    cody.call("H7", 400, "POST", "/kill/task", {"id": 3})
    s.silence("H7")
    everything = {"node_id": 2, "collaboration_id": 1}
    root.call("H8", 200, "POST", "/kill/node/tasks", {"id": 2})
    s.hear_all("H8", "kill_containers", everything)
    cody.call("H9", 200, "POST", "/kill/node/tasks", {"id": 2})
    s.hear_all("H9", "kill_containers", everything)
    root.call("H10", 404, "POST", "/kill/task", {"id": 999})
    root.call("H10", 400, "POST", "/kill/task", {})
    s.silence("H10")


def users_cannot_send_node_events(s: Scenario) -> None:
    ears = s.rita.ears
    assert ears
    ears.emit("algorithm_status_change", status_change("active", 1, 1))
    ears.emit("node_info_update", {"x": 1})
    ears.emit("ping")
    ears.emit("message", "hello")
    ears.emit("error", "boo")
    ears.emit("something_else", {})
    time.sleep(SETTLE_S)
    assert [event for event in ears.events if event[0] == "algorithm_status_change"] == [], "I1"
    s.silence("I1")
    shows("I3", s.root.call("I3", 200, "GET", "/user/4"), {"status": "online"})
    for number, count in ((2, 4), (3, 1)):
        node = s.root.call("I2", 200, "GET", f"/node/{number}")
        assert len(node["config"]) == count, "I2"
    assert ears.connected, "I4"


def offline_node_and_recovery(s: Scenario) -> None:
    root, rita, node2 = s.root, s.rita, s.node2
    assert node2.ears
    node2.ears.close()
    node2.ears = None
    left = "Beta - Study Node left room collaboration_1"
    s.hear("J1", "message", left, root, s.cody, s.node1)
    offline = {"id": 3, "name": "Beta - Study Node", "org_id": 3}
    s.hear("J1", "node-offline", offline, root, s.cody, s.node1)
    s.silence("J1")
    shows("J2", root.call("J2", 200, "GET", "/node/3"), {"status": "offline", "config": []})
    root.call("J3", 400, "POST", "/kill/node/tasks", {"id": 3})
    shows(
        "J4",
        rita.call("J4", 201, "POST", "/task", order("offline", 3)),
        {"id": 4, "run_id": 3, "results": [at("result", 6)]},
    )
    created = {"task_id": 4, "run_id": 3, "collaboration_id": 1, "init_org_id": 2}
    s.hear("J4", "task_created", created, root, s.cody, s.node1)
    s.hear("J4", "new_task", 4, root, s.cody, s.node1)
    s.silence("J4")
    node2_goes_online(s, "J5")
    shows(
        "J6",
        node2.call("J6", 200, "GET", "/result?state=open&include=task&node_id=3"),
        [{"id": 6, "task": {"id": 4, "name": "offline"}}],
    )
    root.call("J7", 200, "DELETE", "/task/4")
    last = {
        "kill_list": [{"task_id": 4, "result_id": 6, "organization_id": 3}],
        "collaboration_id": 1,
    }
    s.hear_all("J7", "kill_containers", last)
    s.silence("J7")
    assert rita.ears
    rita.ears.close()
    rita.ears = None
    s.hear("J8", "message", "rita left room collaboration_1_organization_2", s.node1)
    eventually(lambda: shows("J8", root.call("J8", 200, "GET", "/user/4"), {"status": "offline"}))


def tokens(s: Scenario) -> None:
    root, cody, node1, node2 = s.root, s.cody, s.node1, s.node2
    assert node1.ears
    node1.ears.close()
    node1.ears = None
    offline = {"id": 2, "name": "Alpha - Study Node", "org_id": 2}
    s.hear("K", "node-offline", offline, root, cody, node2)
    left = "Alpha - Study Node left room collaboration_1"
    s.hear("K", "message", left, root, cody, node2)
    s.silence("K")
    body = s.log_in_node("K", node1, s.key1, 2)
    expired = Actor(s.server.api, _expired(body["access_token"]))
    ears = Ears(s.server.url, expired.token)
    ears.take("K1", "expired_token", None)
    s.silence("K1")  # nobody hears that an expired token came
    ears.nothing_left("K1")
    ears.close()
    shows("K1", root.call("K1", 200, "GET", "/node/2"), {"status": "offline"})
    refresh = Actor(s.server.api, body["refresh_token"])
    renewed = refresh.call("K2", 200, "POST", "/token/refresh")
    shows("K2", renewed, {"access_token": a_jwt, "refresh_token": a_jwt})
    node1.token = renewed["access_token"]
    node1_goes_online(s, "K2", root, cody, node2)
    shows("K2", root.call("K2", 200, "GET", "/node/2"), {"status": "online"})
    shows("K3", expired.call("K3", 401, "GET", "/node/2"), {"msg": "Token has expired"})
    access = Actor(s.server.api, body["access_token"])
    said = access.call("K4", 422, "POST", "/token/refresh")
    shows("K4", said, {"msg": "Only refresh tokens are allowed"})
    said = refresh.call("K5", 422, "GET", "/node/2")
    shows("K5", said, {"msg": "Only non-refresh tokens are allowed"})
    wrong = {"username": "rita", "password": "wrong"}
    said = s.anybody.call("K6", 401, "POST", "/token/user", wrong)
    shows("K6", said, {"msg": "Failed to login"})
    s.anybody.call("K7", 401, "POST", "/token/node", {"api_key": "x"})
    for _ in range(4):
        s.anybody.call("K8", 401, "POST", "/token/user", wrong)
    right = {"username": "rita", "password": "Rita-pass-1"}
    said = s.anybody.call("K8", 401, "POST", "/token/user", right)
    shows("K8", said, {"msg": "Failed to login"})
    fresh = s.root.call("K9", 200, "POST", "/recover/node", {"id": 2})
    shows("K9", fresh, {"api_key": a_uuid})
    s.anybody.call("K9", 401, "POST", "/token/node", {"api_key": s.key1})
    s.log_in_node("K9", node1, fresh["api_key"], 2)


def _expired(token: str) -> str:
    """The same token, as if it had been issued long ago."""
    said = claims(token)
    for name in ("iat", "nbf", "exp"):
        said[name] -= 100_000
    return jwt.encode(said, SECRET, "HS256")


def test_the_watchdog_notices_a_silent_node() -> None:
    """Section L, with a watchdog that waits two seconds instead of 65."""
    with live_server(V6SRV_WATCHDOG_S="2") as server:
        s = Scenario(server)
        set_up_by_root(s)
        s.log_in_node("L", s.node2, s.key2, 3)
        ears = s.listen(s.node2)
        eventually(
            lambda: shows("L", s.root.call("L", 200, "GET", "/node/3"), {"status": "online"})
        )
        deadline = time.monotonic() + 15
        while s.root.call("L", 200, "GET", "/node/3")["status"] == "online":
            assert time.monotonic() < deadline, "L: the node stays online"
            time.sleep(0.2)
        ears.emit("ping")
        eventually(
            lambda: shows("L", s.root.call("L", 200, "GET", "/node/3"), {"status": "online"})
        )
        ears.close()
