"""Tasks that are started, killed and removed (rest.md 3.6, 3.13; realtime.md 9)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, insert, select, update

from tests.api.test_task import order
from tests.support import database_digest
from tests.world import IMAGE
from v6srv import db
from v6srv.model import NodeConfig, Organization, Port, Result, Task, TaskDatabase, User
from v6srv.vocabulary import V3
from v6srv.wire.socket_events import forms

KILLED = "killed by user"


def told(sent):
    """What sockets of 3.x hear."""
    return [(event.name, forms(event.name, event.payload)[V3]) for event in sent]


def states(call, task_id):
    """Status and end of each result of a task, by organization."""
    task = call("root", "GET", f"/task/{task_id}", query={"include": "results"}).json
    return {row["organization"]: (row["status"], row["finished_at"]) for row in task["results"]}


# --- start


def test_a_new_task(call, world, sent):
    body = order(world, "north", "south", name="mean", database="default")
    body["organizations"][1] = {"id": world.org.south}
    answer = call("researcher", "POST", "/task", json=body)
    assert answer.status_code == 201
    task = answer.json
    results = call("researcher", "GET", f"/task/{task['id']}/result").json
    assert {**task, "results": 0, "collaboration": 0, "created_at": 0, "id": 0, "run_id": 0} == {
        "id": 0,
        "run_id": 0,
        "name": "mean",
        "description": "",
        "image": IMAGE,
        "database": "default",
        "created_at": 0,
        "finished_at": None,
        "complete": False,
        "status": "pending",
        "initiator": world.org.north,
        "init_user": world.user.researcher,
        "collaboration": 0,
        "parent": None,
        "children": None,
        "results": 0,
    }
    assert [row["id"] for row in results] == [link["id"] for link in task["results"]]
    assert [(row["organization"], row["input"], row["status"]) for row in results] == [
        (world.org.north, "aW4=", "pending"),
        (world.org.south, None, "pending"),
    ]
    assert call("researcher", "GET", f"/task/{task['id']}").json == task


def databases_of(task):
    query = select(TaskDatabase).where(TaskDatabase.task_id == task["id"])
    rows = db.session.scalars(query.order_by(TaskDatabase.position))
    return [(row.position, row.label, row.parameters) for row in rows]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [({"database": "x"}, [(0, "x", "{}")]), ({"database": ""}, []), ({}, [])],
    ids=str,
)
def test_the_database_of_a_task_is_the_first_of_several(call, world, app, sent, stored):
    task = call("researcher", "POST", "/task", json=order(world, "north", **sent)).json
    assert task["database"] == sent.get("database", "")
    with app.app_context():
        assert databases_of(task) == stored
        assert db.session.get(Task, task["id"]).dialect == 3
    assert call("root", "DELETE", f"/task/{task['id']}").status_code == 200
    with app.app_context():
        assert databases_of(task) == []


def test_a_database_takes_one_statement_more(call, world, count_queries):
    call("researcher", "POST", "/task", json=order(world, "north"))
    counts = []
    for database in ("", "default"):
        with count_queries() as statements:
            call("researcher", "POST", "/task", json=order(world, "north", database=database))
        counts.append(len(statements))
    assert counts[1] == counts[0] + 1


def test_the_events_of_a_new_task_come_once_and_in_order(call, world, sent):
    """Q-52, Q-53, S20, S24"""
    task = call("researcher", "POST", "/task", json=order(world, "south")).json
    assert told(sent) == [
        (
            "task_created",
            {
                "task_id": task["id"],
                "run_id": task["run_id"],
                "collaboration_id": world.collab.registry,
                "init_org_id": world.org.north,
            },
        ),
        ("new_task", task["id"]),
    ]
    room = f"collaboration_{world.collab.registry}"
    created, new = sent
    assert list(created.rooms) == [
        room,
        f"{room}_organization_{world.org.north}",
        f"{room}_organization_{world.org.south}",
    ]
    assert list(new.rooms) == [room]


def test_a_run_id_is_never_used_again(call, world):
    """Q-05: the node names its volume after it"""
    first = call("researcher", "POST", "/task", json=order(world, "north")).json
    assert call("researcher", "DELETE", f"/task/{first['id']}").status_code == 200
    second = call("researcher", "POST", "/task", json=order(world, "north")).json
    assert second["run_id"] > first["run_id"]
    assert second["id"] > first["id"]


def test_input_is_kept_to_the_letter(call, world):
    """clients.md 8"""
    odd = " $a$b$ \n\t\N{SNOWMAN}" + "x" * 1_000_000
    body = order(world, "north", "south")
    body["organizations"][0]["input"] = odd
    body["organizations"][1]["input"] = {"method": "mean"}
    task = call("researcher", "POST", "/task", json=body).json
    found = call("researcher", "GET", f"/task/{task['id']}/result").json
    assert [row["input"] for row in found] == [odd, '{"method": "mean"}']


def test_a_subtask_belongs_to_its_run(call, world, sent):
    answer = call("container", "POST", "/task", json=order(world, "north", "south"))
    assert answer.status_code == 201
    subtask = answer.json
    parent = call("root", "GET", f"/task/{world.task.running}").json
    assert subtask["parent"]["id"] == parent["id"]
    assert subtask["run_id"] == parent["run_id"]
    assert subtask["init_user"] == world.user.researcher
    assert subtask["initiator"] == world.org.north
    assert [name for name, _ in told(sent)] == ["task_created", "new_task"]
    assert call("container", "GET", f"/task/{subtask['id']}/result").status_code == 200


@pytest.mark.parametrize(
    ("shared", "status"),
    [
        ([], 201),
        ([("encryption", "1")], 201),
        ([("allowed_users", "researcher")], 201),  # a name
        ([("allowed_users", "ID")], 201),
        ([("allowed_users", "somebody"), ("allowed_orgs", "north")], 201),
        ([("allowed_orgs", "ORG")], 201),
        ([("allowed_users", "somebody")], 400),
        ([("allowed_orgs", "south")], 400),
        ([("allowed_users", "OTHER ID")], 400),
        ([("allowed_orgs", "OTHER ORG")], 400),
        ([("allowed_users", "")], 400),
        ([("allowed_users", None)], 400),
    ],
)
def test_a_node_may_limit_who_starts_tasks(call, world, sent, shared, status):
    with call.app.app_context():
        db.session.execute(delete(NodeConfig))
        known = {
            "ID": str(world.user.researcher),
            "ORG": str(world.org.north),
            "OTHER ID": str(world.user.viewer),
            "OTHER ORG": str(world.org.south),
        }
        for key, value in shared:
            value = known.get(value, value)
            db.session.add(NodeConfig(node_id=world.node.south_registry, key=key, value=value))
        db.session.commit()
    call("researcher", "GET", "/task")
    before = database_digest()
    answer = call("researcher", "POST", "/task", json=order(world, "north", "south"))
    assert answer.status_code == status, answer.json
    if status == 400:
        assert database_digest() == before
        assert sent == []
    # Other nodes and subtasks are not concerned.
    assert call("researcher", "POST", "/task", json=order(world, "north")).status_code == 201
    assert call("container", "POST", "/task", json=order(world, "south")).status_code == 201


def test_a_name_that_several_organizations_have_lets_none_in(call, world, caplog):
    """Whoever may edit an organization can give it the name of one that a node trusts."""
    with call.app.app_context():
        node = world.node.south_registry
        db.session.add(NodeConfig(node_id=node, key="allowed_orgs", value="north"))
        db.session.commit()
    body = order(world, "south")
    assert call("researcher", "POST", "/task", json=body).status_code == 201
    assert call("root", "PATCH", f"/organization/{world.org.east}", json={"name": "north"}).json
    assert call("researcher", "POST", "/task", json=body).status_code == 400
    assert "by name, which several have" in caplog.text
    with call.app.app_context():
        id = str(world.org.north)
        db.session.add(NodeConfig(node_id=node, key="allowed_orgs", value=id))
        db.session.commit()
    assert call("researcher", "POST", "/task", json=body).status_code == 201


@pytest.mark.parametrize("kind", ["user", "organization"])
def test_who_is_called_like_the_id_of_another_is_not_that_one(call, world, kind):
    key, other = {
        "user": ("allowed_users", world.user.viewer),
        "organization": ("allowed_orgs", world.org.east),
    }[kind]
    with call.app.app_context():
        table, column, id = {  # by hand: they may have been taken over, and no new one is
            "user": (User.__table__, "username", world.user.researcher),
            "organization": (Organization.__table__, "name", world.org.north),
        }[kind]
        named = update(table).where(table.c.id == id).values({column: str(other)})
        db.session.connection().execute(named)
        node = world.node.south_registry
        db.session.add(NodeConfig(node_id=node, key=key, value=str(other)))
        db.session.commit()
    who = str(other) if kind == "user" else "researcher"
    assert call(who, "POST", "/task", json=order(world, "south")).status_code == 400


def test_an_organization_without_a_node_is_named(call, world):
    call("root", "DELETE", f"/node/{world.node.south_registry}")
    answer = call("researcher", "POST", "/task", json=order(world, "north", "south"))
    assert answer.status_code == 400
    assert "south" in answer.json["msg"]


def test_a_member_with_nothing_but_task_create_starts_tasks(call, world):
    """`analyst` has no other right that creating a task could need."""
    assert call("analyst", "POST", "/task", json=order(world, "north")).status_code == 201


# --- kill


def test_a_kill_stops_the_whole_tree_and_leaves_what_is_finished(call, world, sent):
    """Q-28, S9, S10, S11"""
    deeper = call("container:subtask@south_registry", "POST", "/task", json=order(world, "north"))
    result = world.result["running", "north"]
    done = {"status": "completed", "result": "b3V0", "finished_at": "2024-03-01T13:00:00"}
    call("north_registry", "PATCH", f"/result/{result}", json=done)
    sent.clear()
    answer = call("org_admin", "POST", "/kill/task", json={"id": world.task.running})
    assert answer.status_code == 200
    [(name, payload)] = told(sent)
    deepest = deeper.json["results"][0]["id"]
    assert name == "kill_containers"
    assert payload == {
        "collaboration_id": world.collab.registry,
        "kill_list": [
            {
                "task_id": world.task.running,
                "result_id": world.result["running", "south"],
                "organization_id": world.org.south,
            },
            {
                "task_id": world.task.subtask,
                "result_id": world.result["subtask", "south"],
                "organization_id": world.org.south,
            },
            {
                "task_id": deeper.json["id"],
                "result_id": deepest,
                "organization_id": world.org.north,
            },
        ],
    }
    running = states(call, world.task.running)
    assert running[world.org.north] == ("completed", "2024-03-01T13:00:00+00:00")
    assert running[world.org.south][0] == KILLED
    assert running[world.org.south][1] is not None
    for task in (world.task.subtask, deeper.json["id"]):
        assert call("root", "GET", f"/task/{task}").json["complete"] is True
    # A second time there is nothing left to kill, and nothing is sent (S13).
    again = call("org_admin", "POST", "/kill/task", json={"id": world.task.running})
    assert again.status_code == 400
    assert len(sent) == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_subtask_that_is_just_being_written_is_killed_too(call, world, sent):
    """A kill waits for it; on SQLite there is only one writer at a time anyway."""
    engine = db.session.get_bind()
    subtask = {"collaboration_id": world.collab.registry, "parent_id": world.task.subtask}
    with engine.connect() as other, ThreadPoolExecutor() as threads:
        task_id = other.scalar(insert(Task).values(**subtask).returning(Task.id))
        run = {"task_id": task_id, "organization_id": world.org.north, "status": "pending"}
        other.execute(insert(Result).values(**run))
        body = {"id": world.task.running}
        killing = threads.submit(call, "root", "POST", "/kill/task", json=body)
        with pytest.raises(TimeoutError):
            killing.result(timeout=0.5)
        other.commit()
        assert killing.result(timeout=20).status_code == 200
    [(_, payload)] = told(sent)
    assert [entry["task_id"] for entry in payload["kill_list"]].count(task_id) == 1
    assert states(call, task_id)[world.org.north][0] == KILLED


def test_a_task_that_failed_at_one_place_is_killed_at_the_others(call, world, sent):
    """Q-28 (4)"""
    answer = call("org_admin", "POST", "/kill/task", json={"id": world.task.failed})
    assert answer.status_code == 200
    after = states(call, world.task.failed)
    assert after[world.org.north] == ("crashed", "2024-03-01T12:02:00+00:00")
    assert after[world.org.south][0] == KILLED


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("root", {"id": "waiting"}, 200),
        ("org_admin", {"id": "running"}, 200),
        ("org_admin", {"id": "waiting"}, 403),
        ("collab_admin", {"id": "failed"}, 200),
        ("researcher", {"id": "running"}, 403),  # permissions.md 5.4
        ("north_registry", {"id": "running"}, 403),
        ("container", {"id": "running"}, 403),
        ("root", {"id": "finished"}, 400),
        ("root", {"id": 9999}, 404),
        ("org_admin", {"id": 9999}, 403),
        ("root", {}, 400),
        ("root", {"id": None}, 400),
        ("root", {"id": "x"}, 400),
        ("root", [], 400),
    ],
)
def test_who_may_kill_what(call, world, sent, who, body, status):
    if isinstance(body, dict) and isinstance(body.get("id"), str):
        body = {"id": getattr(world.task, body["id"], body["id"])}
    answer = call(who, "POST", "/kill/task", json=body)
    assert answer.status_code == status, answer.json
    assert isinstance(answer.json["msg"], str)
    assert len(sent) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    ("who", "node", "status"),
    [
        ("root", "west_trial", 200),
        ("org_admin", "north_registry", 200),  # an event rule, not a task rule
        ("org_admin", "west_trial", 403),
        ("collab_admin", "north_registry", 200),
        ("collab_admin", "west_trial", 403),
        ("researcher", "north_registry", 403),
        ("root", "south_registry", 400),  # offline
        ("root", "south_trial", 400),  # never seen
        ("root", None, 400),
    ],
)
def test_who_may_stop_everything_on_a_node(call, world, sent, who, node, status):
    id = getattr(world.node, node) if node else None
    call(who, "GET", "/task")
    before = database_digest()
    answer = call(who, "POST", "/kill/node/tasks", json={"id": id})
    assert answer.status_code == status, answer.json
    if status != 200:
        assert sent == []
        return
    [event] = sent
    collab = world.collab.registry if node == "north_registry" else world.collab.trial
    assert (event.name, event.payload) == (
        "kill_containers",
        {"node_id": id, "collaboration_id": collab},
    )
    assert event.rooms == (f"collaboration_{collab}",)
    after = database_digest()
    assert {name for name in before if before[name] != after[name]} <= {"outbox"}


# --- remove


def test_a_task_goes_with_its_results_ports_and_subtasks(call, world, sent):
    """Q-48, S16: what still runs is killed first"""
    assert call("container", "GET", "/task").status_code == 200
    answer = call("researcher", "DELETE", f"/task/{world.task.running}")
    assert answer.status_code == 200
    assert isinstance(answer.json["msg"], str)
    [(name, payload)] = told(sent)
    assert name == "kill_containers"
    assert [entry["result_id"] for entry in payload["kill_list"]] == [
        world.result["running", "north"],
        world.result["running", "south"],
        world.result["subtask", "south"],
    ]
    with call.app.app_context():
        gone = (world.task.running, world.task.subtask)
        assert db.session.query(Task).where(Task.id.in_(gone)).count() == 0
        assert db.session.query(Result).where(Result.task_id.in_(gone)).count() == 0
        assert db.session.query(Port).count() == 1
    assert call("container", "GET", "/task").status_code == 401


def test_a_finished_task_goes_quietly(call, world, sent):
    # Every member with the rule may: the initiator is irrelevant.
    assert call("south_researcher", "DELETE", f"/task/{world.task.finished}").status_code == 200
    assert sent == []
    assert call("root", "GET", f"/task/{world.task.finished}").status_code == 404
