"""/run of 4.x: what it shows, and what nodes report (rest.md 3.8, auth.md 3)."""

import pytest

from tests.api4.shared import data, refused
from tests.api4.test_task import BASE, link, order
from tests.world import NOON
from v6srv import db
from v6srv.model import Node, Result, Task

ENDED = "2026-01-01T10:00:00"


@pytest.fixture
def run(world):
    """The path of the run of `running` at north."""
    return f"/run/{world.result['running', 'north']}"


@pytest.fixture
def report(call4, run):
    """Report that run; the answer."""
    return lambda **changes: call4("north_registry", "PATCH", run, json=changes)


@pytest.fixture
def made_by_4(app, world):
    """As if tasks had been ordered by programs of 4.x."""

    def make(*names):
        with app.app_context():
            for name in names:
                db.session.get(Task, getattr(world.task, name)).dialect = 4
            db.session.commit()

    return make


def keys(rows):
    return [row["id"] for row in rows]


# --- what is shown


def test_a_run(call4, world, run):
    shown = call4("viewer", "GET", run).json
    id = world.result["running", "north"]
    at = NOON.replace(tzinfo=None).isoformat()
    ports = sorted(world.port[label] for label in ("first", "second"))
    assert shown == {
        "id": id,
        "input": "aW5wdXQ=",
        "status": "active",
        "log": None,
        "assigned_at": at,
        "started_at": at.replace("12:00", "12:01"),
        "finished_at": None,
        "cleanup_at": None,
        "blob_storage_used": False,
        "organization": link("organization", world.org.north, "GET", "PATCH", "DELETE"),
        "task": link("task", world.task.running, "GET", "DELETE"),
        "results": link("result", id, "GET", "PATCH"),
        "node": {
            "id": world.node.north_registry,
            "name": "north_registry",
            "ip": "10.0.0.7",
            "status": "online",
        },
        "ports": [
            {"id": ports[0], "port": 1111, "label": "first"},
            {"id": ports[1], "port": 2222, "label": "second"},
        ],
    }
    query = {"organization_id": world.org.north, "task_id": world.task.running}
    assert data(call4("viewer", "GET", "/run", query=query)) == [shown]
    task = call4("viewer", "GET", f"/task/{world.task.running}").json
    del task["runs"]
    include = {"include": "task"}
    assert call4("viewer", "GET", run, query=include).json == shown | {"task": task}
    assert data(call4("viewer", "GET", "/run", query=query | include)) == [shown | {"task": task}]


def test_a_node_without_contact_is_offline_and_one_that_is_gone_is_none(call4, world, app):
    path = f"/run/{world.result['waiting', 'south']}"
    node = call4("root", "GET", path).json["node"]
    assert node == {
        "id": world.node.south_trial,
        "name": "south_trial",
        "ip": None,
        "status": "offline",
    }
    with app.app_context():
        db.session.delete(db.session.get(Node, world.node.south_trial))
        db.session.commit()
    assert call4("root", "GET", path).json["node"] == {}


def test_nodes_write_inputs_to_files(call4, world, app, run):
    with app.app_context():
        db.session.get(Result, world.result["running", "north"]).input = None
        db.session.commit()
    assert call4("north_registry", "GET", run).json["input"] == ""


def test_when_the_data_of_a_task_was_deleted_is_told_of_its_runs(call4, world, app, run):
    with app.app_context():
        db.session.get(Task, world.task.running).cleanup_at = NOON
        db.session.commit()
    at = NOON.replace(tzinfo=None).isoformat()
    for path in (run, run.replace("run", "result")):
        assert call4("root", "GET", path).json["cleanup_at"] == at


@pytest.mark.parametrize("path", ["/run", "/result"])
def test_filters_narrow_the_list(call4, world, path):
    def listed(who="root", **query):
        return keys(data(call4(who, "GET", path, query={"per_page": 100, **query})))

    everything = sorted(world.result.values(), reverse=True)
    assert listed() == everything

    def of(*tasks, orgs=("north", "south", "west")):
        found = [id for (task, org), id in world.result.items() if task in tasks and org in orgs]
        return sorted(found, reverse=True)

    registry = of("finished", "running", "failed", "subtask")
    assert listed("viewer") == registry
    assert listed("container") == of("running", "subtask")
    assert listed(task_id=world.task.running) == of("running")
    assert listed("container", task_id=[world.task.running] * 2) == of("running")
    assert listed(organization_id=world.org.west) == of(*vars(world.task), orgs=("west",))
    assert listed(collaboration_id=world.collab.registry) == registry
    assert listed("viewer", collaboration_id=world.collab.trial) == []
    assert listed(node_id=world.node.south_trial) == of("waiting", orgs=("south",))
    assert listed(state="open") == [
        id
        for id in everything
        if id not in of("finished", "killed") and id != world.result["failed", "north"]
    ]
    assert listed(port=2222) == [world.result["running", "north"]]
    assert listed(finished_from="2024-03-01T12:02:00") == [
        id for id in everything if id not in listed(state="open")
    ]
    assert listed(started_till="2024-03-01T12:00:00") == []
    assert listed(assigned_till="2024-03-01T11:00:00") == []
    assert listed(assigned_from="2024-03-01T11:00:00", page=2) == []


