"""quirks.md: what REST does better than the reference server, one test for each entry."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests.support import Caller, database_away, database_digest, open_app
from tests.world import IMAGE, PASSWORD, api_key
from v6srv import db
from v6srv.db import utcnow
from v6srv.model import (
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Organization,
    Result,
    RoleRule,
    Task,
    User,
)
from v6srv.service import tasks

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

KILLED = "killed by user"


def order(world, *organizations, **more):
    """The body of a new task in the collaboration `registry`."""
    targets = [{"id": getattr(world.org, name), "input": "aW4="} for name in organizations]
    return {
        "name": "mean",
        "image": IMAGE,
        "collaboration_id": world.collab.registry,
        "organizations": targets,
        **more,
    }


def refused(answer, *statuses):
    """The answer is one of these refusals, in the form clients can read."""
    assert answer.status_code in statuses, (answer.status_code, answer.json)
    assert isinstance(answer.json, dict)
    assert isinstance(answer.json["msg"], str)
    assert answer.json["msg"]


def told(answer):
    """What an answer tells, without the id that was asked for."""
    msg = "".join(letter for letter in answer.json["msg"] if not letter.isdigit())
    return answer.status_code, msg


def ids(answer):
    assert answer.status_code == 200, answer.json
    return [row["id"] for row in answer.json]


# --- A. Status codes and error handling


def test_q_01_a_token_of_the_wrong_kind_is_refused_not_an_error(call, world):
    result = world.result["running", "north"]
    for who, method, path in (
        ("north_registry", "GET", "/user"),
        ("north_registry", "GET", "/role"),
        ("container", "GET", "/collaboration"),
        ("container", "GET", "/user"),
        ("viewer", "PATCH", f"/result/{result}"),
        ("container", "PATCH", f"/result/{result}"),
        ("viewer", "GET", "/vpn"),
        ("viewer", "GET", "/vpn/algorithm/addresses"),
    ):
        refused(call(who, method, path, json={} if method == "PATCH" else None), 403)


def test_q_02_a_missing_permission_is_403_and_a_missing_token_401(call, world):
    for path in ("/task", "/result", "/organization", "/node", "/collaboration"):
        refused(call("nobody", "GET", path), 403)
        refused(call(None, "GET", path), 401)


def test_q_03_a_container_may_see_the_node_of_its_token(call, world):
    answer = call("container", "GET", f"/node/{world.node.north_registry}")
    assert (answer.status_code, answer.json["name"]) == (200, "north_registry")
    refused(call("container", "GET", f"/node/{world.node.south_registry}"), 403, 404)


def test_q_04_what_is_refused_is_not_stored_in_part(call, world):
    call("root", "GET", "/version")
    before = database_digest()
    node, role, user = world.node.north_registry, world.role.analysts, world.user.extra
    for path, body in (
        (f"/node/{node}", {"name": "moved", "ip": "10.9.9.9", "collaboration_id": 9999}),
        (f"/node/{node}", {"name": "moved", "collaboration_id": world.collab.trial}),
        (f"/role/{role}", {"name": "renamed", "description": "x", "rules": [9999]}),
        (f"/user/{user}", {"firstname": "Changed", "email": "new@x.example", "roles": [9999]}),
        (f"/collaboration/{world.collab.registry}", {"name": "x", "organization_ids": [9999]}),
    ):
        refused(call("root", "PATCH", path, json=body), 400, 403, 404)
        assert database_digest() == before, path
    # A rule that the caller does not hold.
    body = {"name": "renamed", "rules": [world.rule["user", "GLOBAL", "DELETE"]]}
    refused(call("org_admin", "PATCH", f"/role/{role}", json=body), 403)
    assert database_digest() == before


def test_q_05_run_ids_are_unique_under_load_and_never_used_again(call, world):
    newest = call("researcher", "POST", "/task", json=order(world, "north")).json
    assert call("researcher", "DELETE", f"/task/{newest['id']}").status_code == 200
    call.token("researcher")

    def start(_number):
        caller = Caller(call.app)
        caller._tokens = call._tokens
        return caller("researcher", "POST", "/task", json=order(world, "north")).json["run_id"]

    with ThreadPoolExecutor(6) as pool:
        run_ids = list(pool.map(start, range(12)))
    assert len(set(run_ids)) == 12
    assert min(run_ids) > newest["run_id"]


def test_q_06_bad_input_is_a_bad_request_and_nothing_is_stored(call, world):
    call("root", "GET", "/version")
    registry, node = f"/collaboration/{world.collab.registry}", "north_registry"
    call("north_registry", "GET", f"/node/{world.node.north_registry}")
    before = database_digest()
    task = order(world, "north")
    del task["organizations"]
    organization = {"name": "new", "public_key": "***"}
    for who, method, path, body, status in (
        ("root", "GET", "/task?page=0", None, 400),
        ("root", "GET", "/task?page=x", None, 400),
        ("root", "GET", "/task?page=1&per_page=0", None, 400),
        ("root", "GET", "/task?page=1&per_page=-5", None, 400),
        ("root", "POST", "/organization", ["name"], 400),
        ("researcher", "POST", "/task", task, 400),
        ("root", "POST", f"{registry}/organization", {}, 400),
        ("root", "POST", f"{registry}/node", {}, 400),
        ("root", "DELETE", f"{registry}/organization", {}, 400),
        ("root", "DELETE", f"{registry}/organization", {"id": world.org.west}, 400),
        (None, "POST", "/token/user", {"username": "viewer"}, 400),
        (None, "POST", "/token/user", {"username": "viewer", "password": 5}, 400),
        (None, "POST", "/token/node", {"api_key": 5}, 400),
        ("root", "POST", "/organization", organization, 400),
        ("root", "PATCH", registry, {"name": "trial"}, 400),
        ("root", "PATCH", registry, {"encrypted": "perhaps"}, 400),
        (node, "POST", "/port", {"port": 5000, "result_id": 9999}, 404),
        (node, "DELETE", "/port?result_id=9999", None, 404),
        (node, "POST", "/token/container", {"image": IMAGE}, 400),
        ("root", "GET", "/task?collaboration_id=text", None, 400),
        ("root", "POST", "/node", {"collaboration_id": "text"}, 400),
        ("root", "POST", "/kill/task", {"id": "text"}, 400),
        ("researcher", "POST", "/task", order(world, collaboration_id="text"), 400),
    ):
        answer = call(who, method, path, json=body)
        refused(answer, *([403, 404] if status == 404 else [status]))
        assert database_digest() == before, (method, path)
    # Null means "leave it".
    user = call("root", "PATCH", f"/user/{world.user.viewer}", json={"roles": None, "rules": None})
    assert [role["id"] for role in user.json["roles"]] == [world.role.viewer]
    body = {"name": "with a null key", "public_key": None}
    assert call("root", "POST", "/organization", json=body).status_code == 201


def test_q_07_every_error_is_an_object_with_a_message(call, world):
    raw = {"content_type": "application/json"}
    for answer in (
        call("root", "GET", "/nowhere"),
        call.app.test_client().get("/outside-the-api"),
        call("root", "GET", "/task/\N{ARABIC-INDIC DIGIT THREE}"),  # a digit, but no number
        call("root", "PUT", "/task"),
        call("root", "POST", "/organization", data="{", **raw),
        call("root", "POST", "/organization", data="name=x", content_type="text/plain"),
        call("root", "POST", "/collaboration", json={"name": 5}),
        call("root", "GET", "/task?page=0"),
        call("nobody", "GET", "/task"),
        call(None, "GET", "/task"),
        call(None, "GET", "/task", headers={"Authorization": "Bearer nonsense"}),
    ):
        assert answer.content_type == "application/json"
        refused(answer, 400, 401, 403, 404, 405, 422)
    body = {"name": "x", "organization_ids": "many"}
    details = call("root", "POST", "/collaboration", json=body).json
    assert "organization_ids" in details["errors"]
    assert "organization_ids" in details["message"]


def test_q_08_a_node_cannot_move_where_its_organization_is_no_member(call, world, stored):
    path = f"/node/{world.node.north_registry}"
    body = {"name": "moved", "collaboration_id": world.collab.trial}
    refused(call("root", "PATCH", path, json=body), 400, 403)
    node = stored(Node, world.node.north_registry)
    assert (node.name, node.collaboration_id) == ("north_registry", world.collab.registry)


def test_q_45_answers_do_not_tell_what_exists_out_of_scope(call, world):
    for path, real in (
        ("/task", world.task.waiting),
        ("/node", world.node.west_trial),
        ("/user", world.user.west_researcher),
        ("/collaboration", world.collab.trial),
        ("/result", world.result["waiting", "west"]),
        ("/organization", world.org.west),
    ):
        hidden, unknown = (call("viewer", "GET", f"{path}/{id}") for id in (real, 9999))
        refused(hidden, 403, 404)
        assert told(hidden) == told(unknown), path
    # Nor do bodies: names, addresses, members and nodes.
    user = {"firstname": "a", "lastname": "b", "password": PASSWORD}
    taken, free = (
        call(
            "viewer",
            "POST",
            "/user",
            json={**user, "username": name, "email": f"{name}@west.example"},
        )
        for name in ("west_researcher", "brand_new")
    )
    assert told(taken) == told(free)
    assert taken.status_code == 403
    collab = {"organization_ids": [world.org.north]}
    taken, free = (
        call("viewer", "POST", "/collaboration", json={**collab, "name": name})
        for name in ("trial", "brand new")
    )
    assert told(taken) == told(free)
    hidden, unknown, stranger = (
        call("researcher", "POST", "/task", json=order(world, org, collaboration_id=id))
        for id, org in ((world.collab.trial, "west"), (9999, "west"), (world.collab.trial, "east"))
    )
    assert told(hidden) == told(unknown) == told(stranger)
    assert hidden.status_code == 403


def test_q_58_unknown_ids_are_not_dropped_silently(call, world):
    call("root", "GET", "/version")
    before = database_digest()
    user = {"username": "new", "firstname": "a", "lastname": "b", "email": "new@x.example"}
    user["password"] = PASSWORD
    for method, path, body in (
        ("POST", "/collaboration", {"name": "new", "organization_ids": [world.org.north, 9999]}),
        ("PATCH", f"/collaboration/{world.collab.nothing}", {"organization_ids": [9999]}),
        ("POST", "/user", {**user, "roles": [9999]}),
        ("POST", "/user", {**user, "rules": [9999]}),
        ("POST", "/user", {**user, "organization_id": 9999}),
    ):
        refused(call("root", method, path, json=body), 400, 404)
        assert database_digest() == before, path


def test_q_67_a_server_without_its_database_says_so_with_503(call):
    with database_away():
        answer = call(None, "GET", "/health")
    assert answer.status_code == 503
    assert answer.json == {"database": False, "problems": ["the database cannot be reached"]}
    answer = call(None, "GET", "/health")
    assert (answer.status_code, answer.json) == (200, {"database": True})


# --- B. Filters, paging, serialisation


def test_q_09_the_documented_filters_work(call, world):
    task, result = world.task, world.result
    assert ids(call("root", "GET", "/task", query={"status": "active"})) == [task.running]
    page = call("root", "GET", "/task", query={"status": "pending", "page": 1, "per_page": 1})
    assert page.headers["total-count"] == "2"  # the filter comes before paging
    assert ids(call("root", "GET", "/result", query={"port": 2222})) == [result["running", "north"]]
    run = call("root", "GET", f"/task/{task.running}").json["run_id"]
    ports = call("root", "GET", "/port", query={"run_id": run}).json
    assert sorted(port["port"] for port in ports) == [1111, 2222]


def test_q_10_a_result_names_its_task_whatever_the_scope(call, world):
    query = {"result_id": world.result["running", "south"]}
    for who in ("root", "viewer", "south_viewer"):
        assert ids(call(who, "GET", "/task", query=query)) == [world.task.running]
    assert ids(call("east_viewer", "GET", "/task", query=query)) == []


def test_q_11_booleans_are_understood_in_every_spelling(call, world):
    collab = world.collab
    for text, expected in (
        *((text, [collab.trial]) for text in ("True", "true", "TRUE", "1")),
        *((text, [collab.registry, collab.nothing]) for text in ("False", "false", "FALSE", "0")),
    ):
        found = ids(call("root", "GET", "/collaboration", query={"encrypted": text}))
        assert sorted(found) == sorted(expected), text
    refused(call("root", "GET", "/collaboration", query={"encrypted": "perhaps"}), 400)
    own, own_and_default = (
        call(
            "root", "GET", "/role", query={"organization_id": world.org.north, "include_root": text}
        ).json
        for text in ("False", "True")
    )
    assert {role["organization"]["id"] for role in own} == {world.org.north}
    assert len(own_and_default) > len(own)


def test_q_12_times_are_compared_with_the_column_that_is_named(call, world):
    """Everything was assigned at 12:00, started at 12:01 and finished at 12:02."""
    for name, time_, found in (
        ("started_from", "2024-03-01T12:00:30", True),
        ("started_from", "2024-03-01T12:01:30", False),
        ("started_till", "2024-03-01T12:00:30", False),
        ("finished_from", "2024-03-01T12:01:30", True),
        ("finished_from", "2024-03-01T12:02:30", False),
        ("finished_till", "2024-03-01T12:02:30", True),
        ("assigned_from", "2024-03-01T12:00:30", False),
    ):
        listed = ids(call("root", "GET", "/result", query={name: time_}))
        assert (world.result["finished", "north"] in listed) is found, (name, time_)


def test_q_13_pages_are_bounded_but_no_page_is_everything(backend, databases):
    with open_app(databases, backend, True, max_per_page=3) as (app, _world):
        call = Caller(app)
        assert len(call("root", "GET", "/task").json) == 6
        assert len(call("root", "GET", "/task", query={"per_page": 2}).json) == 6
        page = call("root", "GET", "/task", query={"page": 1, "per_page": 1_000_000})
        assert len(page.json) == 3
        assert page.headers["total-count"] == "6"
        for number in (0, -1, "x", 1.5):
            refused(call("root", "GET", "/task", query={"page": number}), 400)


def test_q_14_following_next_keeps_repeated_parameters(call, world):
    query = "?page=1&per_page=2&include=results&include=metadata"
    page = call("root", "GET", f"/task{query}").json
    seen = []
    while True:
        assert set(page) == {"data", "links"}
        assert all(isinstance(task["results"], list) for task in page["data"])
        assert all("status" in task["results"][0] for task in page["data"])
        seen += [task["id"] for task in page["data"]]
        if "next" not in page["links"]:
            break
        page = call("root", "GET", page["links"]["next"].removeprefix(call.base)).json
    assert seen == sorted(vars(world.task).values(), reverse=True)


def test_q_44_lists_take_as_many_statements_for_many_rows_as_for_few(call, world, count_queries):
    def measured():
        counts = {}
        for path in ("organization", "collaboration", "task", "result", "node", "user", "role"):
            with count_queries() as statements:
                assert call("root", "GET", f"/{path}").status_code == 200
            counts[path] = len(statements)
        return counts

    measured()  # `last_seen` is written by now
    few = measured()
    with call.app.app_context(), db.writing():
        for number in range(30):
            org = Organization(name=f"org {number}")
            collab = Collaboration(name=f"collab {number}", encrypted=False, organizations=[org])
            node = Node(name=f"node {number}", organization=org, collaboration=collab)
            task = Task(name="t", collaboration=collab, initiator=org, run_id=1)
            task.results = [Result(organization=org, status="pending")]
            user = User(username=f"u{number}", email=f"u{number}@x.example", organization=org)
            db.session.add_all([org, collab, node, task, user])
        db.session.commit()
    assert len(call("root", "GET", "/task").json) == 36
    assert measured() == few


def test_q_55_a_port_is_a_number_from_1_to_65535(call, world):
    body = {"result_id": world.result["running", "north"], "label": "x"}
    for port in ("http", "", None, 0, -1, 65536, 2**40, 5.5, True, [5000]):
        refused(call("north_registry", "POST", "/port", json={**body, "port": port}), 400)
    good = call("north_registry", "POST", "/port", json={**body, "port": 65535})
    assert (good.status_code, good.json["port"]) == (201, 65535)


def test_q_57_the_shapes_that_nodes_depend_on_are_kept_exactly(call, world):
    task = call("north_registry", "GET", f"/task/{world.task.running}").json
    assert task["initiator"] == world.org.north
    assert task["init_user"] == world.user.researcher
    assert task["parent"] is None
    assert call("root", "GET", f"/task/{world.task.killed}").json["children"] is None
    assert call("root", "GET", f"/user/{world.user.viewer}").json["created_tasks"] == []
    organization = call("root", "GET", f"/organization/{world.org.north}").json
    assert "created_tasks" not in organization
    result = call("root", "GET", f"/result/{world.result['running', 'north']}").json
    assert result["node"]["id"] == world.node.north_registry
    assert all(isinstance(id, int) for id in result["node"]["config"])
    call("root", "DELETE", f"/node/{world.node.north_registry}")
    result = call("root", "GET", f"/result/{world.result['running', 'north']}").json
    assert result["node"] == {}


def test_q_64_results_without_node_or_collaboration_are_listed(call, world, store):
    before = ids(call("root", "GET", "/result"))
    call("root", "DELETE", f"/node/{world.node.west_trial}")
    store(Task, world.task.finished, collaboration_id=None)
    assert ids(call("root", "GET", "/result")) == before
    assert world.result["waiting", "west"] in before
    assert world.result["finished", "north"] in before


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2026-11-24T06:26:37.425079", "2026-11-24T06:26:37.425079+00:00"),
        ("2026-11-24T06:26:37", "2026-11-24T06:26:37+00:00"),
        ("2026-11-24T06:26:37Z", "2026-11-24T06:26:37+00:00"),
        ("2026-11-24T08:26:37.5+02:00", "2026-11-24T06:26:37.500000+00:00"),
    ],
)
def test_q_16_a_node_may_write_its_times_in_every_iso_form(call, world, given, shown):
    path = f"/result/{world.result['running', 'north']}"
    answer = call("north_registry", "PATCH", path, json={"started_at": given})
    assert (answer.status_code, answer.json["started_at"]) == (200, shown)
    refused(call("north_registry", "PATCH", path, json={"started_at": "noon"}), 400)


def test_q_50_times_of_the_server_are_utc_wherever_it_stands(call, world, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        body = order(world, "north", name="in Tokyo")
        task = call("researcher", "POST", "/task", json=body).json
        call("root", "POST", "/kill/task", json={"id": task["id"]})
        result = call("root", "GET", f"/result/{task['results'][0]['id']}").json
        now = f"{utcnow():%Y-%m-%dT%H:%M}", f"{utcnow() - timedelta(minutes=1):%Y-%m-%dT%H:%M}"
    finally:
        monkeypatch.undo()
        time.tzset()
    for given in (task["created_at"], result["assigned_at"], result["finished_at"]):
        assert given.startswith(now)
        assert given.endswith("+00:00")


# --- C. Tasks, results, runs


def test_q_15_a_report_changes_only_what_it_holds(call, world):
    path = f"/result/{world.result['running', 'north']}"
    first = call("north_registry", "PATCH", path, json={"result": "b3V0", "log": "half"}).json
    assert (first["result"], first["log"]) == ("b3V0", "half")
    second = call("north_registry", "PATCH", path, json={"status": "active"}).json
    assert (second["result"], second["log"]) == ("b3V0", "half")
    third = call("north_registry", "PATCH", path, json={"finished_at": "2026-11-24T06:00:00"}).json
    assert (third["result"], third["log"], third["status"]) == ("b3V0", "half", "active")


def test_q_28_a_kill_names_every_open_result_of_the_tree_and_leaves_the_rest(call, world, sent):
    def kill(id):
        return call("root", "POST", "/kill/task", json={"id": id})

    deeper = call("container:subtask@south_registry", "POST", "/task", json=order(world, "north"))
    deepest = deeper.json["results"][0]["id"]
    done = {"status": "completed", "result": "b3V0", "finished_at": "2024-03-01T13:00:00"}
    finished = f"/result/{world.result['running', 'north']}"
    call("north_registry", "PATCH", finished, json=done)
    sent.clear()
    assert kill(world.task.running).status_code == 200
    [event] = sent
    assert event.name == "kill_containers"
    entries = {(entry["task_id"], entry["result_id"]) for entry in event.payload["kill_list"]}
    assert entries == {
        (world.task.running, world.result["running", "south"]),
        (world.task.subtask, world.result["subtask", "south"]),
        (deeper.json["id"], deepest),
    }
    kept = call("root", "GET", finished).json
    assert (kept["status"], kept["result"]) == ("completed", "b3V0")
    assert kept["finished_at"] == "2024-03-01T13:00:00+00:00"
    assert call("root", "GET", f"/result/{deepest}").json["status"] == KILLED
    # Never an empty list.
    refused(kill(world.task.running), 400)
    assert len(sent) == 1
    # One failed, one running: can be killed.
    assert kill(world.task.failed).status_code == 200
    assert [entry["result_id"] for entry in sent[-1].payload["kill_list"]] == [
        world.result["failed", "south"]
    ]


def test_q_29_a_node_reports_only_the_results_it_computes(call, world):
    body = {"status": "completed", "result": "Zm9yZ2Vk", "finished_at": "2026-11-24T06:00:00"}
    foreign = f"/result/{world.result['running', 'south']}"
    # Same organization, another collaboration.
    refused(call("south_trial", "PATCH", foreign, json=body), 403, 404)
    # Same collaboration, another organization.
    refused(call("north_registry", "PATCH", foreign, json=body), 403, 404)
    assert call("root", "GET", foreign).json["status"] == "pending"
    assert call("south_registry", "PATCH", foreign, json=body).status_code == 200


def test_q_33_a_container_starts_only_its_own_image(call, world):
    for image in (
        f"evil.example/x/{IMAGE}",
        f"x{IMAGE}",
        f"{IMAGE}0",
        IMAGE.upper(),
        IMAGE.partition(":")[0],
        IMAGE.rpartition("/")[2],
        "",
    ):
        refused(call("container", "POST", "/task", json=order(world, "north", image=image)), 403)
    assert call("container", "POST", "/task", json=order(world, "north")).status_code == 201


def test_q_48_a_task_takes_its_subtasks_with_it(call, world):
    assert call("root", "DELETE", f"/task/{world.task.running}").status_code == 200
    refused(call("root", "GET", f"/task/{world.task.subtask}"), 404)
    refused(call("root", "GET", f"/result/{world.result['subtask', 'south']}"), 404)
    left = call("root", "GET", "/task").json
    assert world.task.subtask not in [task["id"] for task in left]


def test_q_49_a_task_needs_somebody_to_run_it(call, world):
    before = ids(call("root", "GET", "/task"))
    refused(call("researcher", "POST", "/task", json=order(world)), 400)
    assert ids(call("root", "GET", "/task")) == before


def test_q_51_a_status_is_one_of_the_known_and_does_not_go_back(call, world):
    path = f"/result/{world.result['running', 'north']}"

    def report(**changes):
        return call("north_registry", "PATCH", path, json=changes)

    for status in ("on fire", "Completed", "", 5, ["active"]):
        refused(report(status=status), 400)
    assert call("root", "GET", path).json["status"] == "active"
    assert report(status="crashed").status_code == 200
    refused(report(status="active"), 400)
    assert report(finished_at="2026-11-24T06:00:00").json["status"] == "crashed"
    refused(report(status="active"), 400)


def test_q_52_a_task_that_fails_late_leaves_nothing_behind(call, world, sent, monkeypatch):
    call("researcher", "GET", "/task")
    before = database_digest()

    def fail(*_args):
        raise RuntimeError("after everything was written")

    with monkeypatch.context() as patched:
        patched.setattr(tasks, "_announce", fail)
        assert call("researcher", "POST", "/task", json=order(world, "north")).status_code == 500
    assert database_digest() == before
    assert sent == []
    # The client repeats it.
    task = call("researcher", "POST", "/task", json=order(world, "north", "south")).json
    assert len(task["results"]) == 2
    assert [event.name for event in sent] == ["task_created", "new_task"]


def test_q_53_events_come_when_what_they_announce_can_be_read(listen, world, call):
    """The node asks for its open results as soon as it hears of the task, and finds one."""
    node, other = listen("north_registry"), listen("west_trial")
    found = []

    def look(_task_id):
        query = {"task_id": _task_id, "state": "open"}
        found.extend(Caller(call.app)("north_registry", "GET", "/result", query=query).json)

    node.client.on("new_task", look, namespace="/tasks")
    task = call("researcher", "POST", "/task", json=order(world, "north", "south")).json
    deadline = time.monotonic() + 5
    while len(found) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sorted(row["id"] for row in found) == [link["id"] for link in task["results"]]
    assert other.named("new_task") == []


def test_q_54_a_node_may_share_names_as_allowed_users(call, world):
    with call.app.app_context(), db.writing():
        node = world.node.south_registry
        db.session.add(NodeConfig(node_id=node, key="allowed_users", value="researcher"))
        db.session.commit()
    body = order(world, "south")
    assert call("researcher", "POST", "/task", json=body).status_code == 201
    refused(call("org_admin", "POST", "/task", json=body), 400)


def test_q_62_the_initiator_reads_results_of_partners_and_strangers_do_not(call, world):
    """Members still read each other's results; whoever is not in the collaboration reads none."""
    partner = f"/result/{world.result['finished', 'south']}"
    assert call("researcher", "GET", partner).json["result"] == "cmVzdWx0"
    for who in ("west_researcher", "east_viewer", "west_trial"):
        refused(call(who, "GET", partner), 403, 404)


