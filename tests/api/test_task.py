"""What /task shows and refuses (rest.md 3.6, permissions.md 4.4)."""

import pytest

from tests.api.shared import names, opened_once
from tests.support import database_digest, without_ids
from tests.world import IMAGE

_opened = opened_once

REGISTRY = ["failed", "finished", "running", "subtask"]
TRIAL = ["killed", "waiting"]


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        ("root", REGISTRY + TRIAL),
        ("extra", REGISTRY + TRIAL),  # an extra rule, no role
        ("viewer", REGISTRY),
        ("analyst", REGISTRY),
        ("south_viewer", REGISTRY + TRIAL),
        ("east_viewer", []),
        ("north_registry", REGISTRY),
        ("container", ["running", "subtask"]),  # its own run
    ],
)
def test_a_list_shows_what_the_caller_may_view(call, world, who, seen):
    assert names(call(who, "GET", "/task")) == sorted(seen)


def test_without_a_view_rule_the_list_is_refused(call, world):
    assert call("nobody", "GET", "/task").status_code == 403


def test_the_newest_task_comes_first(call, world):
    listed = [row["id"] for row in call("root", "GET", "/task").json]
    assert listed == sorted(listed, reverse=True)
    first = call("root", "GET", "/task", query={"page": 1, "per_page": 2})
    assert [row["id"] for row in first.json] == listed[:2]
    assert first.headers["total-count"] == "6"


@pytest.mark.parametrize(
    ("query", "seen"),
    [
        ({"name": "%ing"}, ["running", "waiting"]),
        ({"image": "registry.example/%"}, REGISTRY + TRIAL),
        ({"image": "average"}, []),
        ({"description": "%finished"}, ["finished"]),
        ({"database": "default"}, REGISTRY + TRIAL),
        # The derived status.
        ({"status": "completed"}, ["finished"]),
        ({"status": "active"}, ["running"]),
        ({"status": "pending"}, ["subtask", "waiting"]),
        ({"status": "failed"}, ["failed", "killed"]),
        ({"status": "unheard of"}, []),
        ({"collaborationid": "1"}, REGISTRY + TRIAL),
    ],
)
def test_filters_narrow_the_list(call, world, query, seen):
    assert names(call("root", "GET", "/task", query=query)) == sorted(seen)


def test_filters_by_relation(call, world):
    def listed(who="root", **query):
        return names(call(who, "GET", "/task", query=query))

    assert listed(initiator_id=world.org.north) == ["finished", "running", "subtask"]
    assert listed(init_user_id=world.user.south_researcher) == ["failed", "waiting"]
    assert listed(collaboration_id=world.collab.trial) == TRIAL
    assert listed(parent_id=world.task.running) == ["subtask"]
    run = call("root", "GET", f"/task/{world.task.running}").json["run_id"]
    assert listed(run_id=run) == ["running", "subtask"]
    # the task of that result, for everybody
    result = world.result["failed", "south"]
    assert listed(result_id=result) == ["failed"]
    assert listed("viewer", result_id=result) == ["failed"]
    assert listed("viewer", result_id=world.result["waiting", "south"]) == []


@pytest.mark.parametrize(
    "name",
    ["initiator_id", "init_user_id", "collaboration_id", "parent_id", "run_id", "result_id"],
)
@pytest.mark.parametrize("bad", ["x", "1.5", ""])
def test_what_is_no_number_is_refused(call, world, name, bad):
    answer = call("root", "GET", "/task", query={name: bad})
    assert answer.status_code == 400
    assert answer.json["msg"].startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("who", "task", "status"),
    [
        ("root", "waiting", 200),
        ("viewer", "failed", 200),  # of a partner, in the same collaboration
        ("viewer", "waiting", 403),
        ("north_registry", "running", 200),
        ("north_registry", "waiting", 403),
        ("container", "running", 200),
        ("container", "subtask", 200),
        ("container", "finished", 403),  # another run
        ("nobody", "running", 403),
    ],
)
def test_one_task(call, world, who, task, status):
    answer = call(who, "GET", f"/task/{getattr(world.task, task)}")
    assert answer.status_code == status
    if status == 200:
        assert answer.json["name"] == task


def test_an_unknown_task(call, world):
    assert call("root", "GET", "/task/9999").status_code == 404
    assert call("root", "GET", f"/task/{2**63}").status_code == 404
    assert call("viewer", "GET", "/task/9999").status_code == 403


def test_the_state_of_a_task_is_derived_from_its_results(call, world):
    def shown(task):
        row = call("root", "GET", f"/task/{getattr(world.task, task)}").json
        return row["status"], row["complete"], row["finished_at"]

    assert shown("finished") == ("completed", True, "2024-03-01T12:02:00+00:00")
    assert shown("running") == ("active", False, None)
    assert shown("failed") == ("failed", False, None)  # one still runs
    assert shown("subtask") == ("pending", False, None)
    assert shown("killed") == ("failed", True, "2024-03-01T12:02:00+00:00")


def test_parent_and_children_are_links(call, world):
    parent = call("viewer", "GET", f"/task/{world.task.running}").json
    child = call("viewer", "GET", f"/task/{world.task.subtask}").json
    assert [link["id"] for link in parent["children"]] == [world.task.subtask]
    assert parent["parent"] is None
    assert child["parent"]["link"] == f"{call.base}/task/{world.task.running}"
    assert child["children"] is None


# --- include


