"""What /collaboration stores (rest.md 3.5)."""

import pytest

from tests.api.shared import ids, names
from tests.api.test_collaboration import new
from tests.world import PASSWORD


def test_a_new_collaboration(call, world):
    answer = call("root", "POST", "/collaboration", json=new(world, encrypted=True))
    assert answer.status_code == 200
    assert {**answer.json, "id": 0, "organizations": 0} == {
        "id": 0,
        "name": "new",
        "encrypted": True,
        "organizations": 0,
        "nodes": None,
        "tasks": None,
    }
    assert ids(answer.json["organizations"]) == [world.org.north, world.org.east]
    assert "new" in names(call("east_viewer", "GET", "/collaboration"))  # at once


def test_only_what_is_given_changes(call, world):
    path = f"/collaboration/{world.collab.trial}"
    before = call("collab_admin", "GET", path).json
    answer = call("collab_admin", "PATCH", path, json={"name": None, "encrypted": 0})
    assert answer.status_code == 200
    assert answer.json == {**before, "encrypted": False}
    answer = call("collab_admin", "PATCH", path, json={"name": "renamed"})
    assert answer.json == {**before, "encrypted": False, "name": "renamed"}


def test_organizations_that_are_replaced_lose_their_node(call, world):
    """Q-18"""
    path = f"/collaboration/{world.collab.trial}"
    body = {"organization_ids": [world.org.west, world.org.east]}
    answer = call("root", "PATCH", path, json=body)
    assert ids(answer.json["organizations"]) == [world.org.west, world.org.east]
    assert ids(answer.json["nodes"]) == [world.node.west_trial]
    assert call("root", "GET", f"/node/{world.node.south_trial}").json["collaboration"] is None


def test_a_collaboration_with_tasks_or_nodes_stays_and_says_how_many(call, world):
    """Q-17"""
    path = f"/collaboration/{world.collab.trial}"
    assert _refused(call, "root", path) == "still has 2 tasks and 2 nodes"
    for node in (world.node.south_trial, world.node.west_trial):
        call("root", "DELETE", f"/node/{node}")
    assert _refused(call, "root", path) == "still has 2 tasks"
    call("root", "DELETE", f"/task/{world.task.killed}")
    assert _refused(call, "root", path) == "still has 1 task"
    call("root", "DELETE", f"/task/{world.task.waiting}")
    assert call("root", "DELETE", path).status_code == 200


@pytest.mark.parametrize(
    ("also", "counted"),
    [
        ((), "tasks that you may not view and nodes that you may not view"),
        (("node", "GLOBAL"), "tasks that you may not view and 2 nodes"),
        (
            ("node", "ORGANIZATION"),
            "tasks that you may not view and 1 node (and others that you may not view)",
        ),
        (("task", "GLOBAL"), "2 tasks and nodes that you may not view"),
    ],
    ids=str,
)
def test_only_what_the_caller_may_view_is_counted(call, world, also, counted):
    rights = [("collaboration", "GLOBAL", "DELETE"), *([(*also, "VIEW")] if also else [])]
    rules = [_rule(call, *right) for right in rights]
    person = {"username": "cleaner", "firstname": "C", "lastname": "C", "email": "c@x.example"}
    body = {**person, "password": PASSWORD, "organization_id": world.org.west, "rules": rules}
    assert call("root", "POST", "/user", json=body).status_code == 201
    path = f"/collaboration/{world.collab.trial}"
    assert _refused(call, "cleaner", path) == f"still has {counted}"


def _refused(call, who, path):
    """What a collaboration that cannot be deleted still has."""
    answer = call(who, "DELETE", path)
    assert answer.status_code == 409, answer.json
    said = answer.json["msg"]
    return said[said.index("still has") :].partition(": delete them first")[0]


def _rule(call, name, scope, operation):
    query = {"name": name, "scope": scope, "operation": operation}
    [found] = call("root", "GET", "/rule", query=query).json
    return found["id"]


def test_an_empty_collaboration_goes(call, world):
    path = f"/collaboration/{world.collab.nothing}"
    assert call("collab_admin", "DELETE", path).status_code == 403
    answer = call("root", "DELETE", path)
    assert answer.status_code == 200
    assert isinstance(answer.json["msg"], str)
    assert call("root", "GET", path).status_code == 404


def test_a_member_is_added_once(call, world):
    """Q-59"""
    path = f"/collaboration/{world.collab.registry}/organization"
    for _ in range(2):
        answer = call("collab_admin", "POST", path, json={"id": world.org.east})
        assert names(answer) == ["east", "north", "south"]
    assert names(call("east_viewer", "GET", "/collaboration")) == ["registry"]


def test_a_member_is_taken_out_with_its_node(call, world):
    """Q-18, Q-63: this is an edit"""
    path = f"/collaboration/{world.collab.registry}/organization"
    answer = call("collab_admin", "DELETE", path, json={"id": world.org.south})
    assert names(answer) == ["north"]
    assert names(call("south_viewer", "GET", "/collaboration")) == ["trial"]
    node = call("root", "GET", f"/node/{world.node.south_registry}").json
    assert node["collaboration"] is None
    # Who is left out does not see the tasks any more.
    tasks = call("south_viewer", "GET", "/task").json
    assert {task["collaboration"]["id"] for task in tasks} == {world.collab.trial}


def test_a_node_is_moved_here(call, world):
    call("root", "DELETE", f"/node/{world.node.south_registry}")
    path = f"/collaboration/{world.collab.registry}/node"
    answer = call("collab_admin", "POST", path, json={"id": world.node.south_trial})
    assert answer.status_code == 201
    assert sorted(row["name"] for row in answer.json) == ["north_registry", "south_trial"]
    left = call("root", "GET", f"/collaboration/{world.collab.trial}/node")
    assert names(left) == ["west_trial"]


def test_a_node_is_taken_out_and_stays(call, world):
    path = f"/collaboration/{world.collab.registry}/node"
    answer = call("collab_admin", "DELETE", path, json={"id": world.node.north_registry})
    assert answer.status_code == 200
    assert isinstance(answer.json["msg"], str)
    assert call("root", "GET", f"/node/{world.node.north_registry}").json["collaboration"] is None
    again = call("collab_admin", "DELETE", path, json={"id": world.node.north_registry})
    assert again.status_code == 400
    assert call("collab_admin", "DELETE", path, json={"id": 9999}).status_code == 404
    assert (
        call("org_admin", "DELETE", path, json={"id": world.node.south_registry}).status_code == 403
    )