@pytest.mark.parametrize("path", ["/run", "/result"])
def test_what_is_asked_for_must_be_there_and_ones_own(call4, world, path):
    for name in ("task_id", "node_id"):
        assert call4("root", "GET", path, query={name: 999999}).status_code == 400
        assert call4("viewer", "GET", path, query={name: 999999}).status_code == 403
    foreign = {"task_id": world.task.waiting}
    assert call4("viewer", "GET", path, query=foreign).status_code == 403
    assert call4("container", "GET", path, query=foreign).status_code == 403
    refused(call4("root", "GET", path, query={"task_id": "x"}), "task_id")
    refused(call4("root", "GET", path, query={"started_from": "x"}), "started_from")


def test_a_node_that_asks_too_late_has_nothing_to_do(call4, world):
    query = {"state": "open", "node_id": world.node.north_registry, "include": "task"}
    assert keys(data(call4("north_registry", "GET", "/run", query=query))) == [
        world.result["running", "north"]
    ]
    gone = query | {"task_id": 999999}
    assert data(call4("north_registry", "GET", "/run", query=gone)) == []


def test_nodes_get_all_their_runs_at_once(call4, world):
    for _ in range(12):
        call4("researcher", "POST", "/task", json=order(world, "north"))
    query = {"state": "open", "node_id": world.node.north_registry}
    answer = call4("north_registry", "GET", "/run", query=query)
    assert len(data(answer)) == 13
    assert "next" not in answer.json["links"]
    assert len(data(call4("root", "GET", "/run", query=query))) == 10


def test_what_a_node_asks_for_first_shows_its_generation(call, call4, world, app):
    def generation():
        with app.app_context():
            return db.session.get(Node, world.node.north_registry).generation

    for ask, path, expected in ((call4, "/run", 4), (call, "/result", 3), (call4, "/run", 4)):
        before = generation()
        ask("north_registry", "GET", path)
        ask("root", "GET", path, query={"state": "open"})
        assert generation() == before
        ask("north_registry", "GET", path, query={"state": "open"})
        assert generation() == expected


# --- what nodes report


def test_a_run_from_start_to_end(report, call4, world, run, sent):
    started = report(started_at="2026-11-29T11:36:29.627760+00:00")
    assert started.status_code == 200
    assert started.json["started_at"] == "2026-11-29T11:36:29.627760"
    assert started.json["task"] == link("task", world.task.running, "GET", "DELETE")
    assert report(status="initializing").json["status"] == "initializing"
    end = report(result="e30=", log="done", status="completed", finished_at=ENDED + "Z").json
    assert (end["log"], end["status"], end["finished_at"]) == ("done", "completed", ENDED)
    assert end["started_at"] == "2026-11-29T11:36:29.627760"
    assert call4("viewer", "GET", run).json == end
    result = call4("viewer", "GET", run.replace("run", "result")).json
    assert result == {
        "id": end["id"],
        "result": "e30=",
        "cleanup_at": None,
        "blob_storage_used": False,
        "run": link("run", end["id"], "GET", "PATCH"),
        "task": end["task"],
    }
    assert [(event.name, event.payload) for event in sent] == [
        ("status_update", {"result_id": end["id"]})
    ] * 3
    assert report(status="active").status_code == 400


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-01T10:00:00", "2026-01-01T10:00:00"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00"),
        ("2026-01-01T10:00:00.5+00:00", "2026-01-01T10:00:00.500000"),
        ("2026-01-01T10:00:00+02:00", "2026-01-01T08:00:00"),
        ("2026-01-01 10:00", "2026-01-01T10:00:00"),
        ("20260101T100000-0130", "2026-01-01T11:30:00"),
        ("2026-W01-4T10", "2026-01-01T10:00:00"),
    ],
)
def test_a_time_of_any_form_is_stored_as_utc(report, text, shown):
    assert report(started_at=text).json["started_at"] == shown


def test_what_is_absent_or_null_stays(report, call4, run):
    assert report(log="a line\n").status_code == 200
    kept = report(status="active", result=None, log=None, finished_at=None)
    assert (kept.json["log"], kept.json["finished_at"]) == ("a line\n", None)
    before = call4("root", "GET", run).json
    for changes in ({}, {"input": "x", "organization": 1, "unheard_of": 1}):
        assert report(**changes).json == before


