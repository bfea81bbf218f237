"""/task of 4.x: what it shows, refuses and starts (rest.md 3.6, 3.7)."""

import base64
import json

import pytest

from tests.api4.shared import data, names, refused
from tests.api4.store import DIGEST, algorithm_store
from tests.support import Caller, database_digest, open_app
from tests.world import IMAGE, NOON
from v6srv import db
from v6srv.model import AlgorithmStore, Node, Organization, Result, Study, Task
from v6srv.service import store_client

BASE = "/v4/api"
INPUT = base64.b64encode(b'{"method": "partial"}').decode()
SECRET = "a2V5$aXY=$bWVzc2FnZQ=="
UNREADABLE = base64.b64encode(bytes(range(256))).decode()


def order(world, *organizations, **more):
    targets = [{"id": getattr(world.org, name), "input": INPUT} for name in organizations]
    return {
        "name": "mean",
        "image": IMAGE,
        "collaboration_id": world.collab.registry,
        "organizations": targets,
        **more,
    }


def link(resource, id, *methods):
    return {"id": id, "link": f"{BASE}/{resource}/{id}", "methods": list(methods)}


def row(model, id):
    db.session.remove()
    return db.session.get(model, id)


@pytest.fixture
def generations(app, world):
    """Say of which generation the program of a node is."""

    def say(**nodes):
        with app.app_context():
            for name, generation in nodes.items():
                db.session.get(Node, getattr(world.node, name)).generation = generation
            db.session.commit()

    return say


# --- what is shown


def test_a_task(call4, world):
    task = call4("viewer", "GET", f"/task/{world.task.running}").json
    assert task == {
        "id": world.task.running,
        "name": "running",
        "description": "The task called running",
        "image": IMAGE,
        "job_id": task["job_id"],
        "created_at": NOON.replace(tzinfo=None).isoformat(),
        "status": "active",
        "finished_at": None,
        "collaboration": link("collaboration", world.collab.registry, "GET", "PATCH", "DELETE"),
        "study": None,
        "algorithm_store": None,
        "parent": None,
        "init_org": link("organization", world.org.north, "GET", "PATCH", "DELETE"),
        "init_user": link("user", world.user.researcher, "GET", "PATCH", "DELETE"),
        "databases": [],
        "runs": f"{BASE}/run?task_id={world.task.running}",
        "results": f"{BASE}/result?task_id={world.task.running}",
        "children": f"{BASE}/task?parent_id={world.task.running}",
    }
    [listed] = data(call4("viewer", "GET", "/task", query={"name": "running"}))
    assert listed == task


def test_a_subtask_names_its_parent(call4, world):
    task = call4("viewer", "GET", f"/task/{world.task.subtask}").json
    assert task["parent"] == link("task", world.task.running, "GET", "DELETE")
    parent = call4("viewer", "GET", f"/task/{world.task.running}").json
    assert task["job_id"] == parent["job_id"]


def test_runs_and_results_are_embedded_when_asked_for(call4, world):
    path = f"/task/{world.task.running}"
    plain = call4("viewer", "GET", path).json
    runs = data(call4("viewer", "GET", "/run", query={"task_id": world.task.running}))
    results = data(call4("viewer", "GET", "/result", query={"task_id": world.task.running}))
    runs.reverse()
    results.reverse()
    for include, embedded in (
        ("runs", {"runs": runs}),
        ("results", {"results": results}),
        ("results,runs", {"runs": runs, "results": results}),
        (["runs", "results"], {"runs": runs, "results": results}),
        ("metadata", {}),
    ):
        query = {"include": include}
        assert call4("viewer", "GET", path, query=query).json == plain | embedded
        listed = data(call4("viewer", "GET", "/task", query={**query, "name": "running"}))
        assert listed == [plain | embedded]


STATUSES = {
    (): "completed",
    ("completed", "completed"): "completed",
    ("completed", "pending"): "pending",
    ("pending", "initializing", "completed"): "initializing",
    ("pending", "initializing", "active"): "active",
    ("crashed", "active"): "crashed",
    ("crashed", "crashed", "pending"): "crashed",
    ("killed by user", "killed by user"): "killed by user",
    ("crashed", "failed"): "failed",
    ("start failed", "not allowed", "completed"): "failed",
    (None, "completed"): "failed",
    ("unheard of",): "unheard of",
}


