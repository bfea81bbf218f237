"""What sockets say is checked against the database; what REST causes arrives once (realtime.md 3, 4, 6)."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.realtime.conftest import Audience, eventually
from tests.support import Caller
from tests.world import World
from v6srv.db import session, utcnow, writing
from v6srv.model import Account, NodeConfig, Outbox, Result
from v6srv.realtime import tasks_namespace
from v6srv.service import node_info

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("world"),
]


def change(world: World, **fields: Any) -> dict[str, Any]:
    """What the node north_registry says about its result of the task `running`."""
    return {
        "node_id": world.node.north_registry,
        "status": "active",
        "result_id": world.result["running", "north"],
        "task_id": world.task.running,
        "collaboration_id": world.collab.registry,
        "organization_id": world.org.north,
        "parent_id": None,
        **fields,
    }


# --- algorithm_status_change


def test_a_status_change_is_heard_by_the_whole_collaboration_with_the_run_id(
    listen: Audience, world: World
):
    """S24: also by users that only hear of their organization."""
    names = ("root", "collab_admin", "viewer", "south_registry")
    ears = [listen(name) for name in names]
    stranger = listen("west_trial")
    node = listen("north_registry")
    node.say("algorithm_status_change", change(world))
    run_id = stored_run(world)
    for ear in (*ears, node):
        ear.wait("algorithm_status_change", change(world, run_id=run_id))
    node.quiet()
    assert all(len(ear.named("algorithm_status_change")) == 1 for ear in (*ears, node))
    assert stranger.named("algorithm_status_change") == []


def stored_run(world: World) -> int:
    try:
        result = session.get_one(Result, world.result["running", "north"])
        assert result.task is not None
        assert result.task.run_id is not None
        return result.task.run_id
    finally:
        session.remove()


def test_everything_but_result_and_status_comes_from_the_database(listen: Audience, world: World):
    """S7: a node cannot speak into other rooms or about other tasks."""
    stranger, node = listen("west_trial"), listen("north_registry")
    lies = change(
        world,
        collaboration_id=world.collab.trial,
        organization_id=world.org.west,
        task_id=world.task.waiting,
        node_id=world.node.west_trial,
        parent_id=5,
        extra="x",
    )
    node.say("algorithm_status_change", lies)
    node.wait("algorithm_status_change", change(world, run_id=stored_run(world)))
    stranger.quiet()
    assert stranger.named("algorithm_status_change") == []


def test_reports_that_cannot_be_right_are_ignored(listen: Audience, world: World):
    """S8: nobody hears of them, and the socket lives on."""
    root, node = listen("root"), listen("north_registry")
    missing = change(world)
    del missing["result_id"]
    bad: list[Any] = [None, "text", 5, [], {}, missing]
    bad += [{"status": status} for status in ("on fire", None, ["active"], 3)]
    ids = (99999, 0, -1, 10**30, None, True, "1", [1], world.result["running", "south"])
    bad += [change(world, result_id=id) for id in ids]
    bad += [change(world, result_id=world.result["waiting", "west"])]
    for payload in bad:
        node.say("algorithm_status_change", payload)
    node.say("algorithm_status_change", change(world, status="completed"))
    root.wait("algorithm_status_change")
    heard = root.named("algorithm_status_change")
    assert [event["status"] for event in heard] == ["completed"]


def test_users_cannot_speak_as_nodes(listen: Audience, world: World):
    root, node = listen("root"), listen("north_registry")
    root.say("algorithm_status_change", change(world))
    root.say("node_info_update", {"x": 1})
    assert node.quiet() == []
    assert shared(world.node.north_registry) == [("encryption", "False")]


# --- node_info_update


def shared(node_id: int) -> list[tuple[str | None, str | None]]:
    query = select(NodeConfig.key, NodeConfig.value).where(NodeConfig.node_id == node_id)
    try:
        return [tuple(row) for row in session.execute(query.order_by(NodeConfig.id))]
    finally:
        session.remove()


def test_a_node_shares_its_configuration(listen: Audience, world: World, call: Caller):
    node = listen("north_registry")
    info = {
        "encryption": False,
        "allowed_algorithms": ["^harbor.example/.*"],
        "allowed_orgs": ["2", "3"],
    }
    node.say("node_info_update", info)
    rows = [
        {"key": "encryption", "value": "0"},
        {"key": "allowed_algorithms", "value": "^harbor.example/.*"},
        {"key": "allowed_orgs", "value": "2"},
        {"key": "allowed_orgs", "value": "3"},
    ]
    path = f"/node/{world.node.north_registry}"
    eventually(lambda: call("root", "GET", path).get_json()["config"], rows)


@pytest.mark.parametrize(
    ("info", "rows"),
    [
        ({"a": True, "b": False}, [("a", "1"), ("b", "0")]),
        ({"users": [5, "six", None, True]}, [("users", "5"), ("users", "six"), ("users", None), ("users", "1")]),
        ({"nested": {"k": [1, "2"], "l": "x"}, "m": 1}, [("k", "1"), ("k", "2"), ("l", "x"), ("m", "1")]),
        ({"nested": {"k": {"l": 1}, "m": []}}, [("k", '{"l": 1}')]),
        ({"nested": [[1], {"k": 2}]}, [("nested", "[1]"), ("nested", '{"k": 2}')]),
        ({"number": 1.5, "text": "höher"}, [("number", "1.5"), ("text", "höher")]),
        ({"empty": []}, []),
        ({}, []),
    ],
)  # fmt: skip
def test_every_kind_of_value_is_stored_as_text(
    listen: Audience, world: World, info: Any, rows: list[Any]
):
    """S22."""
    node = listen("north_registry")
    node.say("node_info_update", info)
    eventually(lambda: shared(world.node.north_registry), rows)


def test_info_that_cannot_be_stored_leaves_the_old_one(listen: Audience, world: World):
    """S22: all or nothing."""
    node = listen("north_registry")
    node.say("node_info_update", {"good": "old"})
    bad: list[Any] = [
        None,
        "text",
        ["a"],
        7,
        {"a": "x" * (node_info.MAX_VALUE + 1)},
        {"x" * (node_info.MAX_KEY + 1): 1},
        {"a": list(range(node_info.MAX_VALUES + 1))},
        {"a": "nul \x00"},
        {"a\x00": 1},
        {"a": "\ud800"},
        {"a": b"bytes"},
        {"nested": {"a": "nul \x00"}},
        {"nested": {"a": list(range(node_info.MAX_VALUES + 1))}},
    ]
    for info in bad:
        node.say("node_info_update", info)
    node.client.call("ping", namespace="/tasks", timeout=5)  # behind all of them
    assert shared(world.node.north_registry) == [("good", "old")]


# --- ping


def test_a_ping_makes_online_and_seen(listen: Audience, world: World, stored: Any):
    user = listen("viewer")
    with writing():
        old = utcnow() - timedelta(hours=1)
        session.execute(
            update(Account)
            .where(Account.id == world.user.viewer)
            .values(status="offline", last_seen=old)
            .execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()
    user.say("ping")
    eventually(lambda: stored(Account, world.user.viewer).status, "online")
    assert stored(Account, world.user.viewer).last_seen > utcnow() - timedelta(seconds=10)


def test_pings_in_a_row_are_written_once(
    listen: Audience, world: World, stored: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tasks_namespace, "PING_AT_MOST_EVERY_S", 60.0)
    user = listen("viewer")
    connected_at = stored(Account, world.user.viewer).last_seen
    user.say("ping")
    eventually(lambda: stored(Account, world.user.viewer).last_seen > connected_at, True)
    seen_at = stored(Account, world.user.viewer).last_seen
    for _ in range(5):
        user.say("ping")
    user.quiet()
    assert stored(Account, world.user.viewer).last_seen == seen_at


# --- anything else


def test_unknown_events_and_the_servers_own_words_do_nothing(listen: Audience, world: World):
    """A client that says `disconnect` is still connected, online and in its rooms."""
    root, node = listen("root"), listen("north_registry")
    before = list(root.heard)
    names: list[Any] = ["connect", "disconnect", "connect_error", "trigger_event", "", "else"]
    names += [None, 5, ["ping"], {"a": 1}, True]  # or no name at all
    for name in names:
        for data in ([name], [name, {"token": "x"}, "more"]):
            node.client._send_packet(node.client.packet_class(2, namespace="/tasks", data=data))
    root.quiet()
    assert root.heard == before
    node.say("algorithm_status_change", change(world))
    node.wait("algorithm_status_change")


def test_messages_and_errors_are_logged_on_one_line(
    listen: Audience, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO")
    user = listen("viewer")
    user.say("message", "hello\nroot: forged " + "x" * 5000)
    user.say("error", {"why": "boo"})
    user.say("message")
    eventually(lambda: "error from account" in caplog.text, True)
    (line,) = [r.getMessage() for r in caplog.records if "message from" in r.getMessage()][:1]
    assert "hello\\nroot" in line
    assert len(line) < 400
    assert user.client.connected


def test_surplus_arguments_are_ignored(listen: Audience, world: World):
    node = listen("north_registry")
    node.say("algorithm_status_change", change(world), "more", 3)
    node.wait("algorithm_status_change")


def test_an_acknowledgement_is_answered_without_a_value(listen: Audience):
    answer = listen("viewer").client.call("ping", namespace="/tasks", timeout=5)
    assert answer is None


def test_a_message_that_is_too_large_ends_only_its_socket(listen: Audience, world: World):
    node, root = listen("north_registry"), listen("root")
    node.say("node_info_update", {"a": "x" * 400_000})
    root.wait("node-offline")
    assert root.client.connected


# --- what REST causes


def test_a_task_is_announced_once_it_can_be_read(
    listen: Audience, world: World, call: Caller, stored: Callable[..., Any]
):
    """S20, and in this order: `task_created`, `new_task`."""
    nodes = [listen("north_registry"), listen("south_registry")]
    stranger = listen("west_trial")
    body = {
        "name": "average",
        "image": "registry.example/average:1",
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.north, "input": "aW5wdXQ="}],
    }
    answer = call("researcher", "POST", "/task", json=body)
    assert answer.status_code == 201
    task_id = answer.get_json()["id"]
    for node in nodes:
        node.wait("new_task", task_id)
        names = [heard[0] for heard in node.heard if heard[0] in ("task_created", "new_task")]
        assert names == ["task_created", "new_task"]
    stranger.quiet()
    assert stranger.named("new_task") == []
    eventually(lambda: stored_events(), [])


def test_a_refused_task_is_not_announced(listen: Audience, world: World, call: Caller):
    node = listen("north_registry")
    body = {
        "name": "average",
        "image": "registry.example/average:1",
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.west, "input": "aW5wdXQ="}],
    }
    assert call("researcher", "POST", "/task", json=body).status_code >= 400
    assert node.quiet() == []
    assert stored_events() == []


def stored_events() -> list[str]:
    """What is still to be sent."""
    try:
        return list(session.scalars(select(Outbox.event).where(Outbox.sent_at.is_(None))))
    finally:
        session.remove()


def test_what_a_crashed_process_left_behind_is_sent(listen: Audience, world: World):
    node = listen("north_registry")
    room = f"collaboration_{world.collab.registry}"
    with writing():
        session.add(
            Outbox(
                process="a process that is dead",
                event="new_task",
                payload=77,
                rooms=[room, f"{room}_organization_{world.org.north}"],
                created_at=utcnow() - timedelta(minutes=1),
            )
        )
        session.commit()
    session.remove()
    node.wait("new_task", 77, patience_s=8)
    node.quiet()
    assert node.named("new_task") == [77]
    assert stored_events() == []


def test_many_events_arrive_in_order(listen: Audience, world: World, call: Caller):
    node = listen("north_registry")
    path = f"/result/{world.result['running', 'north']}"
    body = {
        "name": "one of many",
        "image": "registry.example/average:1",
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.north, "input": ""}],
    }
    ids = []
    for _ in range(15):
        ids.append(call("researcher", "POST", "/task", json=body).get_json()["id"])
        call("north_registry", "PATCH", path, json={"status": "active"})
    node.wait("new_task", ids[-1])
    time.sleep(0.2)
    assert node.named("new_task") == ids
    assert len(node.named("status_update")) == 15
