"""What /result shows and refuses (rest.md 3.7, permissions.md 4.4)."""

import pytest

from tests.api.shared import opened_once
from tests.support import database_digest

_opened = opened_once

REGISTRY = [
    ("failed", "north"),
    ("failed", "south"),
    ("finished", "north"),
    ("finished", "south"),
    ("running", "north"),
    ("running", "south"),
    ("subtask", "south"),
]
TRIAL = [("killed", "west"), ("waiting", "south"), ("waiting", "west")]


@pytest.fixture
def listed(call, world):
    """The results of a list, by task and organization."""
    known = {id: key for key, id in world.result.items()}

    def listed(who="root", **query):
        answer = call(who, "GET", "/result", query=query)
        assert answer.status_code == 200, answer.json
        return sorted(known[row["id"]] for row in answer.json)

    return listed


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", REGISTRY + TRIAL),
        ("viewer", REGISTRY),  # with those of partners
        ("analyst", REGISTRY),
        ("south_viewer", REGISTRY + TRIAL),
        ("east_viewer", []),
        ("north_registry", REGISTRY),
        ("container", [("running", "north"), ("running", "south"), ("subtask", "south")]),
    ],
)
def test_a_list_shows_what_the_caller_may_view(listed, who, seen):
    assert listed(who) == sorted(seen)


@pytest.mark.parametrize("who", ["nobody", "extra"])
def test_without_a_view_rule_the_list_is_refused(call, world, who):
    assert call(who, "GET", "/result").status_code == 403


def test_the_newest_result_comes_first(call, world):
    found = [row["id"] for row in call("root", "GET", "/result").json]
    assert found == sorted(found, reverse=True)


def test_filters_by_relation(listed, world):
    assert listed(task_id=world.task.running) == [("running", "north"), ("running", "south")]
    assert listed(organization_id=world.org.west) == [("killed", "west"), ("waiting", "west")]
    assert listed(port=2222) == [("running", "north")]
    assert listed(port=3333) == [("waiting", "west")]
    assert listed("viewer", port=3333) == []
    assert listed(port=4444) == []


def test_the_queue_of_a_node(listed, world):
    """What a node asks for when it connects, and after `new_task`."""
    own = world.node.south_registry
    assert listed("south_registry", state="open", node_id=own) == [
        ("failed", "south"),
        ("running", "south"),
        ("subtask", "south"),
    ]
    task = world.task.running
    queue = listed("south_registry", state="open", node_id=own, task_id=task)
    assert queue == [("running", "south")]
    # Its organization has another node, in another collaboration.
    assert listed(node_id=world.node.south_trial) == [("waiting", "south")]
    assert listed(node_id=9999) == []


def test_other_states_are_no_filter(listed):
    assert listed(state="closed") == sorted(REGISTRY + TRIAL)
    assert len(listed(state="open")) == 6


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"assigned_from": "2024-03-01"}, 10),
        ({"assigned_till": "2024-03-01"}, 0),
        ({"assigned_till": "2024-03-01T12:00:00"}, 10),  # inclusive
        # each its own column; pending ones have not started
        ({"started_from": "2024-03-01T12:01:00"}, 6),
        ({"started_from": "2024-03-01T12:01:01"}, 0),
        ({"started_till": "2024-03-02"}, 6),
        ({"finished_from": "2024-03-01T12:02:00Z"}, 4),
        ({"finished_till": "2024-03-01T12:01:59"}, 0),
    ],
)
def test_filters_by_time(listed, query, count):
    assert len(listed(**query)) == count


@pytest.mark.parametrize(
    "query",
    [
        {"task_id": "x"},
        {"organization_id": "1.5"},
        {"node_id": ""},
        {"port": "http"},
        {"assigned_from": "yesterday"},
        {"started_till": "2024-13-01"},
    ],
)
def test_bad_filters_are_refused(call, world, query):
    answer = call("root", "GET", "/result", query=query)
    assert answer.status_code == 400
    assert answer.json["msg"].startswith(next(iter(query)))


@pytest.mark.parametrize(
    ("who", "result", "status"),
    [
        ("root", ("waiting", "west"), 200),
        ("viewer", ("running", "south"), 200),
        ("viewer", ("waiting", "south"), 403),
        ("north_registry", ("running", "south"), 200),
        ("north_registry", ("waiting", "west"), 403),
        ("container", ("subtask", "south"), 200),
        ("container", ("finished", "north"), 403),
        ("extra", ("running", "north"), 403),
    ],
)
def test_one_result(call, world, who, result, status):
    answer = call(who, "GET", f"/result/{world.result[result]}")
    assert answer.status_code == status
    if status == 200:
        # The node reads the task of a single result as an object.
        assert answer.json["task"]["link"] == f"{call.base}/task/{getattr(world.task, result[0])}"


@pytest.mark.parametrize("include", [["task"], ["metadata", "task"], ["results", "task"]])
def test_the_task_is_embedded_wherever_the_word_stands(call, world, include):
    id = world.result["running", "south"]
    answer = call("viewer", "GET", "/result", query={"include": include})
    rows = answer.json["data"] if "metadata" in include else answer.json
    [listed] = [row for row in rows if row["id"] == id]
    one = call("viewer", "GET", f"/result/{id}", query={"include": include}).json
    assert listed == one
    whole = call("viewer", "GET", f"/task/{world.task.running}").json
    del whole["results"]
    assert one["task"] == whole


def test_a_result_shows_the_node_that_computes_it(call, world):
    shown = call("viewer", "GET", f"/result/{world.result['running', 'north']}").json["node"]
    assert len(shown.pop("config")) == 1
    assert shown == {
        "id": world.node.north_registry,
        "name": "north_registry",
        "status": "online",
        "ip": "10.0.0.7",
    }


# --- reports that are refused


@pytest.mark.parametrize(
    ("who", "result", "changes", "status"),
    [
        ("north_registry", ("finished", "north"), {"status": "crashed"}, 400),
        ("north_registry", ("finished", "north"), {"status": "killed by user"}, 400),
        ("north_registry", ("running", "north"), {"status": "pending"}, 400),
        ("north_registry", ("running", "north"), {"status": "unheard of"}, 400),
        ("north_registry", ("running", "north"), {"finished_at": "soon"}, 400),
        ("north_registry", ("running", "north"), {"started_at": 5}, 400),
        ("north_registry", ("running", "north"), {"result": {"a": 1}}, 400),
        ("north_registry", ("running", "north"), {"result": "a\x00b"}, 400),
        ("north_registry", ("running", "south"), {"status": "active"}, 403),
        ("south_trial", ("running", "south"), {"status": "active"}, 403),
        ("north_registry", ("waiting", "west"), {"status": "active"}, 403),
        ("researcher", ("running", "north"), {"status": "active"}, 403),
        ("root", ("running", "north"), {"status": "active"}, 403),
        ("container", ("running", "north"), {"status": "active"}, 403),
    ],
)
def test_a_report_that_is_refused_stores_nothing(call, world, sent, who, result, changes, status):
    call(who, "GET", "/result")
    before = database_digest()
    body = {"log": "more", **changes}
    answer = call(who, "PATCH", f"/result/{world.result[result]}", json=body)
    assert answer.status_code == status, answer.json
    assert database_digest() == before
    assert sent == []


def test_an_unknown_result(call, world):
    assert call("north_registry", "PATCH", "/result/9999", json={}).status_code == 403
    assert call("root", "GET", "/result/9999").status_code == 404
