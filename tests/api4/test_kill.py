"""/kill for users of 4.x (rest.md 3.9, scenario.md E)."""

import pytest

from tests.api4.shared import data, refused


def runs(call4, task):
    found = data(call4("root", "GET", "/run", query={"task_id": task}))
    return {run["organization"]["id"]: (run["status"], run["finished_at"]) for run in found}


def test_a_task_is_killed_with_its_subtasks(call4, world, sent):
    task, subtask = world.task.running, world.task.subtask
    assert call4("researcher", "POST", "/kill/task", json={"id": task}).status_code == 403
    answer = call4("collab_admin", "POST", "/kill/task", json={"id": task})
    assert (answer.status_code, list(answer.json)) == (200, ["msg"])
    for id in (task, subtask):
        assert {status for status, _ in runs(call4, id).values()} == {"killed by user"}
        assert all(finished_at for _, finished_at in runs(call4, id).values())
        shown = call4("viewer", "GET", f"/task/{id}").json
        assert (shown["status"], shown["finished_at"]) == ("killed by user", None)
    [event] = [event for event in sent if event.name == "kill_containers"]
    assert len(event.payload["kill_list"]) == 3
    assert call4("collab_admin", "POST", "/kill/task", json={"id": task}).status_code == 400


def test_finished_runs_keep_their_status(call4, world):
    before = runs(call4, world.task.failed)
    call4("root", "POST", "/kill/task", json={"id": world.task.failed})
    after = runs(call4, world.task.failed)
    assert after[world.org.north] == before[world.org.north]
    assert after[world.org.south][0] == "killed by user"
    assert call4("viewer", "GET", f"/task/{world.task.failed}/status").json == {"status": "failed"}


def test_a_node_is_told_to_stop_all_it_runs(call4, world, sent):
    body = {"id": world.node.north_registry}
    for who, status in (("researcher", 403), ("org_admin", 200), ("root", 200)):
        assert call4(who, "POST", "/kill/node/tasks", json=body).status_code == status
    assert [event.payload for event in sent] == [
        {"node_id": world.node.north_registry, "collaboration_id": world.collab.registry}
    ] * 2
    assert call4("root", "POST", "/kill/node/tasks", json={"id": 999999}).status_code == 404


@pytest.mark.parametrize("path", ["/kill/task", "/kill/node/tasks"])
def test_what_is_to_stop_has_an_id(call4, world, path):
    refused(call4("root", "POST", path, json={}), "id")
    assert call4("root", "POST", path, json={"id": 999999}).status_code == 404
    assert call4("viewer", "POST", path, json={"id": 999999}).status_code == 403