@pytest.mark.parametrize("statuses", STATUSES, ids=str)
def test_the_status_of_a_task_is_derived(call4, app, world, statuses):
    expected = STATUSES[statuses]
    with app.app_context():
        task = db.session.get(Task, world.task.waiting)
        task.results = [Result(status=one, finished_at=NOON) for one in statuses]
        db.session.commit()
    shown = call4("root", "GET", f"/task/{world.task.waiting}").json
    assert shown["status"] == expected
    is_done = expected == "completed" and bool(statuses)
    assert shown["finished_at"] == (NOON.replace(tzinfo=None).isoformat() if is_done else None)
    answer = call4("root", "GET", f"/task/{world.task.waiting}/status")
    assert answer.json == {"status": expected}
    listed = names(call4("root", "GET", "/task", query={"status": expected}))
    assert "waiting" in listed
    others = {*STATUSES.values()} - {expected}
    for other in others:
        assert "waiting" not in names(call4("root", "GET", "/task", query={"status": other}))


def test_who_waits_for_a_task_asks_for_its_status(call4, world, count_queries):
    path = f"/task/{world.task.running}/status"
    for who in ("viewer", "north_registry", "container"):
        call4(who, "GET", path)
        with count_queries() as statements:
            assert call4(who, "GET", path).json == {"status": "active"}
        assert len(statements) == 2
    assert call4("root", "GET", "/task/999999/status").status_code == 404
    assert call4("viewer", "GET", f"/task/{world.task.waiting}/status").status_code == 403
    assert call4("nobody", "GET", path).status_code == 403
    assert call4(None, "GET", path).status_code == 401


REGISTRY = ["failed", "finished", "running", "subtask"]
TRIAL = ["killed", "waiting"]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", REGISTRY + TRIAL),
        ("viewer", REGISTRY),
        ("south_viewer", REGISTRY + TRIAL),
        ("east_viewer", []),
        ("north_registry", REGISTRY),
        ("container", ["running", "subtask"]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(call4, world, who, seen):
    assert names(call4(who, "GET", "/task")) == sorted(seen)


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "%ing"}, ["running", "waiting"]),
        ({"image": "registry.example/%"}, REGISTRY + TRIAL),
        ({"description": "%finished"}, ["finished"]),
        ({"status": "pending"}, ["subtask", "waiting"]),
        ({"status": "crashed"}, ["failed"]),
        ({"is_user_created": 1}, ["failed", "finished", "killed", "running", "waiting"]),
        ({"is_user_created": 0}, ["subtask"]),
        ({"database": "default"}, []),
        ({"database": "%"}, []),
        ({"study_id": 1}, []),
        ({"store_id": 1}, []),
        ({"job_id": 0}, []),
        ({"run_id": 2**40}, []),
        ({"sort": "name", "per_page": 1}, ["failed"]),
    ],
    ids=str,
)
def test_filters_narrow_the_list(call4, world, query, seen):
    assert names(call4("root", "GET", "/task", query=query)) == sorted(seen)


def test_filters_by_relation(call4, world):
    def listed(who="root", **query):
        return names(call4(who, "GET", "/task", query=query))

    assert listed(init_org_id=world.org.north) == ["finished", "running", "subtask"]
    assert listed(init_user_id=world.user.south_researcher) == ["failed", "waiting"]
    assert listed(collaboration_id=world.collab.trial) == sorted(TRIAL)
    assert listed("viewer", collaboration_id=world.collab.trial) == []
    assert listed(parent_id=world.task.running) == ["subtask"]
    assert listed(run_id=world.result["failed", "south"]) == ["failed"]
    job = call4("root", "GET", f"/task/{world.task.subtask}").json["job_id"]
    assert listed(job_id=job) == ["running", "subtask"]


@pytest.mark.parametrize("query", [{"is_user_created": "x"}, {"job_id": "x"}, {"sort": "x"}])
def test_a_filter_that_cannot_be_read_is_refused(call4, query):
    refused(call4("root", "GET", "/task", query=query), *query)


