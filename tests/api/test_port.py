"""/port (rest.md 3.10, permissions.md 4.4)."""

import pytest

from tests.support import database_digest


def labels(answer):
    assert answer.status_code == 200, answer.json
    return [row["label"] for row in answer.json]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_sees_which_ports(call, world):
    """Q-26: as results, by the collaboration of the task"""
    for who, seen in {
        "root": ["trial", "second", "first"],  # newest first
        "viewer": ["second", "first"],
        "south_viewer": ["trial", "second", "first"],
        "west_researcher": ["trial"],
        "east_viewer": [],
        "north_registry": ["second", "first"],
        "container": ["second", "first"],
        "container:subtask@south_registry": ["second", "first"],  # the same run
        "container:waiting@west_trial": ["trial"],
    }.items():
        assert labels(call(who, "GET", "/port")) == seen, who
        for label in ("first", "second", "trial"):
            answer = call(who, "GET", f"/port/{world.port[label]}")
            assert answer.status_code == (200 if label in seen else 403), (who, label)
    for who in ("nobody", "extra", "analyst"):
        assert call(who, "GET", "/port").status_code == 403
        assert call(who, "GET", f"/port/{world.port['first']}").status_code == 403
    assert call("root", "GET", "/port/9999").status_code == 404


def test_filters_narrow_the_list(call, world):
    def listed(**query):
        return labels(call("root", "GET", "/port", query=query))

    assert listed(result_id=world.result["running", "north"]) == ["second", "first"]
    assert listed(task_id=world.task.waiting) == ["trial"]
    run = call("root", "GET", f"/task/{world.task.subtask}").json["run_id"]
    assert listed(run_id=run) == ["second", "first"]
    assert listed(run_id=run, task_id=world.task.waiting) == []
    for name in ("result_id", "task_id", "run_id"):
        assert call("root", "GET", "/port", query={name: "x"}).status_code == 400


def test_a_node_opens_and_closes_the_ports_of_its_run(call, world):
    own = world.result["running", "south"]
    body = {"port": 50001, "label": "http", "result_id": own}
    answer = call("south_registry", "POST", "/port", json=body)
    assert answer.status_code == 201
    assert answer.json == {**answer.json, "port": 50001, "label": "http", "result": own}
    assert set(answer.json) == {"id", "port", "label", "result"}
    plain = call("south_registry", "POST", "/port", json={"port": "50002", "result_id": own})
    assert (plain.json["port"], plain.json["label"]) == (50002, None)
    shown = call("viewer", "GET", f"/result/{own}").json["ports"]
    assert [port["port"] for port in shown] == [50001, 50002]
    for _ in range(2):  # N8: also when there are none
        gone = call("south_registry", "DELETE", "/port", query={"result_id": own})
        assert gone.status_code == 200
        assert isinstance(gone.json["msg"], str)
    assert call("viewer", "GET", f"/result/{own}").json["ports"] == []
    assert len(call("root", "GET", "/port").json) == 3  # others stay


def test_ports_that_are_refused_are_not_stored(call, world):
    own, other = world.result["running", "north"], world.result["running", "south"]
    for who in ("north_registry", "south_trial", "root", "researcher", "container"):
        call(who, "GET", "/port")
    before = database_digest()
    for body, status in (
        ({"port": "http", "result_id": own}, 400),
        ({"port": 0, "result_id": own}, 400),
        ({"port": 65536, "result_id": own}, 400),
        ({"result_id": own}, 400),
        ({"port": 80}, 400),
        ({"port": 80, "result_id": None}, 400),
        ({"port": 80, "result_id": "x"}, 400),
        ({"port": 80, "result_id": own, "label": ["x"]}, 400),
        ({"port": 80, "result_id": 9999}, 403),
        ({"port": 80, "result_id": 2**62}, 403),
        ({"port": 80, "result_id": other}, 403),
        ({"port": 80, "result_id": world.result["finished", "north"]}, 400),
    ):
        answer = call("north_registry", "POST", "/port", json=body)
        assert answer.status_code == status, (body, answer.json)
    for query, status in (
        ({}, 400),
        ({"result_id": "x"}, 400),
        ({"result_id": "-1"}, 400),
        ({"result_id": 9999}, 403),
        ({"result_id": other}, 403),
    ):
        assert call("north_registry", "DELETE", "/port", query=query).status_code == status
    for who in ("south_trial", "root", "researcher", "container"):
        body = {"port": 80, "result_id": other}
        assert call(who, "POST", "/port", json=body).status_code == 403
        assert call(who, "DELETE", "/port", query={"result_id": own}).status_code == 403
    assert database_digest() == before