@pytest.mark.parametrize("include", [["results"], ["metadata", "results"], ["x", "results"]])
def test_results_are_embedded_wherever_the_word_stands(call, world, include):
    answer = call("viewer", "GET", "/task", query={"include": include})
    rows = answer.json["data"] if "metadata" in include else answer.json
    [running] = [row for row in rows if row["name"] == "running"]
    one = call("viewer", "GET", f"/task/{world.task.running}", query={"include": include}).json
    assert running == one
    assert [result["organization"] for result in one["results"]] == [
        world.org.north,
        world.org.south,
    ]
    first = one["results"][0]
    assert set(first) == {
        "id",
        "organization",
        "input",
        "result",
        "log",
        "status",
        "assigned_at",
        "started_at",
        "finished_at",
        "node",
        "ports",
    }
    assert first["node"]["name"] == "north_registry"
    assert [port["label"] for port in first["ports"]] == ["first", "second"]


@pytest.mark.parametrize("path", ["/task", "/task/{id}"])
def test_only_results_that_the_caller_may_view_are_embedded(call, world, path):
    """`extra` may view every task, and no result."""
    path = path.format(id=world.task.running)
    answer = call("extra", "GET", path, query={"include": "results"})
    rows = answer.json if isinstance(answer.json, list) else [answer.json]
    assert [row["results"] for row in rows] == [[]] * len(rows)
    # A cached statement must not remember who asked before.
    again = call("viewer", "GET", path, query={"include": "results"}).json
    assert all(row["results"] for row in (again if isinstance(again, list) else [again]))


# --- results of a task


@pytest.mark.parametrize(
    ("who", "task", "status"),
    [
        ("root", "running", 200),
        ("viewer", "running", 200),
        ("viewer", "waiting", 403),
        ("container", "running", 200),
        ("container", "subtask", 200),
        ("container", "finished", 403),
        ("north_registry", "running", 200),
        ("extra", "running", 403),  # views tasks, no results
    ],
)
def test_the_results_of_a_task(call, world, who, task, status):
    id = getattr(world.task, task)
    answer = call(who, "GET", f"/task/{id}/result")
    assert answer.status_code == status
    if status == 200:
        assert {row["task"] for row in answer.json} == {id}
        listed = [row["id"] for row in answer.json]
        assert listed == sorted(listed)
        assert all(isinstance(row["organization"], int) for row in answer.json)


# --- refused


def order(world, *orgs, collab="registry", **more):
    return {
        "collaboration_id": getattr(world.collab, collab) if isinstance(collab, str) else collab,
        "organizations": [{"id": getattr(world.org, org), "input": "aW4="} for org in orgs],
        "image": IMAGE,
        **more,
    }


@pytest.mark.parametrize(
    ("who", "orgs", "changes", "status"),
    [
        ("researcher", ["west"], {}, 400),  # no member
        ("researcher", ["north", "north"], {}, 400),
        ("researcher", [], {}, 400),
        ("researcher", ["north"], {"organizations": None}, 400),
        ("researcher", ["north"], {"organizations": [{"id": 9999}]}, 400),
        ("researcher", ["north"], {"organizations": [{"input": "x"}]}, 400),
        ("researcher", ["north"], {"organizations": {"id": 1}}, 400),
        ("researcher", ["north"], {"collaboration_id": None}, 400),
        ("researcher", ["north"], {"collaboration_id": "x"}, 400),
        ("researcher", ["north"], {"name": ["x"]}, 400),
        ("researcher", ["north"], {"image": "a\x00b"}, 400),
        ("west_researcher", ["west"], {"collab": "nothing"}, 400),  # has no node there
        ("researcher", ["south"], {"collab": "trial"}, 403),
        # members, nodes and existence of foreign collaborations stay unknown
        ("researcher", ["north"], {"collab": "trial"}, 403),
        ("researcher", ["north"], {"collab": 9999}, 403),
        ("root", ["north"], {"collab": 9999}, 404),
        ("root", ["north"], {}, 403),  # not even root starts tasks where it is no member
        ("viewer", ["north"], {}, 403),
        ("north_registry", ["north"], {}, 403),
        ("container", ["north"], {"image": "evil.example/" + IMAGE}, 403),
        ("container", ["north"], {"image": "average:1"}, 403),
        ("container", ["south"], {"collab": "trial"}, 403),
        ("container:running@south_registry", ["south"], {"collab": "trial"}, 403),
        ("container", ["west"], {}, 400),
        ("container:finished@north_registry", ["north"], {}, 401),
    ],
)
def test_a_task_that_cannot_be_is_not_stored(call, world, sent, who, orgs, changes, status):
    call(who, "GET", "/task")
    before = database_digest()
    answer = call(who, "POST", "/task", json=order(world, *orgs, **changes))
    assert answer.status_code == status, answer.json
    assert isinstance(answer.json["msg"], str)
    assert database_digest() == before
    assert sent == []


def test_an_unknown_collaboration_looks_like_a_foreign_one(call, world):
    foreign = call("researcher", "POST", "/task", json=order(world, "north", collab="trial"))
    unknown = call("researcher", "POST", "/task", json=order(world, "north", collab=9999))
    assert without_ids(foreign) == without_ids(unknown)


@pytest.mark.parametrize(
    ("who", "task"),
    [
        ("viewer", "finished"),
        ("org_admin", "waiting"),
        ("west_researcher", "running"),
        ("north_registry", "running"),
        ("container", "subtask"),
    ],
)
def test_who_may_not_delete_does_not(call, world, who, task):
    assert call(who, "DELETE", f"/task/{getattr(world.task, task)}").status_code == 403