# --- D. Nodes, collaborations, ports, VPN


def test_q_17_a_collaboration_goes_only_when_nothing_is_in_it(call, world, store):
    for name in ("registry", "trial"):
        refused(call("root", "DELETE", f"/collaboration/{getattr(world.collab, name)}"), 409)
    assert call("root", "DELETE", f"/collaboration/{world.collab.nothing}").status_code == 200
    # Old rows without a collaboration hurt nobody.
    store(Task, world.task.finished, collaboration_id=None)
    refused(call("viewer", "GET", f"/task/{world.task.finished}"), 403, 404)
    assert call("viewer", "GET", "/task").status_code == 200
    assert call("root", "GET", f"/task/{world.task.finished}").status_code == 200


def test_q_18_an_organization_leaves_together_with_its_node(call, world):
    path = f"/collaboration/{world.collab.registry}"
    body = {"id": world.org.north}
    assert call("root", "DELETE", f"{path}/organization", json=body).status_code == 200
    nodes = call("root", "GET", f"{path}/node").json
    assert [node["id"] for node in nodes] == [world.node.south_registry]
    assert ids(call("north_registry", "GET", "/task")) == []
    report = {"status": "completed", "result": "bGF0ZQ=="}
    late = f"/result/{world.result['running', 'north']}"
    refused(call("north_registry", "PATCH", late, json=report), 403, 404)