def test_a_list_is_sorted_by_each_field_once(call4, world, count_queries):
    whole = {"per_page": 99}
    with count_queries() as statements:
        asked = {**whole, "sort": ",".join(["-status", "status"] * 200 + ["id"])}
        rows = data(call4("root", "GET", "/task", query=asked))
    [read] = [one for one in statements if "LIMIT" in one]
    assert len(read.partition("ORDER BY")[2].split(",")) < 20
    assert [row["status"] for row in rows] == sorted((row["status"] for row in rows), reverse=True)
    once = data(call4("root", "GET", "/task", query={**whole, "sort": "-status,id"}))
    assert [row["id"] for row in rows] == [row["id"] for row in once]


def test_a_task_whose_user_is_gone_is_nobodys_to_nodes(call4, world, app):
    """Nodes of 4.x die of a null, and get the run again and again (mixed.md 3)."""
    with app.app_context():
        db.session.get(Task, world.task.running).init_user_id = None
        db.session.commit()
    path, query = f"/task/{world.task.running}", {"name": "running"}
    assert call4("viewer", "GET", path).json["init_user"] is None
    nobody = link("user", 0, "GET", "PATCH", "DELETE")
    run = f"/run/{world.result['running', 'north']}"
    include = {"include": "task"}
    asked = {**include, "state": "open", "organization_id": world.org.north}
    shown = [
        call4("north_registry", "GET", path).json,
        data(call4("north_registry", "GET", "/task", query=query))[0],
        call4("north_registry", "GET", run, query=include).json["task"],
        data(call4("north_registry", "GET", "/run", query=asked))[0]["task"],
    ]
    assert [task["init_user"] for task in shown] == [nobody] * 4
    with app.app_context():
        assert row(Task, world.task.running).init_user_id is None


# --- start


def test_a_new_task(call4, world, app):
    databases = [
        {"label": "default", "arguments": {"a": 1}},
        {"label": "other", "query": "select 1", "sheet_name": None},
        {"label": "third", "preprocessing": [{"function": "f", "parameters": {"b": [2]}}]},
        {"label": "plain"},
    ]
    body = order(world, "north", "south", description="demo", databases=databases)
    answer = call4("researcher", "POST", "/task", json=body)
    assert answer.status_code == 201
    task = answer.json
    assert task["databases"] == [
        {"label": "default", "parameters": '{"arguments":{"a":1}}'},
        {"label": "other", "parameters": '{"query":"select 1"}'},
        {
            "label": "third",
            "parameters": '{"preprocessing":[{"function":"f","parameters":{"b":[2]}}]}',
        },
        {"label": "plain", "parameters": "{}"},
    ]
    assert (task["name"], task["description"], task["status"]) == ("mean", "demo", "pending")
    assert task["init_org"]["id"] == world.org.north
    assert task["init_user"]["id"] == world.user.researcher
    assert call4("researcher", "GET", f"/task/{task['id']}").json == task
    runs = data(call4("researcher", "GET", "/run", query={"task_id": task["id"]}))
    assert [(run["organization"]["id"], run["input"], run["status"]) for run in runs] == [
        (world.org.south, INPUT, "pending"),
        (world.org.north, INPUT, "pending"),
    ]
    with app.app_context():
        assert row(Task, task["id"]).dialect == 4
    for label in ("other", "plain"):
        assert names(call4("root", "GET", "/task", query={"database": label})) == ["mean"]
    assert names(call4("root", "GET", "/task", query={"database": "oth%"})) == []


def test_a_task_of_4_x_read_by_3_x(call, call4, world):
    databases = [{"label": "first", "query": "q"}, {"label": "second"}]
    task = call4("researcher", "POST", "/task", json=order(world, "north", databases=databases))
    shown = call("researcher", "GET", f"/task/{task.json['id']}").json
    assert (shown["database"], shown["run_id"]) == ("first", task.json["job_id"])
    assert (shown["initiator"], shown["init_user"]) == (world.org.north, world.user.researcher)
    assert shown["complete"] is False
    [run] = data(call4("researcher", "GET", "/run", query={"task_id": task.json["id"]}))
    assert [one["id"] for one in shown["results"]] == [run["id"]]
    assert call("researcher", "GET", f"/result/{run['id']}").json["input"] == INPUT