def test_what_is_wrong_with_a_report_is_said(report, call4, world, run):
    refused(report(status="zz"), "status")
    refused(report(started_at="soon", finished_at=1), "started_at", "finished_at")
    changes = {"status": "active"}
    assert call4("south_registry", "PATCH", run, json=changes).status_code == 403
    assert call4("root", "PATCH", run, json=changes).status_code == 403
    assert call4("container", "PATCH", run, json=changes).status_code == 403
    assert call4("north_registry", "PATCH", "/run/999999", json=changes).status_code == 403
    assert call4("north_registry", "PATCH", run.replace("run", "result")).status_code == 405


@pytest.mark.parametrize("status", ["failed", "crashed", "completed", "not allowed"])
def test_a_last_status_with_a_log_ends_the_run(report, call, status, run):
    """auth.md 3: such a node reports nothing more."""
    alone = report(status="start failed").json
    assert alone["finished_at"] is None
    if status == "completed":
        assert report(status="active", log="still running").status_code == 400
    ended = report(status=status, log="why").json
    assert (ended["status"], ended["log"]) == (status, "why")
    assert ended["finished_at"] is not None


def test_a_log_alone_ends_nothing(report, call, world, run):
    assert report(status="active", log="x").json["finished_at"] is None
    assert report(log="y").json["finished_at"] is None
    # 3.x nodes say when a run has ended.
    path = run.replace("run", "result")
    answer = call("north_registry", "PATCH", path, json={"status": "failed", "log": "x"})
    assert answer.json["finished_at"] is None


def test_a_node_confirms_a_kill_without_an_error(report, call4, world, sent):
    assert call4("root", "POST", "/kill/task", json={"id": world.task.running}).status_code == 200
    sent.clear()
    killed = report(status="killed by user")
    assert killed.status_code == 200
    assert killed.json["finished_at"] is not None
    last = report(status="killed by user", log="last words", result="e30=", finished_at=ENDED)
    assert last.json == killed.json | {"log": "last words"}
    assert report(status="completed").status_code == 400


def test_one_row_of_two_dialects(call, call4, report, world, run):
    path = run.replace("run", "result")
    report(status="active", log="of 4.x")
    assert call("viewer", "GET", path).json["log"] == "of 4.x"
    changes = {"result": "b3V0", "status": "completed", "finished_at": ENDED}
    call("north_registry", "PATCH", path, json=changes)
    shown = call4("viewer", "GET", run).json
    assert (shown["log"], shown["status"], shown["finished_at"]) == ("of 4.x", "completed", ENDED)
    assert call4("viewer", "GET", path).json["result"] == "b3V0"


# --- the sibling rule


@pytest.mark.parametrize("dialect", [3, 4], ids="from {}".format)
@pytest.mark.parametrize("status", ["failed", "killed by user", "start failed"])
def test_a_failed_run_of_a_4_x_task_ends_those_not_begun(
    call, call4, world, run, made_by_4, sent, dialect, status
):
    made_by_4("running", "subtask")
    if dialect == 4:
        call4("north_registry", "PATCH", run, json={"status": status})
    else:
        path = run.replace("run", "result")
        call("north_registry", "PATCH", path, json={"status": status})
    sibling = call4("root", "GET", f"/run/{world.result['running', 'south']}").json
    assert (sibling["status"], sibling["finished_at"] is not None) == ("failed", True)
    assert status in sibling["log"]
    told = [event.payload["result_id"] for event in sent]
    assert told == [world.result["running", "north"], sibling["id"]]
    other = call4("root", "GET", f"/run/{world.result['subtask', 'south']}").json
    assert other["status"] == "pending"


def test_what_has_begun_goes_on(call4, world, made_by_4, report):
    made_by_4("running")
    south = f"/run/{world.result['running', 'south']}"
    call4("south_registry", "PATCH", south, json={"started_at": ENDED})
    report(status="failed", log="x")
    assert call4("root", "GET", south).json["status"] == "pending"


@pytest.mark.parametrize("status", ["active", "completed", None])
def test_only_a_failure_ends_others(call4, world, made_by_4, report, status):
    made_by_4("running")
    report(status=status, log="x", finished_at=ENDED)
    south = f"/run/{world.result['running', 'south']}"
    assert call4("root", "GET", south).json["status"] == "pending"


def test_tasks_of_3_x_keep_running_elsewhere(call4, world, report):
    report(status="failed", log="x")
    south = f"/run/{world.result['running', 'south']}"
    assert call4("root", "GET", south).json["finished_at"] is None


def test_links_are_below_the_path_that_was_asked(call, world, run):
    token = call.token("viewer")
    client = call.app.test_client()
    answer = client.get(f"/api{run}", headers={"Authorization": f"Bearer {token}"})
    assert answer.json["task"]["link"] == f"/api/task/{world.task.running}"
    assert BASE not in answer.text


@pytest.mark.parametrize(
    "path", ["/run?sort=log", "/run?sort=id,-input", "/result?sort=result", "/run?sort=-log"]
)
def test_no_list_is_sorted_by_what_may_be_large(call4, world, path):
    refused(call4("root", "GET", path), "sort")
