"""Sockets of 3.x and 4.x side by side: each hears the same events, in its own form."""

import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Flask

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.support import Caller
from tests.world import PASSWORD, World, api_key, average
from v6srv.db import session, utcnow, writing
from v6srv.errors import DatabaseUnavailable
from v6srv.identity import login
from v6srv.model import Node, Outbox
from v6srv.realtime import revocation
from v6srv.service import generations
from v6srv.service.generations import note_generation
from v6srv.vocabulary import V4

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("world"),
]


def said(ear: Ear, *names: str) -> list[Any]:
    """What it heard under these names, in order."""
    return [heard for heard in ear.heard if heard[0] in names]


def start(
    call: Caller,
    world: World,
    who: str = "researcher",
    organizations: tuple[str, ...] = ("north", "south"),
) -> Any:
    answer = call(who, "POST", "/task", json=average(world, *organizations))
    assert answer.status_code == 201, answer.text
    return answer.json


def test_a_new_task_is_a_number_in_3_and_an_object_in_4(
    listen: Audience, call: Caller, world: World
) -> None:
    old = [listen(who) for who in ("root", "north_registry")]
    new = [listen(who) for who in ("root in 4", "collab_admin in 4", "south_registry in 4")]
    task = start(call, world)
    sub = start(call, world, "container")
    created = [
        (
            "task_created",
            {
                "task_id": one["id"],
                "run_id": one["run_id"],
                "collaboration_id": world.collab.registry,
                "init_org_id": world.org.north,
            },
        )
        for one in (task, sub)
    ]
    for ear in old:
        ear.wait("new_task", sub["id"])
        heard = [created[0], ("new_task", task["id"]), created[1], ("new_task", sub["id"])]
        assert said(ear, "task_created", "new_task") == heard
    for ear in new:
        ear.wait("new_task", {"id": sub["id"], "parent_id": world.task.running})
        assert said(ear, "task_created", "new_task") == [
            ("new_task", {"id": task["id"], "parent_id": None}),
            ("new_task", {"id": sub["id"], "parent_id": world.task.running}),
        ]


def test_a_run_has_its_own_id_in_4_and_that_of_its_job_in_3(
    listen: Audience, call: Caller, world: World
) -> None:
    old, new = listen("root"), listen("viewer in 4")
    node = listen("north_registry")
    id, task_id = world.result["running", "north"], world.task.running
    job = call("root", "GET", f"/task/{task_id}").json["run_id"]
    call("north_registry", "PATCH", f"/result/{id}", json={"status": "active"})
    node.say("algorithm_status_change", {"result_id": id, "status": "active"})
    rest = {
        "status": "active",
        "task_id": task_id,
        "collaboration_id": world.collab.registry,
        "node_id": world.node.north_registry,
        "organization_id": world.org.north,
        "parent_id": None,
    }
    old.wait("algorithm_status_change", {**rest, "result_id": id, "run_id": job})
    new.wait("algorithm_status_change", {**rest, "run_id": id, "job_id": job})
    assert old.named("status_update") == [{"result_id": id}]
    assert new.named("status_update") == [{"run_id": id}]


def test_a_node_of_4_reports_with_the_id_of_the_run(listen: Audience, world: World) -> None:
    """As recorded; whatever else it says is read from the database."""
    node, old = listen("north_registry in 4"), listen("root")
    id = world.result["running", "north"]
    report = {
        "node_id": 0,
        "status": "completed",
        "run_id": id,
        "task_id": 0,
        "collaboration_id": 0,
        "organization_id": 0,
        "parent_id": None,
    }
    node.say("algorithm_status_change", {**report, "run_id": world.result["running", "south"]})
    node.say("algorithm_status_change", report)
    heard = node.wait("algorithm_status_change")[1]
    old.wait("algorithm_status_change")
    assert (heard["run_id"], heard["task_id"]) == (id, world.task.running)
    assert [one["result_id"] for one in old.named("algorithm_status_change")] == [id]


def test_what_a_node_shares_in_objects_has_keys_of_its_own(
    listen: Audience, call: Caller, world: World
) -> None:
    """As a 4.x node says it, and as its server answers."""
    node = listen("north_registry in 4")
    node.say(
        "node_info_update",
        {
            "encryption": False,
            "allowed_algorithms": "all",
            "database_labels": ["default"],
            "database_types": {"db_type_default": "csv"},
            "database_columns": {"columns_default": ["age", "height"]},
        },
    )
    shared = [
        {"key": "encryption", "value": "0"},
        {"key": "allowed_algorithms", "value": "all"},
        {"key": "database_labels", "value": "default"},
        {"key": "db_type_default", "value": "csv"},
        {"key": "columns_default", "value": "age"},
        {"key": "columns_default", "value": "height"},
    ]
    path = f"/node/{world.node.north_registry}"
    eventually(lambda: call("root", "GET", path).json["config"], shared)