@pytest.mark.parametrize(
    ("database", "stored"),
    [("x", [{"label": "x", "parameters": "{}"}]), ("", []), (None, [])],
)
def test_a_task_of_3_x_read_by_4_x(call, call4, world, database, stored):
    body = order(world, "north", database=database)
    body["organizations"][0].pop("input")
    task = call("researcher", "POST", "/task", json=body).json
    shown = call4("researcher", "GET", f"/task/{task['id']}").json
    assert shown["databases"] == stored
    assert shown["job_id"] == task["run_id"]
    assert shown["status"] == "pending"
    [run] = data(call4("researcher", "GET", "/run", query={"task_id": task["id"]}))
    assert run["id"] == task["results"][0]["id"]
    assert run["input"] == ""


@pytest.mark.parametrize("given", [{"databases": None}, {"databases": []}, {}])
def test_a_task_needs_no_database(call4, world, given):
    body = order(world, "north", **given)
    body["organizations"][0]["input"] = None
    body.pop("name")
    answer = call4("researcher", "POST", "/task", json=body)
    assert answer.status_code == 201
    assert (answer.json["databases"], answer.json["name"]) == ([], "")


DEEP = json.loads("[" * 200 + "]" * 200)

WRONG = [
    ({"image": ""}, ["image"]),
    ({"image": None, "name": "17"}, ["image", "name"]),
    ({"name": "n" * 129}, ["name"]),
    ({"description": "d" * 1025}, ["description"]),
    ({"organizations": []}, ["organizations"]),
    ({"organizations": None}, ["organizations"]),
    ({"organizations": [{"input": ""}]}, ["organizations"]),
    ({"collaboration_id": None}, ["_schema"]),
    ({"collaboration_id": "x"}, ["collaboration_id"]),
    ({"database": "default"}, ["database"]),
    ({"databases": [{"query": "q"}]}, ["databases"]),
    ({"databases": [{"label": ""}]}, ["databases"]),
    ({"databases": [{"label": "a", "type": "csv"}]}, ["databases"]),
    ({"databases": [{"label": "a", "arguments": 1}]}, ["databases"]),
    ({"databases": [{"label": "a", "arguments": {"x": DEEP}}]}, ["databases"]),
    ({"databases": [{"label": "a", "preprocessing": [{"parameters": {}}]}]}, ["databases"]),
    ({"databases": "default"}, ["databases"]),
]


@pytest.mark.parametrize(("wrong", "fields"), WRONG, ids=[str(n) for n in range(len(WRONG))])
def test_what_is_wrong_with_a_body_is_said_of_each_field(call4, world, wrong, fields):
    before = database_digest()
    answer = call4("researcher", "POST", "/task", json=order(world, "north", **wrong))
    assert answer.status_code == 400
    assert isinstance(answer.json["msg"], str)
    assert sorted(answer.json["errors"]) == fields
    assert database_digest() == before


def test_what_is_wrong_with_an_order_is_said_to_those_who_may_give_it(call4, world):
    """3.7, in its order; of collaborations that are not theirs nobody learns anything (Q-45)."""

    def answer(who, *organizations, **more):
        got = call4(who, "POST", "/task", json=order(world, *organizations, **more))
        return got.status_code, got.json["msg"]

    assert answer("researcher", "north", "west")[0] == 400
    assert answer("researcher", "north", "north")[0] == 400
    assert "id=999" in answer("researcher", "north", study_id=999)[1]
    assert answer("researcher", "north", study_id=999)[0] == 404
    assert answer("researcher", "north", store_id=999)[0] == 400
    assert answer("viewer", "north")[0] == 403
    foreign = {"collaboration_id": world.collab.trial}
    assert answer("researcher", "west", **foreign)[0] == 403
    assert answer("researcher", "west", "east", **foreign)[0] == 403
    assert answer("researcher", "west", collaboration_id=999)[0] == 403
    assert answer("root", "north")[0] == 403  # F9: not a member
    node = call4("north_registry", "POST", "/task", json=order(world, "north"))
    assert node.status_code == 403


@pytest.fixture
def pilot(app, world):
    """The id of a study of north alone."""
    with app.app_context():
        north = db.session.get(Organization, world.org.north)
        study = Study(name="Pilot", collaboration_id=world.collab.registry, organizations=[north])
        db.session.add(study)
        db.session.commit()
        return study.id


