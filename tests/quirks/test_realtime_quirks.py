"""realtime-quirks.md 2: Socket.IO, one test for each entry."""

import time
from datetime import timedelta

import pytest
import requests
from flask_jwt_extended import create_access_token
from sqlalchemy import select, update

from tests.quirks.test_rest_quirks import KILLED, order, refused
from tests.realtime.conftest import Audience, eventually, serving
from tests.support import Caller, open_app
from v6srv.db import session, utcnow, writing
from v6srv.model import Account, NodeConfig, Result, SocketConnection
from v6srv.realtime import watchdog

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("world"),
]

SOON_S = 1.0


def room(world, *organization):
    """The name of the room of `registry`, or of one organization there."""
    name = f"collaboration_{world.collab.registry}"
    return f"{name}_organization_{organization[0]}" if organization else name


def card(world, name="north_registry", org="north"):
    """What is told of a node that comes or goes."""
    return {"id": getattr(world.node, name), "name": name, "org_id": getattr(world.org, org)}


def report(world, **fields):
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


def shared(node_id):
    """What a node has shared of its configuration."""
    query = select(NodeConfig.key, NodeConfig.value).where(NodeConfig.node_id == node_id)
    try:
        return [tuple(row) for row in session.execute(query.order_by(NodeConfig.id))]
    finally:
        session.remove()


