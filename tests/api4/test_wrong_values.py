"""Whatever a field holds, the answer is one that programs of 4.x can read, and no 500 (F11)."""

import json

import pytest

from tests.api4.test_task import order
from tests.support import database_digest

DEEP = json.loads('{"a":' * 90 + "1" + "}" * 90)
ODD = [
    None, True, 0, -1, 2**31, 2**70, 1.5, 1e300, "", "x", "\x00", "\ud800", "7" * 400, [], [None],
    [[]], [1], ["x"], {}, {"id": 1}, [{}], [{"id": None}], [{"id": 2**40, "input": 1}],
    [{"label": "\x00"}], [{"label": "a", "arguments": {"\x00": "\ud800"}}],
    [{"label": "a", "arguments": DEEP}], [{"label": "a", "preprocessing": [{"function": DEEP}]}],
    [{"id": 2, "input": {"a": "\ud800"}}], [{"id": 2, "input": "\u00e9$"}],
]  # fmt: skip
QUERIES = {
    "/task": (
        "init_org_id", "init_user_id", "collaboration_id", "study_id", "store_id", "parent_id",
        "job_id", "run_id", "database", "is_user_created", "status", "name", "include", "sort",
    ),
    "/run": ("task_id", "node_id", "organization_id", "state", "port", "started_from", "include"),
    "/result": ("task_id", "node_id", "collaboration_id", "finished_till", "page", "per_page"),
}  # fmt: skip


def read(answer):
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert isinstance(answer.json["msg"], str)
        assert isinstance(answer.json["errors"], dict)
    return answer.status_code


def bodies(world):
    run = world.result["running", "north"]
    column = {"db_label": "a", "collaboration_id": world.collab.registry}
    task = order(world, "north", databases=[], study_id=None, store_id=None, description="")
    return {
        ("researcher", "POST", "/task"): task | {"server_url": None, "keep_days": None},
        ("container", "POST", "/task"): task,
        ("researcher", "POST", "/column"): task["organizations"]
        and column | {"organizations": task["organizations"], "query": "", "sheet_name": ""},
        ("north_registry", "PATCH", f"/run/{run}"): dict.fromkeys(
            ("status", "log", "result", "started_at", "finished_at")
        ),
        ("north_registry", "POST", "/port"): {"run_id": run, "port": 1, "label": ""},
        ("north_registry", "POST", "/token/container"): {
            "task_id": world.task.running,
            "image": "x",
        },
        ("root", "POST", "/kill/task"): {"id": world.task.waiting},
        ("root", "POST", "/kill/node/tasks"): {"id": world.node.west_trial},
    }


@pytest.mark.parametrize("number", range(8))
def test_odd_values_of_fields(call4, world, number):
    (who, method, path), body = list(bodies(world).items())[number]
    call4(who, "GET", "/task")
    before = database_digest()
    for name in body:
        for value in ODD:
            sent = {"data": json.dumps(body | {name: value}), "content_type": "application/json"}
            if read(call4(who, method, path, **sent)) < 400:
                before = database_digest()
    assert database_digest() == before


@pytest.mark.parametrize("path", QUERIES)
def test_odd_values_of_filters(call4, world, path):
    for name in QUERIES[path]:
        for value in ("", "x", "-1", "0", "1e3", "9" * 400, "\x00", "%", "null", "\u00e9"):
            for who in ("root", "viewer", "north_registry", "container"):
                read(call4(who, "GET", path, query={name: value}))