def test_a_task_of_a_study(call4, world, pilot):
    body = order(world, "north", study_id=pilot)
    for given in ({}, {"collaboration_id": None}):
        task = call4("researcher", "POST", "/task", json=body | given).json
        assert task["study"] == link("study", pilot, "GET", "PATCH", "DELETE")
        assert task["collaboration"]["id"] == world.collab.registry
    assert len(data(call4("root", "GET", "/task", query={"study_id": pilot}))) == 2
    outside = order(world, "north", "south", study_id=pilot)
    assert call4("researcher", "POST", "/task", json=outside).status_code == 400


# --- stores


@pytest.fixture
def store(app, world):
    """A running store of the collaboration, and its id here."""
    with algorithm_store() as running:
        with app.app_context():
            row = AlgorithmStore(name="s", url=running.url, collaboration_id=world.collab.registry)
            db.session.add(row)
            db.session.commit()
            id = row.id
        yield running, id


def test_a_store_says_what_the_image_is(call4, call, world, store):
    running, id = store
    running.images[IMAGE] = DIGEST
    url = "https://here.example/api"
    body = order(world, "north", store_id=id, server_url=url)
    task = call4("researcher", "POST", "/task", json=body).json
    assert task["image"] == f"{IMAGE}@{DIGEST}"
    assert task["algorithm_store"] == link("algorithmstore", id, "GET", "PATCH", "DELETE")
    assert [where for _, _, where in running.heard] == [url]
    assert names(call4("root", "GET", "/task", query={"store_id": id})) == ["mean"]
    assert call("root", "GET", f"/task/{task['id']}").json["image"] == f"{IMAGE}@{DIGEST}"


def test_an_image_without_a_digest_comes_from_no_store(call4, world, store):
    running, id = store
    running.images[IMAGE] = None
    task = call4("researcher", "POST", "/task", json=order(world, "north", store_id=id)).json
    assert (task["image"], task["algorithm_store"]) == (IMAGE, None)


def test_an_image_that_a_store_does_not_know_is_refused(call4, world, store):
    before = database_digest()
    answer = call4("researcher", "POST", "/task", json=order(world, "north", store_id=store[1]))
    assert answer.status_code == 400
    assert IMAGE in answer.json["msg"]
    assert database_digest() == before
    refused(
        call4("researcher", "POST", "/task", json=order(world, "north", server_url="x")),
        "server_url",
    )


def test_what_changes_while_a_store_is_asked_counts(call, call4, world, store, monkeypatch):
    running, id = store
    running.images[IMAGE] = DIGEST
    asked = iter(
        [
            (f"/collaboration/{world.collab.registry}/organization", {"id": world.org.south}),
            (f"/user/{world.user.researcher}", {"roles": []}),
        ]
    )
    ask = store_client._answer

    def answer(*args):
        path, body = next(asked)
        method = "DELETE" if "organization" in path else "PATCH"
        assert call("root", method, path, json=body).status_code == 200
        return ask(*args)

    monkeypatch.setattr(store_client, "_answer", answer)
    before = data(call4("root", "GET", "/task", query={"per_page": 99}))
    for organizations, status in ((["north", "south"], 400), (["north"], 403)):
        body = order(world, *organizations, store_id=id)
        assert call4("researcher", "POST", "/task", json=body).status_code == status
    assert len(data(call4("root", "GET", "/task", query={"per_page": 99}))) == len(before)


def test_no_store_is_asked_for_what_is_refused(call4, world, store):
    running, id = store
    for who, organizations, status in (
        ("viewer", ["north"], 403),
        ("west_researcher", ["north"], 403),
        ("researcher", ["north", "west"], 400),
    ):
        body = order(world, *organizations, store_id=id)
        assert call4(who, "POST", "/task", json=body).status_code == status
    assert running.heard == []


def test_a_subtask_comes_from_the_store_of_its_parent(call4, world, app, store):
    running, id = store
    with app.app_context():
        db.session.get(Task, world.task.running).algorithm_store_id = id
        db.session.commit()
    task = call4("container", "POST", "/task", json=order(world, "north")).json
    assert (task["image"], task["algorithm_store"]["id"]) == (IMAGE, id)
    assert running.heard == []


def test_a_subtask_belongs_to_its_job(call4, world):
    answer = call4("container", "POST", "/task", json=order(world, "north", "south"))
    assert answer.status_code == 201
    parent = call4("root", "GET", f"/task/{world.task.running}").json
    assert answer.json["parent"]["id"] == parent["id"]
    assert answer.json["job_id"] == parent["job_id"]
    assert answer.json["init_org"] == parent["init_org"]
    assert answer.json["init_user"] == parent["init_user"]
    other = order(world, "north", image="registry.example/other:1")
    assert call4("container", "POST", "/task", json=other).status_code == 403
    ended = world.container("finished")
    assert call4(ended, "POST", "/task", json=order(world, "north")).status_code == 401