def test_q_19_a_collaboration_has_one_node_of_each_member(call, world):
    def add(name):
        path = f"/collaboration/{world.collab.registry}/node"
        return call("root", "POST", path, json={"id": getattr(world.node, name)})

    refused(add("west_trial"), 400)  # no member
    refused(add("south_trial"), 400)  # has one there
    body = {"collaboration_id": world.collab.registry, "organization_id": world.org.south}
    refused(call("root", "POST", "/node", json=body), 400)
    refused(call("root", "POST", "/node", json={**body, "organization_id": world.org.west}), 400)
    assert call("root", "GET", "/task", query={"include": "results"}).status_code == 200


def test_q_20_null_leaves_the_name_of_a_node(call, world):
    body = {"name": None, "organization_id": None, "collaboration_id": None, "ip": "10.1.1.1"}
    answer = call("root", "PATCH", f"/node/{world.node.north_registry}", json=body)
    assert answer.status_code == 200
    assert (answer.json["name"], answer.json["ip"]) == ("north_registry", "10.1.1.1")
    assert answer.json["collaboration"]["id"] == world.collab.registry


def test_q_25_event_rules_decide_who_stops_everything_on_a_node(call, world, sent):
    def stop(who, node):
        return call(who, "POST", "/kill/node/tasks", json={"id": getattr(world.node, node)})

    assert stop("org_admin", "north_registry").status_code == 200  # organization: its own node
    assert stop("collab_admin", "north_registry").status_code == 200  # collaboration: a member
    assert stop("root", "west_trial").status_code == 200
    assert [event.name for event in sent] == ["kill_containers"] * 3
    for who, node in (
        ("org_admin", "west_trial"),
        ("collab_admin", "west_trial"),
        ("researcher", "north_registry"),  # may create tasks, but no events
        ("nobody", "north_registry"),
    ):
        refused(stop(who, node), 403)
    assert len(sent) == 3