def test_the_measurements_of_a_node_change_nothing(
    listen: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    node = listen("north_registry in 4")
    node.quiet()  # who joined
    said = len(node.heard)
    node.say("node_metrics_update", {"cpu_percent": 3.5, "os": "Linux", "gpu_load": [1, 2]})
    node.client.call("ping", namespace="/tasks", timeout=5)  # behind it
    node.quiet()
    assert node.heard[said:] == []
    assert not [line for line in caplog.records if line.levelname in ("WARNING", "ERROR")]


def test_a_kill_names_the_runs_as_each_dialect_does(
    listen: Audience, call: Caller, world: World
) -> None:
    old, new = listen("north_registry"), listen("south_registry in 4")
    task = start(call, world)
    assert call("root", "POST", "/kill/task", json={"id": task["id"]}).status_code == 200
    node = {"node_id": world.node.north_registry, "collaboration_id": world.collab.registry}
    assert call("root", "POST", "/kill/node/tasks", json={"id": node["node_id"]}).status_code == 200
    results = call("root", "GET", f"/task/{task['id']}/result").json
    for ear, name in ((old, "result_id"), (new, "run_id")):
        ear.wait("kill_containers", node)
        assert ear.named("kill_containers")[0] == {
            "kill_list": [
                {"task_id": task["id"], name: row["id"], "organization_id": row["organization"]}
                for row in sorted(results, key=lambda row: row["id"])
            ],
            "collaboration_id": world.collab.registry,
        }


def test_who_comes_and_goes_is_told_in_both_alike(listen: Audience, world: World) -> None:
    old, new = listen("root"), listen("root in 4")
    new.wait("message", f"User <root> joined room <collaboration_{world.collab.nothing}>")
    eventually(lambda: len(old.named("message")), 6)
    seen = [len(old.heard), len(new.heard)]
    nodes = [listen("north_registry in 4"), listen("south_registry")]
    for node in nodes:
        node.close()
    for ear in (old, new):
        ear.wait("message", f"south_registry left room collaboration_{world.collab.registry}")
        ear.wait_for(
            lambda heard: (
                heard[0] == "node-offline" and heard[1]["id"] == world.node.south_registry
            ),
            "both went",
        )
        ear.quiet()
    assert sorted(map(str, old.heard[seen[0] :])) == sorted(map(str, new.heard[seen[1] :]))
    text = f"Node <north_registry> joined room <collaboration_{world.collab.registry}>"
    assert old.named("message").count(text) == new.named("message").count(text) == 1


def test_nodes_of_both_are_told_of_each_other_up_to_a_number(
    listen: Audience, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that speak another dialect count."""
    monkeypatch.setattr("v6srv.realtime.seats.MOST_TOLD", 1)
    first, second = listen("north_registry"), listen("south_registry in 4")
    listen("root in 4")
    first.quiet()
    room = f"collaboration_{world.collab.registry}"
    assert f"User <root> joined room <{room}>" in first.named("message")
    assert f"User <root> joined room <{room}>" not in second.named("message")


def test_a_right_that_is_taken_away_is_gone_in_4_too(
    listen: Audience, call: Caller, world: World
) -> None:
    watcher = listen("root")
    user, node = listen("second_root in 4"), listen("north_registry in 4")
    start(call, world)
    node.wait("new_task")
    user.wait("new_task")
    answer = call("root", "PATCH", f"/user/{world.user.second_root}", json={"roles": []})
    assert answer.status_code == 200
    watcher.wait("message", f"second_root left room collaboration_{world.collab.registry}")
    before = len(user.named("new_task"))
    task = start(call, world)
    node.wait("new_task", {"id": task["id"], "parent_id": None})
    user.quiet()
    assert len(user.named("new_task")) == before


def test_what_was_stored_before_there_were_two_is_told_in_both(
    listen: Audience, world: World
) -> None:
    old, new = listen("north_registry"), listen("north_registry in 4")
    with writing():
        session.add(
            Outbox(
                process="a process that is dead",
                event="new_task",
                payload=77,
                rooms=[f"collaboration_{world.collab.registry}"],
                created_at=utcnow() - timedelta(minutes=1),
            )
        )
        session.commit()
    session.remove()
    old.wait("new_task", 77, patience_s=8)
    new.wait("new_task", {"id": 77, "parent_id": None}, patience_s=8)


def is_told(ear: Ear, call: Caller, world: World) -> str:
    """In which form a node hears of a new task: the one word for it.

    It is not for north, whose node may be of 4.x: a program of 3.x would be refused.
    """
    heard = len(ear.named("new_task"))
    task = start(call, world, organizations=("south",))
    eventually(lambda: len(ear.named("new_task")), heard + 1)
    last = ear.named("new_task")[-1]
    forms = {"3": task["id"], "4": {"id": task["id"], "parent_id": None}}
    [found] = [name for name, form in forms.items() if form == last]
    return found


def note(app: Flask, world: World, generation: int) -> None:
    """As the request of a node does that only programs of this generation send."""
    with app.app_context():
        note_generation(world.node.north_registry, generation)


def test_a_node_is_told_in_the_form_of_what_it_shows_to_be(
    app: Flask, listen: Audience, call: Caller, world: World, stored: Any
) -> None:
    """At once, whatever its token says, and the next time it comes, too."""
    node, other = listen("north_registry"), listen("south_registry")
    assert is_told(node, call, world) == "3"
    note(app, world, 4)
    assert is_told(node, call, world) == "4"
    eventually(lambda: stored(Node, world.node.north_registry).generation, 4)
    call("root", "PATCH", f"/user/{world.user.second_root}", json={"roles": []})  # a review
    time.sleep(2 * revocation.POLL_S)
    assert is_told(node, call, world) == "4"
    assert is_told(listen("north_registry"), call, world) == "4"
    note(app, world, 3)
    assert is_told(node, call, world) == "3"
    eventually(lambda: stored(Node, world.node.north_registry).generation, 3)
    assert is_told(listen("north_registry in 4"), call, world) == "3"
    assert is_told(node, call, world) == "3"
    assert all(isinstance(id, int) for id in other.named("new_task"))


def test_what_is_stored_before_it_is_written_does_not_undo_what_was_shown(
    app: Flask, listen: Audience, call: Caller, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first writes of a database that is away, and a review meanwhile."""

    def fail(*_: Any) -> None:
        raise DatabaseUnavailable("away", 1)

    with monkeypatch.context() as patched:
        patched.setattr(generations, "transaction", fail)
        patched.setattr("tests.support.generations.write", lambda: None)
        node = listen("north_registry")
        note(app, world, 4)
        app.extensions["v6srv_realtime"].revocation.again()
        time.sleep(2 * revocation.POLL_S)
        assert is_told(node, call, world) == "4"


def test_the_login_of_a_node_remembers_what_it_showed_to_be(
    app: Flask, call: Caller, world: World
) -> None:
    """Whatever was guessed."""
    body = {"api_key": api_key("north_registry")}

    def claim(answer: Any) -> Any:
        return jwt.decode(answer["access_token"], options={"verify_signature": False}).get(
            "dialect"
        )

    def log_in(path: str) -> Any:
        return call.client.post(path, json=body).json

    assert [claim(log_in(path)) for path in ("/api/token/node", "/v4/api/token/node")] == [None, 4]
    before = log_in("/api/token/node")
    with app.app_context():
        note_generation(world.node.north_registry, 4)
        generations.write()
    assert claim(log_in("/api/token/node")) == 4
    headers = {"Authorization": f"Bearer {before['refresh_token']}"}
    assert claim(call.client.post("/api/token/refresh", headers=headers).json) == 4


def test_the_dialect_of_a_login_stays_with_its_session(
    app: Flask, listen: Audience, call: Caller, world: World
) -> None:
    """Through a refresh, and into what its socket hears."""
    with app.app_context():
        pair = login.log_in("root", PASSWORD, None, "127.0.0.1", V4)
    assert isinstance(pair, login.Tokens)
    renewed = call.client.post(
        "/api/token/refresh", headers={"Authorization": f"Bearer {pair.refresh_token}"}
    ).json
    ear = listen.stranger("root").connect(renewed["access_token"])
    ear.wait("connect")
    task = start(call, world)
    ear.wait("new_task", {"id": task["id"], "parent_id": None})