# --- inputs


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (INPUT, 201),
        ("", 201),
        (None, 201),
        (SECRET, 400),
        (UNREADABLE, 400),
        ('{"method": "partial"}', 400),
        (base64.b64encode(b"x" * 9_000).decode(), 201),
        (base64.b64encode(b"x" * 3071 + "\N{SNOWMAN}".encode() * 9).decode(), 201),
        (base64.b64encode("\N{SNOWMAN}".encode()[:2]).decode(), 400),
    ],
    ids=range(9),
)
def test_inputs_are_text_where_nothing_is_encrypted(call, call4, world, text, status):
    """F7; never for 3.x programs, which send what they like there."""
    body = order(world)
    body["organizations"] = [{"id": world.org.north, "input": text}]
    assert call4("researcher", "POST", "/task", json=body).status_code == status
    assert call("researcher", "POST", "/task", json=body).status_code == 201


# --- generations (mixed.md 5)


def test_tasks_are_not_sent_to_programs_that_do_not_understand_them(
    call, call4, world, generations
):
    body = order(world, "north", "south")
    generations(north_registry=4, south_registry=4)
    assert call4("researcher", "POST", "/task", json=body).status_code == 201
    generations(south_registry=3)
    before = database_digest()
    for who in ("researcher", "container"):
        answer = call4(who, "POST", "/task", json=body)
        assert answer.status_code == 400
        assert answer.json["msg"].endswith("which are of 3.x: south")
        answer = call(who, "POST", "/task", json=body)
        assert answer.status_code == 400
        assert answer.json["msg"].endswith("which are of 4.x: north")
    assert database_digest() == before
    assert call4("researcher", "POST", "/task", json=order(world, "north")).status_code == 201
    assert call("researcher", "POST", "/task", json=order(world, "south")).status_code == 201
    generations(south_registry=None)
    assert call4("researcher", "POST", "/task", json=body).status_code == 201


def test_a_node_of_3_x_would_not_see_all_of_some_tasks(backend, databases):
    """mixed.md 5: refused whatever else is allowed."""
    with open_app(databases, backend, True, mixed_generation_tasks="allow") as (app, world):
        call, call4 = Caller(app), Caller(app, BASE)
        with app.app_context():
            db.session.get(Node, world.node.south_registry).generation = 3
            db.session.get(Node, world.node.north_registry).generation = 4
            db.session.commit()
        assert call("researcher", "POST", "/task", json=order(world, "north")).status_code == 201
        for databases_of_task, status in (
            ([{"label": "a"}], 201),
            ([{"label": "a"}, {"label": "b"}], 400),
            ([{"label": "a", "query": "q"}], 400),
        ):
            body = order(world, "north", "south", databases=databases_of_task)
            answer = call4("researcher", "POST", "/task", json=body)
            assert answer.status_code == status
            assert status == 201 or answer.json["msg"].endswith("parameters: south")
            body = order(world, "north", databases=databases_of_task)
            assert call4("researcher", "POST", "/task", json=body).status_code == 201


def test_who_may_not_start_the_task_does_not_learn_what_the_nodes_are(call4, world, generations):
    generations(west_trial=3)
    body = order(world, "west", collaboration_id=world.collab.trial)
    answer = call4("researcher", "POST", "/task", json=body)
    assert answer.status_code == 403


# --- remove


def test_a_task_goes_with_its_subtasks_and_runs(call4, world, app):
    path = f"/task/{world.task.running}"
    assert call4("viewer", "DELETE", path).status_code == 403
    answer = call4("researcher", "DELETE", path)
    assert (answer.status_code, list(answer.json)) == (200, ["msg"])
    for gone in (path, f"/task/{world.task.subtask}"):
        assert call4("root", "GET", gone).status_code == 404
    for key in (("running", "north"), ("running", "south"), ("subtask", "south")):
        assert call4("root", "GET", f"/run/{world.result[key]}").status_code == 404
    assert call4("root", "DELETE", path).status_code == 404