def test_q_26_ports_are_seen_like_the_results_they_belong_to(call, world):
    trial, registry = world.port["trial"], sorted((world.port["first"], world.port["second"]))
    for who, seen in (
        ("viewer", registry),
        ("south_viewer", sorted([*registry, trial])),
        ("west_trial", [trial]),
        ("east_viewer", []),
        ("container", registry),
    ):
        assert sorted(ids(call(who, "GET", "/port"))) == seen, who
        for id in (*registry, trial):
            status = call(who, "GET", f"/port/{id}").status_code
            assert status == 200 if id in seen else status in (403, 404), (who, id)


def test_q_27_the_text_false_is_false_for_addresses(call, world):
    flags = ("only_children", "only_parent", "include_children", "include_parent")

    def addresses(**changes):
        query = {**dict.fromkeys(flags, "False"), **changes}
        answer = call("container", "GET", "/vpn/algorithm/addresses", query=query)
        assert answer.status_code == 200, answer.json
        return sorted(address["port"] for address in answer.json["addresses"])

    assert addresses() == [1111, 2222]
    assert addresses(only_children="True") == []
    assert addresses(include_children="true") == [1111, 2222]


def test_q_42_a_node_is_found_by_one_look_up_and_guessing_is_limited(call, world, count_queries):
    with count_queries() as statements:
        body = {"api_key": api_key("west_trial")}
        assert call(None, "POST", "/token/node", json=body).status_code == 200
    assert len([text for text in statements if text.startswith("SELECT")]) == 1
    # By address and key: a node with an old key must not keep out those beside it, and a key has
    # too many bits to be guessed.
    statuses = [
        call(None, "POST", "/token/node", json={"api_key": "an old key"}).status_code
        for _ in range(21)
    ]
    assert statuses == [401] * 20 + [429]
    assert call(None, "POST", "/token/node", json={"api_key": "another"}).status_code == 401
    assert call(None, "POST", "/token/node", json=body).status_code == 200


