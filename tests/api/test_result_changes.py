"""What nodes report of their runs (rest.md 3.7, clients.md 6.2)."""

import pytest


@pytest.fixture
def report(call, world):
    """Report the run of `running` at north; the answer."""
    path = f"/result/{world.result['running', 'north']}"
    return lambda **changes: call("north_registry", "PATCH", path, json=changes)


def test_a_run_from_start_to_end(report, call, world, sent):
    started = report(started_at="2026-11-24T06:26:37.425079").json
    assert started["started_at"] == "2026-11-24T06:26:37.425079+00:00"
    assert (started["status"], started["finished_at"]) == ("active", None)
    assert report(status="initializing").json["status"] == "initializing"
    end = report(
        result="b3V0", log="done", status="completed", finished_at="2026-11-24T06:27:00"
    ).json
    assert (end["result"], end["log"], end["status"]) == ("b3V0", "done", "completed")
    assert end["started_at"] == started["started_at"]  # what is absent stays
    assert end["finished_at"] == "2026-11-24T06:27:00+00:00"  # no microseconds
    id = world.result["running", "north"]
    assert call("viewer", "GET", f"/result/{id}").json == end
    assert [(event.name, event.payload) for event in sent] == [
        ("status_update", {"result_id": id})
    ] * 3
    room = f"collaboration_{world.collab.registry}"
    assert sent[0].rooms == (room, f"{room}_organization_{world.org.north}")


def test_nothing_given_changes_nothing(report, call, world):
    before = call("root", "GET", f"/result/{world.result['running', 'north']}").json
    given = dict.fromkeys(("started_at", "finished_at", "status", "result", "log"))
    for changes in ({}, given, {"input": "x", "organization_id": 1, "task_id": 1}):
        assert report(**changes).json == before


def test_a_time_with_an_offset_is_stored_as_utc(report):
    """Q-16, Q-50"""
    answer = report(finished_at="2026-11-24T08:00:00+02:00", status="completed").json
    assert answer["finished_at"] == "2026-11-24T06:00:00+00:00"


def test_a_finished_result_is_final(report):
    assert report(status="failed", finished_at="2026-11-24T06:00:00").status_code == 200
    for changes in ({"status": "active"}, {"result": "x"}, {"log": "x"}, {}):
        answer = report(**changes)
        assert answer.status_code == 400
        assert answer.json["msg"] == "Cannot update an already finished result!"


def test_a_failure_does_not_become_a_running_algorithm_again(report):
    """Q-51"""
    assert report(status="start failed").status_code == 200
    assert report(status="active").status_code == 400
    end = report(status="failed", result="", log="x", finished_at="2026-11-24T06:00:00")
    assert end.status_code == 200
    assert end.json["result"] == ""


def test_a_node_confirms_a_kill_without_an_error(report, call, world, sent):
    """S12"""
    call("root", "POST", "/kill/task", json={"id": world.task.running})
    sent.clear()
    killed = report(status="killed by user")
    assert killed.status_code == 200
    assert killed.json["status"] == "killed by user"
    assert report(status="killed by user").json == killed.json
    assert sent == []
    logged = report(status="killed by user", log="last words", result="b3V0")
    assert logged.json == {**killed.json, "log": "last words"}
    assert report(status="killed by user", log="others").json == logged.json
    assert report(status="completed").status_code == 400


def test_what_a_node_killed_is_finished(report):
    """realtime.md 8: or it would be started again at the next connect"""
    answer = report(status="killed by user")
    assert answer.status_code == 200
    assert answer.json["finished_at"] is not None


def test_a_log_of_any_bytes_is_kept(report):
    answer = report(log="a\x00b", result="b3V0", status="completed")
    assert answer.status_code == 200
    assert (answer.json["log"], answer.json["result"]) == ("a\ufffdb", "b3V0")


def test_large_results_are_kept_to_the_letter(report):
    large = "$".join(["QUJD" * 500_000, "eA==", "\N{SNOWMAN} \n"])
    assert report(result=large).json["result"] == large


def test_the_task_is_complete_when_the_last_result_is(report, call, world):
    path = f"/task/{world.task.running}"
    report(status="completed", finished_at="2026-11-24T06:00:00")
    assert call("root", "GET", path).json["complete"] is False
    body = {"status": "completed", "finished_at": "2026-11-24T05:00:00"}
    call("south_registry", "PATCH", f"/result/{world.result['running', 'south']}", json=body)
    task = call("root", "GET", path).json
    assert (task["complete"], task["status"]) == (True, "completed")
    assert task["finished_at"] == "2026-11-24T06:00:00+00:00"


def test_results_stay_in_the_list_when_the_node_is_gone(call, world):
    """Q-64"""
    before = len(call("root", "GET", "/result").json)
    call("root", "DELETE", f"/node/{world.node.west_trial}")
    rows = call("root", "GET", "/result").json
    assert len(rows) == before
    west = [row for row in rows if row["organization"]["id"] == world.org.west]
    assert [row["node"] for row in west] == [{}, {}]
