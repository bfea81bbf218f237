"""A refusal says as much as its caller may know, and can be looked up by who may view the policy."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.shared import opened_once
from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World

_opened = opened_once  # nothing is stored


def _body(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 403, answer.text
    body: dict[str, Any] = answer.json
    assert body["msg"] == body["message"]
    assert body["status"] == 403
    return body


@pytest.mark.parametrize(
    ("who", "method", "path", "reason"),
    [
        ("nobody", "GET", "/task", "none of your roles and rules grants task:view"),
        ("nobody", "GET", "/task/{task.running}", "none of your roles and rules grants task:view"),
        ("viewer", "POST", "/task", "none of your roles and rules grants task:create"),
        (
            "viewer",
            "GET",
            "/task/{task.waiting}",
            "your roles and rules grant task:view with scope organization, but not for this one",
        ),
        (
            "collab_admin",
            "DELETE",
            "/user/{user.south_viewer}",
            "your roles and rules grant user:delete with scope own and organization, but not for this one",
        ),
        ("viewer", "GET", "/policy", "none of your roles and rules grants policy:view"),
        (
            "north_registry",
            "PATCH",
            "/result/{result}",
            "your roles and rules grant result:edit with scope collaboration under conditions, but not for"
            " this one",
        ),
    ],
)
def test_the_reason_is_what_the_caller_holds(
    call: Caller, world: World, who: str, method: str, path: str, reason: str
) -> None:
    path = path.format(task=world.task, user=world.user, result=world.result["running", "south"])
    body = _body(call(who, method, path, json={} if method != "GET" else None))
    assert body["reason"] == reason
    assert len(body["decision_id"]) == 20


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_row_out_of_scope_and_no_row_at_all_look_the_same(
    call: Caller, world: World, method: str
) -> None:
    there = _body(call("researcher", method, f"/task/{world.task.waiting}"))
    for missing in (999_999, 2**31 + 1, 10**30):
        nothing = _body(call("researcher", method, f"/task/{missing}"))
        for own in ("decision_id", "request_id"):
            assert nothing.pop(own) != there[own]
        assert nothing == {name: there[name] for name in nothing}


def test_what_a_line_does_to_just_this_row_is_not_told(
    call: Caller, world: World, add_lines: Callable[[str], None]
) -> None:
    """The caller sees tasks of its organization, but one; the answer is that of any other row."""
    before = _body(call("viewer", "GET", f"/task/{world.task.waiting}"))["reason"]
    add_lines(
        f"p, user:{world.user.viewer}, task, global, view, r.obj.id == {world.task.running}, deny\n"
    )
    denied = _body(call("viewer", "GET", f"/task/{world.task.running}"))
    assert denied["reason"] == before


def test_a_line_that_forbids_it_whatever_the_row_is_told(
    call: Caller, world: World, add_lines: Callable[[str], None]
) -> None:
    add_lines(f"p, user:{world.user.viewer}, task, global, view, True, deny\n")
    reason = "a line of the policy forbids task:view to you"
    assert _body(call("viewer", "GET", "/task"))["reason"] == reason
    assert _body(call("viewer", "GET", f"/task/{world.task.running}"))["reason"] == reason


def test_a_right_that_does_not_reach_the_whole(
    call: Caller, world: World, add_lines: Callable[[str], None]
) -> None:
    add_lines(f"p, user:{world.user.viewer}, policy, organization, view, True, allow\n")
    assert _body(call("viewer", "GET", "/policy"))["reason"] == (
        "your roles and rules grant policy:view with scope organization, but not as a whole"
    )


def test_who_hands_out_too_much_gets_the_words_of_the_contract(call: Caller, world: World) -> None:
    rule = world.rule["task", "GLOBAL", "DELETE"]
    body = _body(
        call("org_admin", "POST", "/role", json={"name": "r", "description": "d", "rules": [rule]})
    )
    assert "you don't hold" in body["msg"]
    found = call("root", "GET", f"/policy/decision/{body['decision_id']}").json
    assert (found["question"], found["effect"], found["prospective"]) == ("row", "deny", True)
    [line] = found["lines"]
    assert line.startswith("default_roles.csv:")


@pytest.mark.parametrize(
    ("who", "method", "path", "asked", "open_to"),
    [
        ("container", "GET", "/node", ("node", "view"), ["node", "user"]),
        ("container", "GET", "/collaboration", ("collaboration", "view"), ["node", "user"]),
    ],
)
def test_a_refusal_by_kind_of_caller_is_a_decision_like_all_others(
    call: Caller,
    world: World,
    who: str,
    method: str,
    path: str,
    asked: tuple[str, str],
    open_to: list[str],
) -> None:
    body = _body(call(who, method, path))
    assert body["msg"] == f"This is not open to a {who}"
    told = " and ".join(f"{kind}s" for kind in sorted(open_to, reverse=True))
    assert body["reason"] == f"this is open to {told} only"
    found = call("second_root", "GET", f"/policy/decision/{body['decision_id']}").json
    assert (found["question"], found["effect"], found["lines"]) == ("caller", "deny", [])
    assert (found["resource"], found["operation"]) == asked
    assert found["callers"] == open_to


_NO_GRANT = "none of your roles and rules grants {}:{}"
_DENIED = "a line of the policy forbids {}:{} to you"
_NOT_THIS = "your roles and rules grant {}:{}{}, but not for this one"


@pytest.mark.parametrize(
    ("who", "method", "path", "asked", "question", "reason"),
    [
        ("north_registry", "GET", "/role", ("role", "view"), "rows", _NO_GRANT),
        ("root", "PATCH", "/result/1", ("result", "edit"), "row", _DENIED),
        ("root", "POST", "/port", ("port", "create"), "any", _DENIED),
        ("root", "DELETE", "/port", ("port", "delete"), "any", _DENIED),
        ("root", "POST", "/vpn/update", ("node", "edit"), "row", _NOT_THIS),
        ("viewer", "GET", "/vpn", ("node", "edit"), "row", _NO_GRANT),
        ("root", "GET", "/vpn/algorithm/addresses", ("port", "view"), "row", _NOT_THIS),
        ("container", "POST", "/node", ("node", "create"), "any", _NO_GRANT),
        ("container", "GET", "/rule", ("role", "view"), "rows", _NO_GRANT),
        ("north_registry", "POST", "/recover/node", ("node", "edit"), "any", _NOT_THIS),
        ("north_registry", "PATCH", "/password/change", ("user", "edit"), "row", _NO_GRANT),
        ("root", "POST", "/token/container", ("result", "edit"), "any", _DENIED),
    ],
)
def test_what_a_kind_may_not_do_is_said_by_the_lines(
    call: Caller,
    who: str,
    method: str,
    path: str,
    asked: tuple[str, str],
    question: str,
    reason: str,
) -> None:
    body = _body(call(who, method, path, json={} if method != "GET" else None))
    wide = f" with scope {'organization' if who == 'north_registry' else 'global'}"
    assert body["reason"] == reason.format(*asked, wide)
    found = call("second_root", "GET", f"/policy/decision/{body['decision_id']}").json
    assert (found["question"], found["effect"]) == (question, "deny")
    assert (found["resource"], found["operation"]) == asked
    denials = [_line(call, origin) for origin in found["lines"]]
    assert all(line.endswith("deny") for line in denials)
    assert bool(denials) is (reason is _DENIED or path == "/recover/node")


# --- looking it up


def test_the_decision_can_be_looked_up(call: Caller, world: World) -> None:
    body = _body(call("viewer", "GET", f"/task/{world.task.waiting}"))
    answer = call("root", "GET", f"/policy/decision/{body['decision_id']}")
    assert answer.status_code == 200
    found = answer.json
    assert isinstance(found.pop("latency_us"), int)
    assert isinstance(found.pop("seq"), int)
    assert found.pop("time").endswith("Z")
    assert found == {
        "id": body["decision_id"],
        "question": "row",
        "principal": {
            "id": f"user:{world.user.viewer}",
            "kind": "user",
            "account": world.user.viewer,
            "org": world.org.north,
            "collabs": [world.collab.registry],
            "roles": ["role:viewer"],
        },
        "resource": "task",
        "operation": "view",
        "table": "Task",
        "row": world.task.waiting,
        "effect": "deny",
        "lines": [],
        "reason": "outside what is granted",
        "policy": call.app.extensions["authz"].policy.version,
        "request_id": body["request_id"],
    }


def test_the_record_of_a_container_tells_what_policies_see_of_it(
    call: Caller, world: World
) -> None:
    body = _body(call("container", "GET", f"/task/{world.task.finished}"))
    found = call("root", "GET", f"/policy/decision/{body['decision_id']}").json
    assert found["principal"]["task"] == world.task.running
    assert found["principal"]["image"] == "registry.example/average:1"
    assert "r.obj.run != r.sub.run" in _line(call, found["lines"][0])


def _line(call: Caller, origin: str) -> str:
    lines = call.app.extensions["authz"].policy.lines
    return next(str(line) for line in lines if line.origin == origin)


@pytest.mark.parametrize("who", ["viewer", "collab_admin", "nobody"])
def test_only_who_may_view_the_policy_looks_decisions_up(
    call: Caller, world: World, who: str
) -> None:
    id = _body(call(who, "GET", "/policy"))["decision_id"]
    _body(call(who, "GET", f"/policy/decision/{id}"))
    assert call("north_registry", "GET", f"/policy/decision/{id}").status_code == 403
    assert call(None, "GET", f"/policy/decision/{id}").status_code == 401


@pytest.mark.parametrize("id", ["0" * 20, "x", "%22", "..%2F..%2Fjwt_secret", "0" * 5000])
def test_an_unknown_decision_is_not_found(call: Caller, world: World, id: str) -> None:
    call("viewer", "GET", f"/task/{world.task.waiting}")
    answer = call("root", "GET", f"/policy/decision/{id}")
    assert answer.status_code == 404
    assert isinstance(answer.json["msg"], str)


def test_the_documentation_names_the_optional_fields(call: Caller) -> None:
    document = call.app.test_client().get("/apispec_1.json").json
    error = document["components"]["schemas"]["ErrorOut"]
    assert {"decision_id", "reason"} <= error["properties"].keys()
    assert not {"decision_id", "reason"} & set(error["required"])


@pytest.fixture
def add_lines(app: Flask, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Let the policy have more lines, until the end of the test."""
    store = app.extensions["authz"].store
    before = store.folder

    def use(text: str) -> None:
        for path in before.glob("*.c*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "more.csv").write_text(text)
        store.folder = tmp_path
        with app.app_context():
            assert take_up(store), store.problem

    yield use
    store.folder = before
    with app.app_context():
        assert take_up(store), store.problem