def test_q_56_a_node_changes_its_own_address_and_its_organizations_key_only(call, world):
    who, node = "north_registry", f"/node/{world.node.north_registry}"
    organization = f"/organization/{world.org.north}"
    assert call(who, "PATCH", node, json={"ip": "10.2.2.2"}).json["ip"] == "10.2.2.2"
    assert call(who, "PATCH", node, json={"clear_ip": True}).json["ip"] is None
    key = {"public_key": "bmV3"}
    assert call(who, "PATCH", organization, json=key).json["public_key"] == "bmV3"
    refused(call(who, "PATCH", node, json={"name": "x"}), 403)
    refused(call(who, "PATCH", organization, json={"name": "x"}), 403)
    refused(call(who, "PATCH", organization, json={**key, "domain": "x"}), 403)
    other = f"/node/{world.node.south_trial}"  # of its own organization
    refused(call("south_registry", "PATCH", other, json={"ip": "10.3.3.3"}), 403)
    assert call("root", "GET", organization).json["name"] == "north"


def test_q_59_what_is_added_twice_is_there_once(call, world):
    path = f"/collaboration/{world.collab.registry}/organization"
    first = call("root", "POST", path, json={"id": world.org.west})
    again = call("root", "POST", path, json={"id": world.org.west})
    assert (first.status_code, again.json) == (again.status_code, first.json)
    rule = world.rule["node", "ORGANIZATION", "VIEW"]
    path = f"/role/{world.role.analysts}/rule/{rule}"
    first, again = call("root", "POST", path), call("root", "POST", path)
    assert (first.status_code, again.json) == (again.status_code, first.json)
    with call.app.app_context():
        members = select(func.count()).where(
            Member.c.collaboration_id == world.collab.registry,
            Member.c.organization_id == world.org.west,
        )
        rules = select(func.count()).where(
            RoleRule.c.role_id == world.role.analysts, RoleRule.c.rule_id == rule
        )
        assert (db.session.scalar(members), db.session.scalar(rules)) == (1, 1)


def test_q_63_taking_an_organization_out_is_an_edit(call, world):
    """A Collaboration Admin may edit collaborations, and not delete them."""
    path = f"/collaboration/{world.collab.registry}"
    refused(call("collab_admin", "DELETE", path), 403)
    body = {"id": world.org.south}
    assert call("collab_admin", "DELETE", f"{path}/organization", json=body).status_code == 200
    # The permission is checked before anything is looked up.
    refused(call("viewer", "DELETE", f"{path}/organization", json={"id": 9999}), 403)


def test_q_68_a_portal_that_cannot_be_used_is_said_in_a_message(backend, databases):
    portal = {
        "url": "http://portal.invalid",  # plain http, and nobody there
        "redirect_url": "http://localhost",
        "client_id": "client",
        "client_secret": "hush",
        "portal_username": "robot",
        "portal_userpass": "secret",
    }
    with open_app(databases, backend, True, vpn_server=portal) as (app, _world):
        answer = Caller(app)("north_registry", "GET", "/vpn")
        refused(answer, 500, 503)
        assert "hush" not in answer.text
        assert "ovpn_config" not in answer.json
