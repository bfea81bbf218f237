"""The session that was recorded with programs of 4.x (scenario.md of 4.x), message by message.

Steps have the names of the scenario. Where it says UPSTREAM and BETTER, better is expected, and 403
where rights are missing (rest.md 1, 16), as in 3.x. Ids of tasks and runs are those of this session:
the recorded one had two tasks more between C and D.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import LiveServer, live_server
from tests.scenario.actors import IMAGE, SECRET, a_jwt, a_naive_time, a_uuid, claims, eventually
from tests.scenario.ears import Actor, JsonObject, shows
from tests.scenario.shapes4 import ALPHA, BETA, OUTPUT, Scenario4, order

PROGRAMS = "python-requests/2.33.1"
DATABASES = [
    {"label": "default", "arguments": {"a": 1}},
    {"label": "other", "query": "select 1"},
]
DEFAULT_ROLES = (
    "Root",
    "container",
    "node",
    "Viewer",
    "Researcher",
    "Organization Admin",
    "Collaboration Admin",
)


@pytest.fixture
def server() -> Iterator[LiveServer]:
    with live_server(V6SRV_JWT_SECRET=SECRET, V6SRV_WATCHDOG_S="600") as running:
        yield running


@pytest.mark.parametrize(("base", "agent"), [("/v4/api", None), ("/api", PROGRAMS)])
def test_the_scenario_of_4(server: LiveServer, base: str, agent: str | None) -> None:
    s = Scenario4(server, base, agent)
    try:
        set_up_by_root(s)
        people_come(s)
        sockets_and_nodes(s)
        a_task_in_a_study(s)
        a_central_algorithm(s)
        kill(s)
        other_answers(s)
        lists_have_pages(s)
        s.silence("F")
        what_is_refused(s)  # last: who listens is told of the rooms of another collaboration
    finally:
        s.close()


# --- A


def set_up_by_root(s: Scenario4) -> None:
    root = s.root
    assert s.anybody.call("A1", 200, "GET", "/version") == {"version": "4.15.2"}
    assert s.anybody.call("A1", 200, "GET", "/health") == {"database": True}
    body = s.log_in("A2", root, "root", "root")
    tokens = {"access_token": a_jwt, "refresh_token": a_jwt}
    urls = s.links(refresh_url="token/refresh", user_url="user/1")
    s.is_("A2", body, {**tokens, **urls})
    now = root.claims["iat"]
    expected = {
        "fresh": False,
        "iat": now,
        "nbf": now,
        "jti": a_uuid,
        "exp": now + 21600,
        "type": "access",
        "sub": 1,
        "client_type": "user",
        "roles": ["Root"],
    }
    shows("A2", root.claims, expected)
    nameless = {"firstname": None, "lastname": None, "email": "root@domain.ext"}
    me = s.user(1, "root", "", 1, last_seen=a_naive_time, **nameless)
    s.gets("A3", root, "/user/1", me)
    shows("A4", root.call("A4", 200, "GET", "/organization/1"), {"id": 1, "name": "root"})
    for id, sent in ((2, ALPHA), (3, BETA)):
        answer = root.call("A5", 201, "POST", "/organization", sent)
        s.is_("A5", answer, s.organization(id))
    roles = [
        {
            "id": id,
            "name": name,
            "description": lambda text: isinstance(text, str),
            "is_default_role": True,
            "organization": None,
            **s.links(rules=f"rule?role_id={id}", users=f"user?role_id={id}"),
        }
        for id, name in enumerate(DEFAULT_ROLES, 1)
    ]
    s.lists("A6", root, "/role?page=1&per_page=20", *roles)
    sent = {"name": "Study", "organization_ids": [2, 3], "encrypted": False}
    s.is_("A7", root.call("A7", 200, "POST", "/collaboration", sent), s.collaboration)
    s.gets("A8", root, "/collaboration/1", s.collaboration)
    sent = {"name": "Pilot", "organization_ids": [2, 3], "collaboration_id": 1}
    study = root.call("A9", 201, "POST", "/study", sent)
    s.is_("A9", study, {**s.study, "organizations": s.members})
    for id in (2, 3):
        sent = {"organization_id": id, "collaboration_id": 1}
        node = root.call("A10", 201, "POST", "/node", sent)
        s.is_("A10", node, s.node(id, api_key=a_uuid))
        s.key1, s.key2 = s.key2, node["api_key"]


def people_come(s: Scenario4) -> None:
    root = s.root
    people = ((4, "rita", "Researcher", 2, 5), (5, "cody", "Admin", 3, 7))
    for id, name, last, organization, role in people:
        expected = s.user(id, name, last, organization)
        sent = {
            "username": name,
            "firstname": expected["firstname"],
            "lastname": last,
            "password": f"{expected['firstname']}-pass-1",
            "email": expected["email"],
            "organization_id": organization,
            "roles": [role],
            "rules": [],
        }
        s.is_("A11", root.call("A11", 201, "POST", "/user", sent), expected)
    ours = "/collaboration?page=1&per_page=20&organization_id=1"
    s.lists("A12", root, ours, links={"first": ours, "self": ours})
    path = "/organization?collaboration_id=1"
    pages = dict.fromkeys(("first", "self", "last"), f"{path}&page=1")
    s.lists("A13", root, path, *s.members, links=pages)
    s.gets("A14", root, "/study/1", s.study)
    first = {"id": 1, "name": "node", "operation": "VIEW", "scope": "GLOBAL"}
    rule = {**first, "description": lambda text: isinstance(text, str)}
    s.gets("A15", root, "/rule/1", {**rule, **s.links(users="user?rule_id=1")})
    # Roles give what they give in 3.x (ADR 29); in 4.x a Researcher hears its collaborations.
    rules = root.call("A", 200, "GET", "/rule?no_pagination=1")["data"]
    [hears] = [
        rule["id"]
        for rule in rules
        if (rule["name"], rule["operation"], rule["scope"]) == ("event", "RECEIVE", "COLLABORATION")
    ]
    root.call("A", 200, "PATCH", "/user/4", {"rules": [hears]})


# --- B


def joined(who: str, room: str) -> tuple[str, str]:
    return "message", f"{who} joined room <{room}>"


def sockets_and_nodes(s: Scenario4) -> None:
    s.log_in("B1", s.rita, "rita", "Rita-pass-1")
    s.listen(s.rita).hears("B1", joined("User <rita>", "collaboration_1"))
    s.listen(s.root).hears("B1", joined("User <root>", "collaboration_1"))
    s.rita.ears.hears("B1", joined("User <root>", "collaboration_1"))
    node_logs_in(s, "B2", s.node1, s.key1, 2)
    rooms = "collaboration_1", "collaboration_1_organization_2"
    own = [joined("Node <Alpha - Study Node>", room) for room in rooms]
    # UPSTREAM `sync` first. The rooms before it: no task is missed by who asks for work after it.
    s.listen(s.node1).hears("B3", *own, ("sync", None))
    online = "node-online", {"id": 2, "name": "Alpha - Study Node", "org_id": 2}
    for actor in (s.rita, s.root):
        actor.ears.hears("B3", online, own[0])
    s.lists("B4", s.node1, "/run?state=open&node_id=2&include=task")
    info = {
        "encryption": False,
        "allowed_algorithms": "all",
        "database_labels": ["default"],
        "database_types": {"db_type_default": "csv"},
        "database_columns": {"columns_default": ["age", "height"]},
    }
    s.node1.ears.emit("node_info_update", info)
    s.node1.ears.emit("ping")
    node_logs_in(s, "B6", s.node2, s.key2, 3)
    rooms = "collaboration_1", "collaboration_1_organization_3"
    own = [joined("Node <Beta - Study Node>", room) for room in rooms]
    s.listen(s.node2).hears("B6", *own, ("sync", None))
    online = "node-online", {"id": 3, "name": "Beta - Study Node", "org_id": 3}
    for actor in (s.node1, s.rita, s.root):
        actor.ears.hears("B6", online, own[0])
    s.lists("B6", s.node2, "/run?state=open&node_id=3&include=task")
    rights = {"allowed_algorithms": ["^harbor.example/.*"], "allowed_users": ["4"]}
    s.node2.ears.emit("node_info_update", {**info, **rights})
    s.node2.ears.emit("ping")
    shared = [
        {"key": "encryption", "value": "0"},
        {"key": "allowed_algorithms", "value": "all"},
        {"key": "database_labels", "value": "default"},
        {"key": "db_type_default", "value": "csv"},
        {"key": "columns_default", "value": "age"},
        {"key": "columns_default", "value": "height"},
    ]
    now = s.node(2, status="online", last_seen=a_naive_time, config=shared)
    eventually(lambda: s.gets("B7", s.node1, "/node/2", now))
    users = {"key": "allowed_users", "value": "4"}

    def stored() -> None:
        assert users in s.root.call("B6", 200, "GET", "/node/3")["config"]

    eventually(stored)
    s.silence("B")


def node_logs_in(s: Scenario4, step: str, node: Actor, key: str, id: int) -> None:
    s.log_in_node(step, node, key, id)
    s.gets(step, node, f"/node/{id}", s.node(id, last_seen=lambda at: True))
    s.gets(step, node, f"/organization/{id}", s.organization(id))
    s.gets(step, node, "/collaboration/1", s.collaboration)


# --- C


def no_store(step: str, actor: Actor) -> None:
    assert actor.call(step, 200, "GET", "/blobstream/status") == {"blob_store_enabled": False}


def starts(s: Scenario4, step: str, actor: Actor, sent: JsonObject, task: JsonObject) -> None:
    """The task is there, and all are told."""
    s.is_(step, actor.call(step, 201, "POST", "/task", sent), task)
    parent = actor.claims["sub"]["task_id"] if actor is s.container else None
    s.hear_all4(step, ("new_task", {"id": task["id"], "parent_id": parent}))


def status(s: Scenario4, step: str, actor: Actor, task: int, expected: str) -> None:
    answer = actor.call(step, 200, "GET", f"/task/{task}/status")
    assert answer == {"status": expected}, step


def a_task_in_a_study(s: Scenario4) -> None:
    rita = s.rita
    s.log_in("C1", rita, "rita", "Rita-pass-1")
    expected = s.user(4, "rita", "Researcher", 2)
    s.gets("C1", rita, "/user/4", {**expected, "status": "online", "last_seen": a_naive_time})
    for step, organization in (("C1", 2), ("C2", 2), ("C2", 3)):
        s.gets(step, rita, f"/organization/{organization}", s.organization(organization))
        no_store(step, rita)
    task = s.task(
        1,
        1,
        "mean",
        study=s.at("study", 1),
        databases=[
            {"label": "default", "parameters": '{"arguments":{"a":1}}'},
            {"label": "other", "parameters": '{"query":"select 1"}'},
        ],
    )
    starts(s, "C3", rita, order("mean", 2, 3, databases=DATABASES, study_id=1), task)
    status(s, "C4", rita, 1, "pending")
    for id, node in ((1, s.node1), (2, s.node2)):
        run = begins(s, "C", node, s.run(id, node.claims["sub"], task), task, DATABASES, study=1)
        status(s, "C4", rita, 1, "active")
        ends(s, "C10", node, run, task)
    status(s, "C11", rita, 1, "completed")
    pages = dict.fromkeys(("first", "self", "last"), "/result?task_id=1&page=1")
    rows = s.result(2, 1), s.result(1, 1)
    s.lists("C11", rita, "/result?task_id=1", *rows, links=pages)


def begins(
    s: Scenario4,
    step: str,
    node: Actor,
    run: JsonObject,
    task: JsonObject,
    databases: list[JsonObject],
    study: int | None = None,
) -> JsonObject:
    """C5 to C9: a node fetches its run and starts it. The run as it is then."""
    organization, id, number = node.claims["sub"], run["id"], task["id"]
    path = f"/run?state=open&node_id={organization}&include=task&task_id={number}"
    s.lists(f"{step}5", node, path, {**run, "task": s.in_run(task)})
    sent = {"started_at": "2026-11-29T11:36:29.627760+00:00"}
    run = {**run, "task": s.at("task", number), "started_at": "2026-11-29T11:36:29.627760"}
    s.is_(f"{step}6", node.call(f"{step}6", 200, "PATCH", f"/run/{id}", sent), run)
    s.hear_all4(f"{step}6", ("status_update", {"run_id": id}))
    asked = {"task_id": number, "image": IMAGE}
    answer = node.call(f"{step}7", 200, "POST", "/token/container", asked)
    s.is_(f"{step}7", answer, {"container_token": a_jwt})
    said = claims(answer["container_token"])
    sub = {
        "client_type": "container",
        "node_id": organization,
        "organization_id": organization,
        "collaboration_id": 1,
        "study_id": study,
        "store_id": None,
        "task_id": number,
        "image": IMAGE,
        "databases": databases,
        "database": "default",  # what algorithms of 3.x read
    }
    shows(f"{step}7", said, {"client_type": "container", "roles": []})
    s.is_(f"{step}7", said["sub"], sub)
    if task["parent"] is None and node is s.node1:
        s.container.token, s.container.claims = answer["container_token"], said
    text = "info > started\n"
    assert node.ears
    node.ears.emit(
        "algorithm_log", {"collaboration_id": 1, "run_id": id, "task_id": number, "log": text}
    )
    s.hear_all4(f"{step}8", ("algorithm_log", {"run_id": id, "task_id": number, "log": text}))
    run |= {"status": "active", "log": text}  # UPSTREAM null, BETTER kept
    s.is_(f"{step}9", node.call(f"{step}9", 200, "PATCH", f"/run/{id}", {"status": "active"}), run)
    s.hear_all4(f"{step}9", ("status_update", {"run_id": id}))
    reports(s, f"{step}9", node, run, task, "active")
    return run


def reports(
    s: Scenario4, step: str, node: Actor, run: JsonObject, task: JsonObject, said: str
) -> None:
    """A node says how its run is, and all hear it with its job."""
    parent = None if task["parent"] is None else s.container.claims["sub"]["task_id"]
    event = {
        "node_id": node.claims["sub"],
        "status": said,
        "run_id": run["id"],
        "task_id": task["id"],
        "collaboration_id": 1,
        "organization_id": node.claims["sub"],
        "parent_id": parent,
    }
    assert node.ears
    node.ears.emit("algorithm_status_change", event)
    s.hear_all4(step, ("algorithm_status_change", {**event, "job_id": task["job_id"]}))


def ends(
    s: Scenario4, step: str, node: Actor, run: JsonObject, task: JsonObject, output: str = OUTPUT
) -> None:
    """C10: a node reports what came of its run."""
    id, number = run["id"], task["id"]
    answer = node.call(step, 200, "DELETE", f"/port?run_id={id}")
    s.is_(step, answer, {"msg": lambda text: isinstance(text, str)})
    reports(s, step, node, run, task, "completed")
    s.gets(step, node, f"/run/{id}", run)
    s.gets(step, node, f"/task/{number}", {**task, "status": "active"})
    s.gets(step, node, "/organization/2", s.organization(2))
    no_store(step, node)
    text = "info > started\ninfo > done\n"
    report = {
        "result": output,
        "log": text,
        "status": "completed",
        "finished_at": "2026-11-29T11:36:31.633684+00:00",
    }
    ended = {"log": text, "status": "completed", "finished_at": "2026-11-29T11:36:31.633684"}
    s.is_(step, node.call(step, 200, "PATCH", f"/run/{id}", report), {**run, **ended})
    s.hear_all4(step, ("status_update", {"run_id": id}))


# --- D


def a_central_algorithm(s: Scenario4) -> None:
    rita, node1, container = s.rita, s.node1, s.container
    central = s.task(2, 2, "central")
    starts(s, "D1", rita, order("central", 2), central)
    run = begins(s, "D2", node1, s.run(3, 2, central), central, [{"label": "default"}])
    s.lists("D3", container, "/organization?collaboration_id=1&page=1", *s.members)
    s.gets("D3", container, "/collaboration/1", s.collaboration)
    no_store("D3", container)
    for organization in (2, 3):
        s.gets("D3", container, f"/organization/{organization}", s.organization(organization))
    s.gets("D4", node1, "/collaboration/1", s.collaboration)
    text = {"description": "task from container on node_id=2"}
    sub = s.task(3, 2, "sub", parent=s.at("task", 2), **text)
    starts(s, "D4", container, order("sub", 2, 3, **text), sub)
    status(s, "D5", container, 3, "pending")
    for id, node in ((4, node1), (5, s.node2)):
        part = begins(
            s, "D5", node, s.run(id, node.claims["sub"], sub), sub, [{"label": "default"}]
        )
        status(s, "D5", container, 3, "active")
        ends(s, "D5", node, part, sub)
    status(s, "D5", container, 3, "completed")
    rows = s.result(5, 3), s.result(4, 3)
    s.lists("D6", container, "/result?task_id=3&task_id=3&page=1", *rows)
    done = {"status": "completed", "finished_at": a_naive_time}
    ended = {
        "log": lambda text: text.endswith("done\n"),
        "started_at": a_naive_time,
        **done,
    }
    parts = [s.run(id, organization, 3, **ended) for id, organization in ((5, 3), (4, 2))]
    s.lists("D6", container, "/run?task_id=3&page=1", *parts)
    s.gets("D6", container, "/task/3", {**sub, **done})
    assert container.call("D6", 200, "GET", "/vpn/algorithm/addresses") == {"addresses": []}
    s.lists("D6", container, "/study?collaboration_id=1&page=1", s.study)
    ends(s, "D7", node1, run, central, "eyJuIjogMn0=")
    result = s.result(3, 2, "eyJuIjogMn0=")
    central |= done
    s.gets("D8", rita, "/task/2?include=results", {**central, "results": [result]})
    mean = s.task(1, 1, "mean", study=s.at("study", 1), **done)
    mean |= {
        "databases": lambda rows: [row["label"] for row in rows] == ["default", "other"],
        "results": [s.result(1, 1), s.result(2, 1)],
    }
    path = "/task?collaboration_id=1&page=1&per_page=20&include=results&is_user_created=1"
    s.lists("D8", rita, path, {**central, "results": [result]}, mean)
    run = s.run(3, 2, 2, **ended)
    s.lists("D8", rita, "/run?task_id=2&include=task", {**run, "task": s.in_run(central)})
    s.gets("D8", rita, "/run/3", run)
    s.gets("D8", rita, "/result/3", result)


# --- E


def kill(s: Scenario4) -> None:
    rita, cody = s.rita, s.cody
    long = s.task(4, 3, "long")
    body = s.log_in("E1", rita, "rita", "Rita-pass-1")
    s.log_in("E1", cody, "cody", "Cody-pass-1")
    starts(s, "E1", rita, order("long", 2, 3), long)
    for id, node in ((6, s.node1), (7, s.node2)):
        begins(s, "E1", node, s.run(id, node.claims["sub"], long), long, [{"label": "default"}])
        long |= {"status": "active"}
    rita.call("E2", 403, "POST", "/kill/task", {"id": 4})
    refresh(s, "E2", rita, body["refresh_token"])
    rita.call("E2", 403, "POST", "/kill/task", {"id": 4})
    answer = cody.call("E3", 200, "POST", "/kill/task", {"id": 4})
    s.is_("E3", answer, {"msg": lambda text: isinstance(text, str)})
    killed = [
        {"task_id": 4, "run_id": 6, "organization_id": 2},
        {"task_id": 4, "run_id": 7, "organization_id": 3},
    ]
    s.hear_all4("E3", ("kill_containers", {"kill_list": killed, "collaboration_id": 1}))
    for id, node in ((6, s.node1), (7, s.node2)):
        # UPSTREAM 400, so that nodes repeat it; as in 3.x a node may say that it did what was asked.
        node.call("E4", 200, "PATCH", f"/run/{id}", {"status": "killed by user"})
        reports(s, "E4", node, {"id": id}, long, "killed by user")
    s.gets("E5", cody, "/task/4", {**long, "status": "killed by user"})
    ended = {
        "status": "killed by user",
        "log": lambda text: isinstance(text, str),
        "started_at": a_naive_time,
        "finished_at": a_naive_time,
    }
    s.lists("E5", cody, "/run?task_id=4", s.run(7, 3, 4, **ended), s.run(6, 2, 4, **ended))
    cody.call("E6", 200, "POST", "/kill/node/tasks", {"id": 2})
    s.hear_all4("E6", ("kill_containers", {"node_id": 2, "collaboration_id": 1}))
    s.root.call("E6", 404, "POST", "/kill/node/tasks", {"id": 99})


def refresh(s: Scenario4, step: str, actor: Actor, token: str) -> None:
    old, actor.token = actor.token, token
    answer = actor.call(step, 200, "POST", "/token/refresh")
    shows(step, answer, {"access_token": a_jwt})
    assert answer["access_token"] != old, step
    actor.token = answer["access_token"]


# --- F


def refused(actor: Actor, step: str, path: str, sent: Any, *fields: str) -> None:
    """400 for these fields of what is sent."""
    answer = actor.call(step, 400, "POST", path, sent)
    assert answer["errors"].keys() == {*fields}, f"{step}: {answer}"
    for texts in answer["errors"].values():
        assert all(isinstance(text, str) for text in texts), step


def other_answers(s: Scenario4) -> None:
    root, rita, node1 = s.root, s.rita, s.node1
    text = {"msg": lambda text: isinstance(text, str)}
    user = {"user_id": 1, "username": "root", "email": "root@domain.ext", "organization_id": 1}
    s.is_("F1", root.call("F1", 200, "POST", "/token/user/validate"), {**text, **user})
    node = {"node_id": 2, "name": "Alpha - Study Node", "organization_id": 2}
    s.is_("F1", node1.call("F1", 200, "POST", "/token/node/validate"), {**text, **node})
    root.call("F1", 403, "POST", "/token/node/validate")
    asked = {"db_label": "default", "collaboration_id": 1, "organizations": [{"id": 2}]}
    answer = rita.call("F2", 200, "POST", "/column", asked)
    assert answer == {"columns": ["age", "height"]}, "F2"
    unknown = {
        **s.task(5, 4, "get_column_names"),
        "image": lambda image: isinstance(image, str),
        "description": lambda text: isinstance(text, str),
        "databases": [{"label": "unknown", "parameters": "{}"}],
    }
    answer = rita.call("F2", 201, "POST", "/column", {**asked, "db_label": "unknown"})
    s.is_("F2", answer, unknown)
    s.hear_all4("F2", ("new_task", {"id": 5, "parent_id": None}))
    refused(root, "F3", "/collaboration", {"name": "X"}, "organization_ids", "encrypted")
    nowhere = {key: value for key, value in order("x", 2).items() if key != "collaboration_id"}
    refused(rita, "F3", "/task", nowhere, "_schema")
    refused(rita, "F3", "/task", order("x", 2, database="default"), "database")
    port = {"port": 8888, "run_id": 8, "label": "app"}
    opened = node1.call("F5", 201, "POST", "/port", port)
    s.is_("F5", opened, {"id": 1, "port": 8888, "label": "app"})
    s.node2.call("F5", 403, "POST", "/port", port)
    node1.call("F5", 400, "DELETE", "/port")
    answer = node1.call("F6", 400, "PATCH", "/run/8", {"status": "zz"})
    assert answer["errors"].keys() == {"status"}, "F6"
    sent = {"started_at": "2026-01-01T00:00:00"}
    shows("F6", node1.call("F6", 200, "PATCH", "/run/8", sent), sent)
    s.hear_all4("F6", ("status_update", {"run_id": 8}))


def what_is_refused(s: Scenario4) -> None:
    root, rita = s.root, s.rita
    secret = {"name": "Secret", "organization_ids": [2, 3], "encrypted": True}
    root.call("F7", 200, "POST", "/collaboration", secret)
    root.call("F7", 201, "POST", "/node", {"organization_id": 2, "collaboration_id": 2})
    # An organization with a node only takes what can be decrypted.
    readable = rita.call("F7", 400, "POST", "/task", order("x", 2, collaboration_id=2))
    assert "encrypted" in readable["msg"], "F7"
    binary = [{"id": 2, "input": "gASVNg=="}]
    answer = rita.call("F7", 400, "POST", "/task", {**order("x"), "organizations": binary})
    assert "UTF-8" in answer["msg"], "F7"
    for path in ("collaboration/1", "organization/3", "study/1", "user/4"):
        root.call("F8", 400, "DELETE", f"/{path}")
        root.call("F8", 200, "GET", f"/{path}")
    root.call("F9", 403, "POST", "/task", order("x", 2))
    rita.call("F9", 400, "POST", "/task", order("x", 2, store_id=7))
    if s.base == "/api":
        return  # there it is 3.x that asks so, and is answered
    gone = ("task/1/result", "collaboration/1/task", "organization/2/collaboration")
    for path in (*gone, "organization/2/node", "role/1/rule"):
        assert root.send("GET", f"/{path}").status_code == 404, path
    for path in ("collaboration/1/organization", "collaboration/1/node", "port"):
        assert root.send("GET", f"/{path}").status_code == 405, path


def lists_have_pages(s: Scenario4) -> None:
    answer = s.root.send("GET", "/task?page=1&per_page=1")
    assert answer.headers["total-count"] == "5", "F4"
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"total-count", "link"} <= {*exposed}, "F4"
    links = answer.json()["links"]
    assert list(links) == ["first", "self", "next", "last"], "F4"
    pages = {"first": 1, "self": 1, "next": 2, "last": 5}
    assert links == {name: f"{s.base}/task?page={page}&per_page=1" for name, page in pages.items()}
    said = ",".join(f"<{link}>; rel={name}" for name, link in links.items())
    assert answer.headers["Link"] == said, "F4"
    answer = s.root.call("F4", 200, "GET", "/task?page=99&per_page=1")
    assert answer["data"] == [], "F4"
    pages = {"first": 1, "previous": 98, "self": 99, "last": 5}
    expected = {name: f"{s.base}/task?page={page}&per_page=1" for name, page in pages.items()}
    assert answer["links"] == expected, "F4"
    s.root.call("F4", 400, "GET", "/task?page=0")
