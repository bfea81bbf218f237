"""/policy/line: admins add lines to the policy, and every decision follows with the next request."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.api.test_matrix import survived
from tests.api.test_wrong_values import WRONG
from tests.policy_edits import look, take_up
from tests.support import Caller, counting_commits, database_digest
from tests.world import IMAGE, World
from v6srv import db
from v6srv.authz import clock
from v6srv.authz.source.live import Files, PolicyStore
from v6srv.model import CasbinRule, PolicyRevision, Task, User

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
LINE = "/policy/line"


def line(subject: str, *rest: str, effect: str = "deny", **more: Any) -> dict[str, Any]:
    """A body: `line("role:viewer", "task", "view", "r.obj.id == 1")`."""
    resource, operation, condition, *scope = (*rest, "True")[: max(3, len(rest))]
    return {
        "subject": subject,
        "resource": resource,
        "scope": scope[0] if scope else "global",
        "operation": operation,
        "condition": condition,
        "effect": effect,
        **more,
    }


def add(call: Caller, body: dict[str, Any], who: str = "root") -> Any:
    """The line as the server answers it."""
    answer = call(who, "POST", LINE, json=body)
    assert answer.status_code == 201, answer.json
    return answer.json


def remove(call: Caller, id: int, who: str = "root") -> None:
    answer = call(who, "DELETE", f"{LINE}/{id}")
    assert answer.status_code == 200, answer.json


def tasks(call: Caller, who: str) -> list[str]:
    """The names of the tasks that somebody sees, none when refused."""
    answer = call(who, "GET", "/task")
    if answer.status_code == 403:
        return []
    assert answer.status_code == 200, answer.json
    return sorted(task["name"] for task in answer.json)


OF_REGISTRY = ["failed", "finished", "running", "subtask"]


# --- a line decides the next request


def test_a_denial_takes_away_and_its_removal_gives_back(world: World, call: Caller) -> None:
    assert tasks(call, "viewer") == OF_REGISTRY
    made = add(call, line(f"user:{world.user.viewer}", "task", "view"))
    assert tasks(call, "viewer") == []
    assert call("viewer", "GET", f"/task/{world.task.running}").status_code == 403
    assert tasks(call, "researcher") == OF_REGISTRY
    remove(call, made["id"])
    assert tasks(call, "viewer") == OF_REGISTRY
    assert call("viewer", "GET", f"/task/{world.task.running}").status_code == 200


def test_an_allowance_gives_and_its_removal_takes_back(world: World, call: Caller) -> None:
    made = add(call, line(f"user:{world.user.nobody}", "task", "view", effect="allow"))
    assert len(tasks(call, "nobody")) == 6
    remove(call, made["id"])
    assert tasks(call, "nobody") == []


def test_a_change_counts_with_the_next_request(world: World, call: Caller) -> None:
    subject = f"user:{world.user.nobody}"
    made = add(call, line(subject, "task", "view", "True", "organization", effect="allow"))
    assert tasks(call, "nobody") == OF_REGISTRY
    answer = call("root", "PATCH", f"{LINE}/{made['id']}", json={"scope": "global"})
    assert answer.status_code == 200, answer.json
    assert answer.json == {**made, "scope": "global", "line": answer.json["line"]}
    assert len(tasks(call, "nobody")) == 6
    call("root", "PATCH", f"{LINE}/{made['id']}", json={"effect": "deny"})
    assert tasks(call, "nobody") == []


def test_a_member_is_put_into_a_role(world: World, call: Caller) -> None:
    made = add(call, {"ptype": "g", "member": f"org:{world.org.east}", "role": "role:root"})
    assert made["in_force"]
    assert made["line"] == f"g, org:{world.org.east}, role:root"
    assert len(tasks(call, "east_viewer")) == 6
    remove(call, made["id"])
    assert tasks(call, "east_viewer") == []


# --- conditions over facts, in lists and for single rows


@pytest.mark.parametrize(
    ("condition", "seen"),
    [
        ("glob(r.obj.image, 'registry.example/*')", OF_REGISTRY),
        ("glob(r.obj.image, 'REGISTRY.example/*')", []),
        ("!glob(r.obj.image, '*/average:?')", []),
        ("r.obj.image != 'other'", OF_REGISTRY),
    ],
)
def test_only_tasks_of_some_images_are_seen(
    world: World, call: Caller, condition: str, seen: list[str]
) -> None:
    subject = f"user:{world.user.nobody}"
    add(call, line(subject, "task", "view", condition, "organization", effect="allow"))
    assert tasks(call, "nobody") == seen
    single = call("nobody", "GET", f"/task/{world.task.running}")
    assert single.status_code == (200 if seen else 403)


def test_only_signed_images_are_started(world: World, call: Caller) -> None:
    """A denial with a pattern: the image is a fact of the task that is to be made."""
    body = {
        "name": "new",
        "image": "elsewhere/x:1",
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.north, "input": "aW5wdXQ="}],
    }
    made = add(
        call,
        line("kind:user", "task", "create", "!glob(r.obj.image, 'registry.example/*')"),
    )
    assert call("researcher", "POST", "/task", json=body).status_code == 403
    assert call("researcher", "POST", "/task", json={**body, "image": IMAGE}).status_code == 201
    remove(call, made["id"])
    assert call("researcher", "POST", "/task", json=body).status_code == 201


def test_a_line_for_one_collaboration(world: World, call: Caller) -> None:
    trial = world.collab.trial
    subject = f"user:{world.user.east_viewer}"
    add(call, line(subject, "task", "view", f"{trial} in r.obj.collabs", effect="allow"))
    assert tasks(call, "east_viewer") == ["killed", "waiting"]
    assert call("east_viewer", "GET", f"/task/{world.task.waiting}").status_code == 200
    assert call("east_viewer", "GET", f"/task/{world.task.running}").status_code == 403
    results = call("east_viewer", "GET", "/result")
    assert results.json == []


def test_a_line_for_encrypted_collaborations(world: World, call: Caller) -> None:
    add(call, line("role:root", "collaboration", "view", "r.obj.encrypted == False"))
    answer = call("second_root", "GET", "/collaboration")
    assert [row["name"] for row in answer.json] == ["trial"]
    registry = call("second_root", "GET", f"/collaboration/{world.collab.registry}")
    assert registry.status_code == 403


@pytest.mark.parametrize(
    ("condition", "who_sees"),
    [
        ("'role:viewer' in r.sub.roles", {"viewer"}),
        ("meets(r.sub.roles, ('role:viewer', 'role:org_admin'))", {"viewer", "org_admin"}),
        ("meets(r.sub.roles, ('role:viewer',)) && r.obj.id > 0", None),
        ("!('role:viewer' in r.sub.roles)", {"researcher", "org_admin", "analyst", "nobody"}),
        # Roles that are inherited: an Organization Admin is a Researcher, who is a Viewer.
        ("g(r.sub.id, 'role:viewer')", {"viewer", "researcher", "org_admin"}),
        ("g(r.sub.id, 'role:researcher') && r.obj.id != 0", {"researcher", "org_admin"}),
        ("'role:{analysts}' in r.sub.roles", {"analyst"}),
    ],
)
def test_a_line_for_those_who_have_a_role(
    world: World, call: Caller, condition: str, who_sees: set[str] | None
) -> None:
    """Everybody of an organization, by what they are besides; on lists and on single rows."""
    condition = condition.replace("{analysts}", str(world.role.analysts))
    body = line(f"org:{world.org.north}", "port", "view", condition, effect="allow")
    if who_sees is None:
        assert call("root", "POST", LINE, json=body).status_code == 400
        return
    body["resource"] = "node"
    add(call, {**body, "scope": "global"})
    for who in ("viewer", "researcher", "org_admin", "analyst", "nobody"):
        single = call(who, "GET", f"/node/{world.node.west_trial}")
        assert single.status_code == (200 if who in who_sees else 403), who
        listed = call(who, "GET", "/node")
        count = len(listed.json) if listed.status_code == 200 else 0
        assert (count == 4) is (who in who_sees), who


# --- time


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.mark.parametrize(
    ("limits", "counts"),
    [
        ({"valid_until": in_seconds(3600)}, True),
        ({"valid_until": in_seconds(-3600)}, False),
        ({"valid_from": in_seconds(-3600), "valid_until": in_seconds(3600)}, True),
        ({"valid_from": in_seconds(3600)}, False),
        ({"valid_until": "2999-12-31"}, True),
        ({"valid_from": "0001-01-01", "valid_until": "9999-12-30"}, True),
    ],
)
def test_a_line_counts_within_its_limits(
    world: World, call: Caller, limits: dict[str, str], counts: bool
) -> None:
    made = add(call, line(f"user:{world.user.nobody}", "task", "view", effect="allow", **limits))
    assert made["in_force"] is counts
    assert len(tasks(call, "nobody")) == (6 if counts else 0)
    single = call("nobody", "GET", f"/task/{world.task.running}")
    assert single.status_code == (200 if counts else 403)
    assert call("root", "GET", f"{LINE}/{made['id']}").json["in_force"] is counts


def test_a_limit_turns_between_two_requests_by_the_clock(world: World, call: Caller) -> None:
    body = line(f"user:{world.user.nobody}", "task", "view", effect="allow")
    limits = {"valid_from": "2050-01-01", "valid_until": "2050-12-31"}
    made = add(call, {**body, **limits})
    assert made["valid_from"] == "2050-01-01T00:00:00+00:00"
    assert made["valid_until"] == "2051-01-01T00:00:00+00:00"  # a day counts to its end
    for moment, counts in (
        ("2049-12-31T23:59:59", False),
        ("2050-01-01T00:00:00", True),
        ("2050-12-31T23:59:59", True),
        ("2051-01-01T00:00:00", False),
    ):
        with clock.stopped(clock.read(moment)):
            assert len(tasks(call, "nobody")) == (6 if counts else 0), moment
            assert call("root", "GET", f"{LINE}/{made['id']}").json["in_force"] is counts


def test_null_takes_a_limit_away(world: World, call: Caller) -> None:
    limits = {"valid_until": in_seconds(-60), "comment": "for the audit"}
    made = add(call, line(f"user:{world.user.nobody}", "task", "view", effect="allow", **limits))
    assert tasks(call, "nobody") == []
    changes = {"valid_until": None, "comment": None}
    answer = call("root", "PATCH", f"{LINE}/{made['id']}", json=changes)
    assert (answer.json["valid_until"], answer.json["comment"]) == (None, None)
    assert len(tasks(call, "nobody")) == 6


# --- what is shown


def test_a_line_is_shown_with_all_there_is_to_know(world: World, call: Caller) -> None:
    more = {"comment": "Für das Audit 🧬", "valid_until": "2999-01-01T12:00:00+02:00"}
    made = add(call, line("role:viewer", "task", "view", **more), who="second_root")
    id = made["id"]
    assert made == {
        "id": id,
        "origin": f"db:casbin_rule:{id}",
        "ptype": "p",
        **line("role:viewer", "task", "view"),
        "member": None,
        "role": None,
        "line": "p, role:viewer, task, global, view, True, deny",
        "valid_from": None,
        "valid_until": "2999-01-01T10:00:00+00:00",
        "in_force": True,
        "comment": "Für das Audit 🧬",
        "author": f"user:{world.user.second_root}",
        "created_at": made["created_at"],
    }
    assert call("root", "GET", f"{LINE}/{id}").json == made
    assert call("root", "GET", LINE).json == [made]
    changed = call("root", "PATCH", f"{LINE}/{id}", json={"comment": "x"}).json
    assert changed["author"] == f"user:{world.user.root}"


def test_filters_and_pages_narrow_the_list(world: World, call: Caller) -> None:
    viewer, nobody = f"user:{world.user.viewer}", f"user:{world.user.nobody}"
    a = add(call, line(viewer, "task", "view"))["id"]
    b = add(call, line(viewer, "task", "edit", effect="allow"))["id"]
    c = add(call, line(nobody, "result", "view"), who="second_root")["id"]
    d = add(call, {"ptype": "g", "member": nobody, "role": "role:viewer"})["id"]
    for query, expected in (
        ({}, [a, b, c, d]),
        ({"subject": viewer}, [a, b]),
        ({"subject": nobody}, [c, d]),
        ({"resource": "task", "operation": "edit"}, [b]),
        ({"effect": "deny"}, [a, c]),
        ({"scope": "own"}, []),
        ({"ptype": "g"}, [d]),
        ({"role": "role:viewer"}, [d]),
        ({"author": f"user:{world.user.second_root}"}, [c]),
        ({"page": 2, "per_page": 3}, [d]),
    ):
        answer = call("root", "GET", LINE, query=query)
        assert [row["id"] for row in answer.json] == expected, query


@pytest.mark.parametrize("query", [None, {"page": 1, "per_page": 5}])
def test_the_list_takes_the_same_queries_whatever_its_length(
    world: World,
    call: Caller,
    count_queries: Callable[[], AbstractContextManager[list[str]]],
    query: dict[str, int] | None,
) -> None:
    counts = []
    for size in (10, 200):
        with db.session.get_bind().begin() as connection:
            rows = [
                {"ptype": "p", "v0": f"role:r{size}_{i}", "v1": "task", "v2": "own", "v3": "view"}
                | {"v4": "True", "v5": "allow"}
                for i in range(size)
            ]
            connection.execute(CasbinRule.__table__.insert(), rows)
            connection.execute(
                PolicyRevision.__table__.update().values(lines=PolicyRevision.lines + 1)
            )
        call("root", "GET", LINE)  # follows the policy, and writes when it was last seen
        with count_queries() as statements:
            answer = call("root", "GET", LINE, query=query)
        assert answer.status_code == 200
        assert all(row["in_force"] for row in answer.json)
        counts.append(len(statements))
    assert counts == [2, 2]


# --- who may


@pytest.mark.parametrize(
    "who",
    ["collab_admin", "org_admin", "nobody", "north_registry", "container", None],
)
@SQLITE
def test_who_has_no_rule_of_policy_touches_nothing(
    world: World, call: Caller, who: str | None
) -> None:
    made = add(call, line("role:viewer", "task", "delete"))
    refused = 401 if who is None else 403
    path = f"{LINE}/{made['id']}"
    with_body = line(f"user:{world.user.nobody}", "*", "*", effect="allow")
    for method, url, body in (
        ("GET", LINE, None),
        ("GET", path, None),
        ("POST", LINE, with_body),
        ("POST", LINE, {"nonsense": 1}),
        ("PATCH", path, {"effect": "allow"}),
        ("DELETE", path, None),
        ("GET", f"{LINE}/99999", None),
    ):
        assert call(who, method, url, json=body).status_code == refused, (method, url)
    assert call("root", "GET", LINE).json == [made]


@pytest.mark.parametrize("operation", ["view", "create", "edit", "delete"])
def test_each_operation_has_a_rule_of_its_own(world: World, call: Caller, operation: str) -> None:
    made = add(call, line("role:viewer", "port", "delete"))
    subject = f"user:{world.user.nobody}"
    add(call, line(subject, "policy", operation, effect="allow"))
    path = f"{LINE}/{made['id']}"
    more = line("role:viewer", "port", "edit")
    for name, method, url, body in (
        ("view", "GET", LINE, None),
        ("view", "GET", path, None),
        ("create", "POST", LINE, more),
        ("edit", "PATCH", path, {"comment": "x"}),
        ("delete", "DELETE", path, None),
    ):
        status = call("nobody", method, url, json=body).status_code
        assert (status < 300) is (name == operation), (method, url, status)


def test_a_right_to_some_fields_only(world: World, call: Caller) -> None:
    """Who may prolong lines, and nothing else: `r.sub.changes` has the words of bodies."""
    made = add(call, line("role:viewer", "port", "delete", valid_until="2999-01-01"))
    subject = f"user:{world.user.nobody}"
    only = "within(r.sub.changes, ('valid_until',))"
    add(call, line(subject, "policy", "edit", only, effect="allow"))
    path = f"{LINE}/{made['id']}"
    for body, status in (
        ({"valid_until": "2998-01-01"}, 200),
        ({"valid_until": None}, 200),
        ({"valid_until": "2998-01-01", "effect": "allow"}, 403),
        ({"valid_until": "2998-01-01", "comment": None}, 200),  # there is none
        ({"valid_until": "2998-01-01", "comment": "x"}, 403),
        ({"subject": "role:root"}, 403),
    ):
        assert call("nobody", "PATCH", path, json=body).status_code == status, body


# --- what is refused


def refused(call: Caller, body: dict[str, Any], method: str = "POST", path: str = LINE) -> Any:
    """The refusal; the database is as it was."""
    call("root", "GET", LINE)  # writes when it was last seen
    before = database_digest()
    answer = call("root", method, path, json=body)
    assert answer.status_code == 400, answer.json
    assert isinstance(answer.json["msg"], str)
    assert database_digest() == before
    return answer.json


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"resource": "tsak"}, "resource", "did you mean task?"),
        ({"operation": "read"}, "operation", "unknown operation 'read'"),
        ({"scope": "organisation"}, "scope", "did you mean organization?"),
        ({"effect": "alow"}, "effect", "did you mean allow?"),
        ({"subject": "viewer"}, "subject", "is not a subject"),
        ({"subject": "user:999999"}, "subject", "There is no user:999999."),
        ({"subject": f"node:{10**30}"}, "subject", "There is no node:"),
        ({"subject": "org:999999"}, "subject", "There is no org:"),
        ({"subject": "rule:999999"}, "subject", "There is no rule:"),
        ({"subject": "role:999999"}, "subject", "There is no role:"),
        ({"subject": "role:4"}, "subject", "Lines call this role role:viewer."),
        ({"subject": "user:1٣"}, "subject", "is not a subject"),
        ({"condition": "r.obj.imge == 'x'"}, "condition", "did you mean image?"),
        ({"condition": "r.obj.id =="}, "condition", "cannot read"),
        ({"condition": "True) || (True"}, "condition", "cannot read"),
        ({"condition": "True) || (True", "valid_until": "2999-01-01"}, "condition", "cannot"),
        ({"condition": "r.obj.id > 3"}, "condition", "compared with"),
        ({"condition": "r.obj.id in r.sub.roles"}, "condition", "not of type"),
        ({"condition": "r.obj.id == 'x'"}, "condition", "not of type int"),
        ({"condition": "r.obj.id == 99999999999999999999"}, "condition", "larger than"),
        ({"condition": "r.obj.id in (1.5, 2)"}, "condition", "neither text nor"),
        ({"condition": "r.obj.image == 'a\\x00'"}, "condition", "holds a backslash"),
        ({"condition": "r.obj.image == 'a\x00'"}, "condition", "NUL"),
        ({"condition": "!" * 250 + "True"}, "condition", "too many levels"),
        ({"condition": "(" * 120 + "True" + ")" * 120}, None, ""),
        ({"condition": "__import__('os').system('x')"}, "condition", "unknown function"),
        ({"condition": "True\n"}, None, ""),
        ({"condition": "True\nTrue"}, "condition", "does not print"),
        ({"condition": "x" * 256}, "condition", "between 1 and 255"),
        ({"effect": None}, "effect", "Missing data"),
        ({"scope": ""}, "scope", ""),
        ({"member": "user:1"}, "member", "no such field"),
        ({"ptype": "g2"}, "ptype", ""),
        ({"ptype": "g"}, "member", "Missing data"),
        ({"valid_until": "tomorrow"}, "valid_until", "Not a date or time"),
        ({"valid_until": "9999-12-31"}, "valid_until", "Not a date or time"),
        ({"valid_from": "0001-01-01T00:00+05:00"}, "valid_from", "Not a date or time"),
        ({"valid_from": "2030-01-01", "valid_until": "2029-01-01"}, "valid_until", "Not after"),
        ({"comment": "x" * 10_001}, "comment", ""),
        ({"comment": "a\x00b"}, "comment", "NUL"),
    ],
)
def test_a_bad_line_is_refused_and_says_which_field(
    world: World, call: Caller, change: dict[str, Any], field: str | None, says: str
) -> None:
    body = {**line("role:viewer", "task", "view"), **change}
    if field is None:
        assert call("root", "POST", LINE, json=body).status_code == 201
        return
    answer = refused(call, body)
    assert says in str(answer["errors"][field]), answer
    assert field in answer["msg"]


@SQLITE
def test_a_line_is_refused_without_a_check_of_what_is_live_and_sound(
    world: World, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, assemble = [], Files.assemble
    monkeypatch.setattr(Files, "assemble", lambda *given: made.append(1) or assemble(*given))
    refused(call, line("role:viewer", "task", "view", "r.obj.nothing"))
    assert len(made) == 1
    with call.app.app_context(), db.transaction() as sess:
        sess.add(CasbinRule(ptype="p", v0="no words"))
    refused(call, line("role:viewer", "task", "view", "r.obj.nothing"))
    assert len(made) == 4, "it, the rows before it, and it without those that were bad already"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"member": "role:viewer", "role": "role:studdy"}, "role"),
        ({"member": "role:viewer", "role": "role:researcher"}, None),  # a circle
        ({"member": "user:999999", "role": "role:viewer"}, "member"),
        ({"member": "role:x", "role": "role:viewer", "valid_until": "2999-01-01"}, "valid_until"),
        ({"member": "role:x", "role": "role:viewer", "effect": "deny"}, "effect"),
    ],
)
@SQLITE
def test_a_bad_membership_is_refused(
    world: World, call: Caller, body: dict[str, Any], field: str | None
) -> None:
    answer = refused(call, {"ptype": "g", **body})
    assert field is None or field in answer["errors"], answer


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (line("role:root", "task", "view"), "root may not view task"),
        (line("kind:user", "policy", "*"), "root may not"),
        (line("kind:user", "task", "view", effect="allow"), "everybody may view every task"),
        (line("kind:user", "policy", "edit", "r.obj.id != 0"), "Nobody with the role Root"),
        (
            line("kind:user", "policy", "delete", "r.obj.id != 0", valid_from="2999-01-01"),
            "Nobody with the role Root",
        ),
        ({"ptype": "g", "member": "kind:user", "role": "role:root"}, "everybody may"),
    ],
)
def test_what_locks_root_out_or_lets_strangers_in_is_refused(
    world: World, call: Caller, body: dict[str, Any], says: str
) -> None:
    assert says in refused(call, body)["msg"]


@SQLITE
def test_no_custom_role_is_given_to_everybody(world: World, call: Caller) -> None:
    """Who may edit the role would decide for everybody."""
    role = f"role:{world.role.empty}"
    answer = refused(call, {"ptype": "g", "member": "kind:user", "role": role})
    assert f"the custom role {role}" in answer["msg"]
    answer = refused(call, {"ptype": "g", "member": "role:everyone", "role": role})
    assert "Every user" in answer["msg"]
    add(call, {"ptype": "g", "member": f"org:{world.org.east}", "role": role})


@SQLITE
def test_the_last_root_cannot_be_locked_out_by_number(world: World, call: Caller) -> None:
    first = line(f"user:{world.user.second_root}", "policy", "*")
    add(call, first)
    assert call("second_root", "GET", LINE).status_code == 403
    answer = refused(call, line(f"user:{world.user.root}", "policy", "edit"))
    assert "Nobody with the role Root" in answer["msg"]


def test_the_same_line_twice_is_a_conflict(world: World, call: Caller) -> None:
    body = line("role:viewer", "task", "delete")
    made = add(call, body)
    answer = call("root", "POST", LINE, json=body)
    assert answer.status_code == 409
    assert made["origin"] in answer.json["msg"]
    of_a_file = line("role:viewer", "user", "edit", "True", "own", effect="allow")
    answer = call("root", "POST", LINE, json=of_a_file)
    assert (answer.status_code, "default_roles.csv:" in answer.json["msg"]) == (409, True)
    later = add(call, {**body, "valid_from": "2999-01-01"})
    path = f"{LINE}/{later['id']}"
    assert call("root", "PATCH", path, json={"valid_from": None}).status_code == 409
    assert call("root", "GET", path).json == later
    assert call("root", "PATCH", f"{LINE}/{made['id']}", json=body).status_code == 200


def test_a_bad_change_is_refused_and_changes_nothing(world: World, call: Caller) -> None:
    made = add(call, line("role:viewer", "task", "delete"))
    path = f"{LINE}/{made['id']}"
    assert "resource" in refused(call, {"resource": "x"}, "PATCH", path)["errors"]
    assert "role" in refused(call, {"role": "role:root"}, "PATCH", path)["errors"]
    assert "effect" in refused(call, {"effect": None}, "PATCH", path)["errors"]
    assert (
        "everybody may"
        in refused(call, {"subject": "kind:user", "effect": "allow"}, "PATCH", path)["msg"]
    )
    assert call("root", "GET", path).json == made


def test_a_line_that_others_need_is_not_removed(world: World, call: Caller) -> None:
    grant = add(call, line("role:study", "task", "view", effect="allow"))
    member = add(call, {"ptype": "g", "member": f"user:{world.user.nobody}", "role": "role:study"})
    assert len(tasks(call, "nobody")) == 6
    answer = refused(call, {}, "DELETE", f"{LINE}/{grant['id']}")
    assert "role 'role:study' has no lines" in answer["msg"]
    remove(call, member["id"])
    remove(call, grant["id"])
    assert tasks(call, "nobody") == []


def test_a_custom_role_may_lose_its_rules_and_take_over_a_line(
    world: World, call: Caller, app: Flask
) -> None:
    """What a line says is no reason to refuse to start when a role is changed afterwards."""
    role = f"role:{world.role.empty}"
    add(call, {"ptype": "g", "member": f"user:{world.user.nobody}", "role": role})
    add(call, line(role, "task", "view", effect="allow"))
    path = f"/role/{world.role.empty}"
    rule = world.rule["task", "GLOBAL", "VIEW"]
    assert call("root", "PATCH", path, json={"rules": [rule]}).status_code == 200
    assert len(tasks(call, "nobody")) == 6
    store: PolicyStore = app.extensions["authz"].store
    assert store.problem is None
    assert call("root", "DELETE", path).status_code == 200
    with app.app_context():
        assert PolicyStore(store.folder).problem is None


def test_a_line_of_a_subject_that_is_gone_can_still_be_removed(world: World, call: Caller) -> None:
    made = add(call, line(f"user:{world.user.nobody}", "task", "view"))
    assert call("root", "DELETE", f"/user/{world.user.nobody}").status_code == 200
    path = f"{LINE}/{made['id']}"
    assert call("root", "PATCH", path, json={"comment": "gone"}).status_code == 200
    remove(call, made["id"])


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("id", ["0", "99999", "9" * 30])
@SQLITE
def test_unknown_lines(world: World, call: Caller, method: str, id: str) -> None:
    answer = call("root", method, f"{LINE}/{id}", json=None if method == "GET" else {})
    assert answer.status_code == 404
    assert isinstance(answer.json["msg"], str)


def test_fields_with_wrong_values_are_accepted_or_refused(world: World, call: Caller) -> None:
    """Never an error of the server, now or at the next request; what is refused stores nothing."""
    right = line("role:viewer", "task", "view", valid_from="2029-01-01", valid_until="2999-01-01")
    right |= {"ptype": "p", "comment": "x", "member": None, "role": None}
    made = add(call, right)

    def send(method: str, path: str, body: Any) -> TestResponse:
        data = json.dumps(body).encode()
        return call("root", method, path, data=data, content_type="application/json")

    for field in right:
        for value in WRONG:
            where = f"{field}={str(value)[:50]!r}"
            for method, path in (("POST", LINE), ("PATCH", f"{LINE}/{made['id']}")):
                with counting_commits() as commits:
                    answer = send(method, path, {**right, field: value})
                survived(answer, where)
                if answer.status_code >= 400:
                    assert commits == [], where
                if answer.status_code == 201:
                    assert call("viewer", "GET", "/task").status_code in (200, 403), where
                    remove(call, answer.json["id"])


# --- files that are not valid now


def copied(app: Flask, tmp_path: Path) -> Path:
    """A copy of the policies in use that the test may edit."""
    store: PolicyStore = app.extensions["authz"].store
    for path in store.folder.glob("*.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    store.folder = tmp_path
    assert take_up(store)
    return tmp_path


def test_a_bad_file_keeps_no_line_from_being_added_and_going_live(
    app: Flask, world: World, call: Caller, tmp_path: Path
) -> None:
    store: PolicyStore = app.extensions["authz"].store
    folder = copied(app, tmp_path)
    (folder / "local.csv").write_text("p, role:viewer, tsak, global, view, True, deny\n")
    assert not look(store)
    made = add(call, line("role:viewer", "task", "view"))
    assert tasks(call, "viewer") == []
    assert "tsak" in (store.problem or "")
    assert "resource" in refused(call, line("role:viewer", "tsak", "view"))["errors"]
    remove(call, made["id"])
    assert tasks(call, "viewer") == OF_REGISTRY
    (folder / "local.csv").unlink()
    assert look(store)
    assert store.problem is None


def test_bad_rows_of_others_keep_no_line_from_being_added(
    app: Flask, world: World, call: Caller
) -> None:
    with app.app_context():
        db.session.add(CasbinRule(ptype="p", v0="role:viewer", v1="tsak"))
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    made = add(call, line("role:viewer", "task", "view"))
    assert tasks(call, "viewer") == []
    [bad, good] = call("root", "GET", LINE).json
    assert (bad["in_force"], good["in_force"]) == (False, True)
    assert (bad["resource"], bad["scope"]) == ("tsak", None)
    remove(call, made["id"])
    remove(call, bad["id"])
    store: PolicyStore = app.extensions["authz"].store
    call("root", "GET", LINE)
    assert store.problem is None


def test_two_lines_at_once_do_not_make_a_circle(app: Flask, world: World, call: Caller) -> None:
    """Each is right by itself; the later one is checked against the earlier one."""
    for role in ("role:a", "role:b"):
        add(call, line(role, "task", "view", effect="allow"))
    token = call.token("root")
    start = threading.Barrier(2)

    def post(member: str, role: str) -> int:
        client = app.test_client()
        body = {"ptype": "g", "member": member, "role": role}
        start.wait()
        headers = {"Authorization": f"Bearer {token}"}
        path = app.config["SETTINGS"].api_path + LINE
        return client.post(path, json=body, headers=headers).status_code

    with ThreadPoolExecutor(2) as pool:
        statuses = pool.map(post, ("role:a", "role:b"), ("role:b", "role:a"))
        assert sorted(statuses) == [201, 400]


def test_a_bad_row_stays_bad_or_is_mended(app: Flask, world: World, call: Caller) -> None:
    with app.app_context():
        values = {"v0": "role:viewer", "v1": "tsak", "v2": "global", "v3": "view", "v4": "True"}
        db.session.add(CasbinRule(ptype="p", v5="deny", **values))
        db.session.get_one(PolicyRevision, 1).lines += 1
        db.session.commit()
    [bad] = call("root", "GET", LINE).json
    path = f"{LINE}/{bad['id']}"
    assert "resource" in refused(call, {"comment": "x"}, "PATCH", path)["errors"]
    assert call("root", "PATCH", path, json={"resource": "task"}).json["in_force"]
    assert tasks(call, "viewer") == []


# --- other processes


def test_a_line_of_another_process_counts_with_the_next_request(
    app: Flask, world: World, call: Caller
) -> None:
    """Two processes: this one learns from the revision it reads with the principal."""
    other = PolicyStore(app.extensions["authz"].store.folder)
    db.session.remove()
    made = add(call, line("role:viewer", "task", "view"))
    with app.app_context():
        revision = db.session.get_one(PolicyRevision, 1).lines
        assert made["origin"] in {one.origin for one in other.follow(revision).lines}
        assert db.session.get_one(User, world.user.viewer)
        assert db.session.get_one(Task, world.task.running)