def change_account(account_id, **values):
    """Change an account behind the server's back."""
    with writing():
        session.execute(
            update(Account)
            .where(Account.id == account_id)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        session.commit()
    session.remove()


def expired(app, node_id):
    """A token of a node that was good a moment ago."""
    with app.app_context():
        return create_access_token(
            node_id,
            expires_delta=timedelta(seconds=-5),
            additional_claims={"client_type": "node", "roles": [], "ver": 0},
        )


def kill(call, task_id):
    return call("root", "POST", "/kill/task", json={"id": task_id})


@pytest.fixture
def watched(backend, databases, monkeypatch):
    """Sockets of a server with an impatient watchdog: `(listen, call, world)`."""
    monkeypatch.setattr(watchdog, "HEARTBEAT_S", 0.3)
    monkeypatch.setattr(watchdog, "UNCONFIRMED_S", 0.9)
    with open_app(databases, backend, True, watchdog_s=0.8) as (app, world), serving(app) as url:
        call = Caller(app)
        audience = Audience(url, call.token)
        yield audience, call, world
        audience.close()


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_s_01_a_missing_or_invalid_token_is_refused_with_a_message(listen, token):
    ear = listen.stranger().connect(token)
    assert ear.wait_refused()["message"]
    assert ear.heard == []


def test_s_02_an_expired_token_is_told_so_and_let_in_nowhere(app, listen, world, stored):
    node = listen.stranger("node").connect(expired(app, world.node.south_trial))
    node.wait("expired_token")
    assert stored(Account, world.node.south_trial).status is None
    assert session.query(SocketConnection).count() == 0
    session.remove()
    node.close()
    listen("south_trial")  # with a new token it comes back
    assert stored(Account, world.node.south_trial).status == "online"


def test_s_03_containers_are_refused(listen, call):
    assert listen.stranger().connect(call.token("container")).wait_refused()["message"]


def test_s_04_only_its_own_collaboration_hears_of_a_node(listen, world):
    neighbour, stranger = listen("south_registry"), listen("west_trial")
    outsiders = listen("south_viewer"), listen("east_viewer")
    node = listen("north_registry")
    neighbour.wait("node-online", card(world))
    node.close()
    neighbour.wait("node-offline", card(world))
    stranger.quiet()
    for ear in (stranger, *outsiders):
        assert card(world) not in ear.named("node-online") + ear.named("node-offline")


def test_s_05_a_socket_in_several_rooms_hears_an_event_once(listen, world, call):
    node, root = listen("south_registry"), listen("root")
    listen("north_registry").wait("message")
    task = call("researcher", "POST", "/task", json=order(world, "north", "south")).json
    for ear in (node, root):
        ear.wait("new_task", task["id"])
    node.quiet()
    for ear in (node, root):
        assert ear.named("node-online").count(card(world)) == 1
        assert ear.named("new_task") == [task["id"]]
        assert len(ear.named("task_created")) == 1


def test_s_06_a_user_who_joins_is_told_only_where_the_policies_let_it_in(listen, world):
    """`viewer` hears of its organization only, so the partner's node does not learn its name.

    The message itself stays: the trace of scenario.md has it, for users as for nodes.
    """
    own, partner = listen("north_registry"), listen("south_registry")
    listen("viewer")
    own.wait("message", f"User <viewer> joined room <{room(world, world.org.north)}>")
    partner.quiet()
    assert not [text for text in partner.named("message") if "viewer" in text]


def test_s_07_a_node_speaks_about_its_own_results_only(listen, world):
    stranger, node = listen("west_trial"), listen("north_registry")
    lies = {
        "collaboration_id": world.collab.trial,
        "organization_id": world.org.west,
        "task_id": world.task.waiting,
        "node_id": world.node.west_trial,
        "parent_id": 5,
    }
    foreign = world.result["waiting", "west"]
    node.say("algorithm_status_change", report(world, result_id=foreign, **lies))
    node.say("algorithm_status_change", report(world, status="on fire"))
    node.say("algorithm_status_change", report(world, **lies))
    _, heard = node.wait("algorithm_status_change")
    assert heard == report(world, run_id=heard["run_id"])
    assert isinstance(heard["run_id"], int)
    stranger.quiet()
    assert stranger.named("algorithm_status_change") == []
    assert len(node.named("algorithm_status_change")) == 1


def test_s_08_useless_reports_are_ignored_with_a_warning(listen, world, caplog):
    node = listen("north_registry")
    node.say("algorithm_status_change")
    for payload in ("text", [], {}, {"status": "active"}, report(world, result_id=9999)):
        node.say("algorithm_status_change", payload)
    node.say("algorithm_status_change", report(world))
    node.wait("algorithm_status_change")
    assert len(node.named("algorithm_status_change")) == 1
    warned = [one for one in caplog.records if "algorithm_status_change" in one.getMessage()]
    assert {one.levelname for one in warned} == {"WARNING"}
    assert len(warned) == 6
    assert "Traceback" not in caplog.text


def test_s_09_a_kill_list_has_every_open_result_with_its_own_task(listen, world, call):
    node = listen("south_registry")
    assert kill(call, world.task.running).status_code == 200
    _, heard = node.wait("kill_containers")
    assert heard["collaboration_id"] == world.collab.registry
    assert [
        (entry["task_id"], entry["result_id"], entry["organization_id"])
        for entry in heard["kill_list"]
    ] == [
        (world.task.running, world.result["running", "north"], world.org.north),
        (world.task.running, world.result["running", "south"], world.org.south),
        (world.task.subtask, world.result["subtask", "south"], world.org.south),
    ]


def test_s_10_a_kill_leaves_finished_results_as_they_are(listen, world, call):
    path = f"/result/{world.result['running', 'north']}"
    done = {"status": "completed", "result": "b3V0", "finished_at": "2026-11-24T06:00:00"}
    before = call("north_registry", "PATCH", path, json=done).json
    node = listen("north_registry")
    assert kill(call, world.task.running).status_code == 200
    node.wait("kill_containers")
    assert call("root", "GET", path).json["finished_at"] == before["finished_at"]
    assert call("root", "GET", path).json["status"] == "completed"
    assert call("root", "GET", path).json["result"] == "b3V0"


def test_s_11_a_kill_reaches_the_whole_tree(listen, world, call):
    deeper = call("container:subtask@south_registry", "POST", "/task", json=order(world, "north"))
    node = listen("north_registry")
    assert kill(call, world.task.running).status_code == 200
    _, heard = node.wait("kill_containers")
    deepest = deeper.json["results"][0]["id"]
    assert deepest in [entry["result_id"] for entry in heard["kill_list"]]
    assert call("root", "GET", f"/result/{deepest}").json["status"] == KILLED


def test_s_12_a_node_that_confirms_a_kill_is_not_refused(world, call):
    path = f"/result/{world.result['running', 'north']}"
    kill(call, world.task.running)
    killed = call("root", "GET", path).json
    body = {"status": KILLED, "log": "last words", "result": "bm90IGtlcHQ="}
    answer = call("north_registry", "PATCH", path, json=body)
    assert (answer.status_code, answer.json) == (200, {**killed, "log": "last words"})


def test_s_13_an_empty_kill_list_is_never_sent(listen, world, call):
    node = listen("north_registry")
    refused(kill(call, world.task.finished), 400)
    assert call("root", "DELETE", f"/task/{world.task.finished}").status_code == 200
    assert kill(call, world.task.running).status_code == 200
    refused(kill(call, world.task.running), 400)
    node.wait("kill_containers")
    node.quiet()
    lists = [payload["kill_list"] for payload in node.named("kill_containers")]
    assert len(lists) == 1
    assert all(lists)


def test_s_14_an_admin_stops_everything_on_a_node_of_its_own(listen, world, call):
    node = listen("north_registry")
    body = {"id": world.node.north_registry}
    assert call("org_admin", "POST", "/kill/node/tasks", json=body).status_code == 200
    told = {"node_id": world.node.north_registry, "collaboration_id": world.collab.registry}
    node.wait("kill_containers", told)
    body = {"id": world.node.west_trial}
    refused(call("org_admin", "POST", "/kill/node/tasks", json=body), 403)


def test_s_15_event_rules_decide_who_kills_a_task(world, call):
    """With the organization rule: tasks of the own organization. With the collaboration rule all.

    The Organization Admin holds the first only, the Collaboration Admin both.
    """
    rule = world.rule["event", "COLLABORATION", "CREATE"]
    body = {"roles": [], "rules": [rule]}
    assert call("root", "PATCH", f"/user/{world.user.nobody}", json=body).status_code == 200
    for who, task, status in (
        ("org_admin", "waiting", 403),  # of another collaboration
        ("nobody", "waiting", 403),
        ("nobody", "failed", 200),  # started by another organization: the one rule suffices
        ("org_admin", "running", 200),
        ("researcher", "subtask", 403),  # no event rule at all
    ):
        answer = call(who, "POST", "/kill/task", json={"id": getattr(world.task, task)})
        assert answer.status_code == status, (who, task, answer.json)


def test_s_16_a_task_is_killed_and_goes_with_its_subtasks(listen, world, call):
    node = listen("south_registry")
    assert call("root", "DELETE", f"/task/{world.task.running}").status_code == 200
    _, heard = node.wait("kill_containers")
    assert world.result["subtask", "south"] in [one["result_id"] for one in heard["kill_list"]]
    refused(call("root", "GET", f"/task/{world.task.subtask}"), 404)


def test_s_17_only_the_last_socket_of_a_node_takes_it_offline(listen, world, stored):
    root = listen("root")
    first, second = listen("north_registry"), listen("north_registry")
    second.say("node_info_update", {"encryption": True})
    eventually(lambda: shared(world.node.north_registry), [("encryption", "1")])
    first.close()
    root.quiet()
    assert root.named("node-offline") == []
    assert stored(Account, world.node.north_registry).status == "online"
    assert shared(world.node.north_registry) == [("encryption", "1")]
    second.close()
    root.wait("node-offline", card(world))
    eventually(lambda: shared(world.node.north_registry), [])


def test_s_18_the_watchdog_tells_and_copes_with_nodes_it_never_saw(watched, stored):
    listen, _call, world = watched
    root = listen("root")
    change_account(world.node.north_registry, status="online", last_seen=None)
    silent = utcnow() - timedelta(hours=1)
    change_account(world.node.west_trial, status="online", last_seen=silent)
    root.wait("node-offline", card(world))
    root.wait("node-offline", card(world, "west_trial", "west"))
    for id in (world.node.north_registry, world.node.west_trial):
        assert stored(Account, id).status == "offline"


def test_s_19_nobody_stays_online_after_a_restart(watched, stored):
    """What a process that was killed left behind: an account online through a socket of it."""
    listen, _call, world = watched
    for account_id in (world.node.south_trial, world.user.viewer):
        with writing():
            sock = SocketConnection(
                sid=f"of {account_id}",
                account_id=account_id,
                process="a process that was killed",
                seen_at=utcnow() - timedelta(seconds=2),
            )
            session.add(sock)
            session.commit()
        session.remove()
        change_account(account_id, status="online", last_seen=utcnow() + timedelta(hours=1))
    listen("root")
    for account_id in (world.node.south_trial, world.user.viewer):
        eventually(lambda id=account_id: stored(Account, id).status, "offline")


def test_s_20_events_come_after_the_commit(listen, world, call):
    """Whoever hears of something reads it from the database, in the very moment."""
    node, found = listen("north_registry"), {}

    def read(model, id):
        try:
            return session.get(model, id)
        finally:
            session.remove()

    def on_task(task_id):
        found["results"] = Caller(call.app)("root", "GET", f"/task/{task_id}/result").json

    def on_status(payload):
        found["status"] = read(Result, payload["result_id"]).status

    node.client.on("new_task", on_task, namespace="/tasks")
    node.client.on("status_update", on_status, namespace="/tasks")
    call("researcher", "POST", "/task", json=order(world, "north", "south"))
    path = f"/result/{world.result['running', 'north']}"
    call("north_registry", "PATCH", path, json={"status": "crashed"})
    eventually(lambda: found.get("status"), "crashed")
    eventually(lambda: len(found.get("results", ())), 2)


def test_s_21_a_report_without_result_and_log_keeps_them(world, call):
    path = f"/result/{world.result['running', 'north']}"
    call("north_registry", "PATCH", path, json={"result": "b3V0", "log": "half"})
    after = call("north_registry", "PATCH", path, json={"status": "active"}).json
    assert (after["result"], after["log"]) == ("b3V0", "half")


def test_s_22_a_nested_value_of_the_node_info_is_stored_and_nothing_is_lost(listen, world):
    node, id = listen("north_registry"), world.node.north_registry
    node.say("node_info_update", {"encryption": True, "limits": {"gpu": [1, 2]}})
    stored = [("encryption", "1"), ("gpu", "1"), ("gpu", "2")]
    eventually(lambda: shared(id), stored)
    node.say("node_info_update", ["no object"])
    node.say("node_info_update", {"a": "nul \x00"})
    node.client.call("ping", namespace="/tasks", timeout=5)  # behind both
    assert shared(id) == stored


def test_s_23_a_node_may_share_user_names(listen, world, call):
    node = listen("south_registry")
    node.say("node_info_update", {"allowed_users": ["researcher", "17x"]})
    eventually(lambda: len(shared(world.node.south_registry)), 2)
    body = order(world, "south")
    assert call("researcher", "POST", "/task", json=body).status_code == 201
    refused(call("org_admin", "POST", "/task", json=body), 400)


def test_s_24_users_hear_of_the_tasks_of_their_organization(listen, world, call):
    """`viewer` has the organization rule. South is not concerned by a task for north alone."""
    viewer, other = listen("viewer"), listen("south_viewer")
    task = call("researcher", "POST", "/task", json=order(world, "north")).json
    _, heard = viewer.wait("task_created")
    assert heard["task_id"] == task["id"]
    path = f"/result/{world.result['running', 'north']}"
    call("north_registry", "PATCH", path, json={"status": "active"})
    viewer.wait("status_update", {"result_id": world.result["running", "north"]})
    listen("north_registry").say("algorithm_status_change", report(world))
    viewer.wait("algorithm_status_change")
    other.quiet()
    for event in ("task_created", "status_update", "algorithm_status_change"):
        assert other.named(event) == []


def test_s_25_rooms_follow_what_is_deleted_and_withdrawn(listen, world, call):
    node, user, doomed = listen("south_registry"), listen("collab_admin"), listen("nobody")
    assert call("root", "DELETE", f"/node/{world.node.south_registry}").status_code == 200
    assert call("root", "DELETE", f"/user/{world.user.nobody}").status_code == 200
    body = {"roles": [world.role.viewer]}
    assert call("root", "PATCH", f"/user/{world.user.collab_admin}", json=body).status_code == 200
    node.wait("disconnect")
    doomed.wait("disconnect")
    text = f"User <collab_admin> joined room <{room(world, world.org.north)}>"
    user.wait("message", text)
    before = len(user.heard)
    path = f"/result/{world.result['failed', 'south']}"
    call("root", "POST", "/kill/task", json={"id": world.task.failed})  # to the whole collaboration
    refused(call("south_registry", "PATCH", path, json={"status": "active"}), 401)
    user.quiet()
    assert "kill_containers" not in [heard[0] for heard in user.heard[before:]]


def test_s_27_node_status_changed_is_sent_to_nobody(listen, world):
    ears = [listen(name) for name in ("root", "collab_admin", "viewer", "south_registry")]
    listen("north_registry").close()
    ears[0].wait("node-offline")
    ears[0].quiet()
    assert all(ear.named("node-status-changed") == [] for ear in ears)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed", "credentials"),
    [
        (("*",), "http://any.example", "http://any.example", None),
        (("https://ui.example",), "https://ui.example", "https://ui.example", "true"),
        (("https://ui.example",), "http://evil.example", None, None),
    ],
)
def test_s_28_origins_are_configured(backend, databases, origins, origin, allowed, credentials):
    with open_app(databases, backend, False, cors_origins=origins) as (app, _), serving(app) as url:
        answer = requests.get(
            f"{url}/socket.io/",
            {"transport": "polling", "EIO": "4"},
            headers={"Origin": origin},
            timeout=5,
        )
    assert (answer.status_code == 200) is (allowed is not None)
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert answer.headers.get("Access-Control-Allow-Credentials") == credentials


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
def test_s_29_a_node_that_goes_is_offline_with_the_library_in_use(
    listen, world, stored, caplog, transports
):
    """The library here hands a reason to the disconnect handler."""
    node = listen("north_registry", transports)
    node.say("node_info_update", {"encryption": True})
    eventually(lambda: shared(world.node.north_registry), [("encryption", "1")])
    node.close()
    eventually(lambda: stored(Account, world.node.north_registry).status, "offline")
    eventually(lambda: shared(world.node.north_registry), [])
    assert "Traceback" not in caplog.text
    ours = [one for one in caplog.records if not one.name.startswith("werkzeug")]
    assert "ERROR" not in {one.levelname for one in ours}


def test_s_30_sockets_of_other_processes_count_and_a_watchdog_repeats_nothing(watched, stored):
    listen, _call, world = watched
    root, node = listen("root"), listen("south_trial")
    id, name = world.node.south_trial, card(world, "south_trial", "south")
    with writing():
        elsewhere = SocketConnection(
            sid="elsewhere",
            account_id=id,
            process="another process",
            seen_at=utcnow() + timedelta(seconds=60),
        )
        session.add(elsewhere)
        session.commit()
    session.remove()
    change_account(id, last_seen=utcnow() + timedelta(hours=1))
    node.close()
    time.sleep(SOON_S)
    assert stored(Account, id).status == "online"
    assert name not in root.named("node-offline")
    change_account(id, last_seen=utcnow() - timedelta(hours=1))
    root.wait("node-offline", name)
    time.sleep(2 * SOON_S)  # several rounds
    assert root.named("node-offline").count(name) == 1
