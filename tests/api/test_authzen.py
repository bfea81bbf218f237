"""AuthZEN 1.0: its decisions are the Authorizer's, its searches those of its decisions."""

import itertools
from collections import defaultdict
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from tests.support import Caller
from tests.world import World
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import MODELS
from v6srv.db import session
from v6srv.identity import principals
from v6srv.policy.who import authzen
from v6srv.vocabulary import Operation

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
OPERATIONS = [operation.value for operation in Operation]


class Pdp:
    """Sends requests to the endpoints at the root of the server."""

    def __init__(self, call: Caller) -> None:
        self.call = call

    def __call__(
        self, path: str, body: Any = None, who: str | None = "root", **more: Any
    ) -> TestResponse:
        headers = {**more.pop("headers", {})}
        if who:
            headers["Authorization"] = f"Bearer {self.call.token(who)}"
        return self.call.client.post(f"/access/v1/{path}", json=body, headers=headers, **more)


@pytest.fixture
def pdp(call: Caller) -> Pdp:
    return Pdp(call)


def subject(kind: str, id: object) -> dict[str, str]:
    return {"type": kind, "id": str(id)}


def asked(who: dict[str, str], act: str, what: dict[str, Any]) -> dict[str, Any]:
    return {"subject": who, "action": {"name": act}, "resource": what}


# --- the same answers


def test_evaluations_are_the_decisions_of_the_authorizer(
    app: Flask, world: World, pdp: Pdp
) -> None:
    authz: Authorizer = app.extensions["authz"]
    rows = []
    with app.app_context():
        people = [one.principal for one in (*principals.everyone(), *principals.containers())]
        expected = []
        for resource, model in MODELS.items():
            for row in session.scalars(select(model)):
                rows.append((resource.value, row.id))
                expected += [
                    authz.decide(one, resource, operation, row).allowed
                    for operation, one in itertools.product(Operation, people)
                ]
    whom = [subject(*one.id.split(":")) for one in people]
    bodies = [
        asked(one, act, {"type": type_, "id": str(id)})
        for (type_, id), act, one in itertools.product(rows, OPERATIONS, whom)
    ]
    assert len(bodies) > 6_000
    decisions = []
    for start in range(0, len(bodies), 1000):
        answer = pdp("evaluations", {"evaluations": bodies[start : start + 1000]})
        assert answer.status_code == 200
        decisions += [one["decision"] for one in answer.json["evaluations"]]
    assert decisions == expected
    assert {True, False} == set(decisions)


def test_searches_find_what_evaluations_allow(
    app: Flask, world: World, pdp: Pdp, backend: str
) -> None:
    """Of all rows on SQLite; statements are those of the kind of row, so two of each elsewhere."""
    authz: Authorizer = app.extensions["authz"]
    with app.app_context():
        policy = authz.policy
        people = [one.principal for one in (*principals.everyone(), *principals.containers())]
        whom = [subject(*one.id.split(":")) for one in people]
        ids = {
            resource.value: [*session.scalars(select(model.id).order_by(model.id))]
            for resource, model in MODELS.items()
        }
        rows = [subject(type_, id) for type_, several in ids.items() for id in several]
        cases = list(itertools.product(whom, OPERATIONS, rows))
        answers = authzen.evaluations(policy, [asked(*case) for case in cases])
        allowed = [case for case, answer in zip(cases, answers, strict=True) if answer.decision]
        subjects, resources, actions = (defaultdict[str, list[Any]](list) for _ in range(3))
        for one, act, row in allowed:
            subjects[f"{one['type']} {act} {row}"].append(one)
            resources[f"{one} {act} {row['type']}"].append(row)
            actions[f"{one} {row}"].append({"name": act})
        types = sorted({row["type"] for row in rows})
        if backend != "sqlite":
            rows = [subject(type_, id) for type_, several in ids.items() for id in several[:2]]
        for act, row, kind in itertools.product(OPERATIONS, rows, ("user", "node", "container")):
            found = authzen.search_subjects(policy, asked({"type": kind}, act, row))
            expected = subjects[f"{kind} {act} {row}"]
            assert list(found.results) == sorted(expected, key=lambda one: int(one["id"]))
        for act, one, type_ in itertools.product(OPERATIONS, whom, types):
            found = authzen.search_resources(policy, asked(one, act, {"type": type_}))
            assert list(found.results) == resources[f"{one} {act} {type_}"]
        for one, row in itertools.product(whom, rows):
            found = authzen.search_actions(policy, {"subject": one, "resource": row})
            assert list(found.results) == actions[f"{one} {row}"]


# --- answers over HTTP


@SQLITE
def test_an_evaluation_says_why(world: World, pdp: Pdp) -> None:
    viewer = subject("user", world.user.viewer)
    here = pdp("evaluation", asked(viewer, "view", subject("task", world.task.running)))
    there = pdp("evaluation", asked(viewer, "view", subject("task", world.task.waiting)))
    never = pdp("evaluation", asked(viewer, "delete", subject("task", world.task.running)))
    assert here.json["decision"] is True
    [line] = here.json["context"]["lines"]
    assert line.startswith("default_roles.csv:")
    assert here.json["context"]["reason"] == f"allowed by {line}"
    assert len(here.json["context"]["policy"]) == 12
    assert there.json["decision"] is False
    assert there.json["context"]["lines"] == []
    assert "does not reach" in there.json["context"]["reason"]
    assert "nothing grants" in never.json["context"]["reason"]
    me = asked(subject("user", 1), "edit", subject("user", 1))
    me["action"]["properties"] = {"changes": ["roles"]}
    forbidden = pdp("evaluation", me).json
    assert forbidden["decision"] is False
    assert forbidden["context"]["reason"].startswith("forbidden by default_roles.csv:")


@SQLITE
@pytest.mark.parametrize(
    ("who", "act", "what", "status"),
    [
        ({"type": "user", "id": "9999"}, "view", {"type": "task", "id": "1"}, 404),
        ({"type": "user", "id": "alice"}, "view", {"type": "task", "id": "1"}, 404),
        ({"type": "user", "id": "01"}, "view", {"type": "task", "id": "1"}, 404),
        ({"type": "user", "id": "2"}, "view", {"type": "task", "id": "1"}, 404),  # it is a node
        ({"type": "node", "id": "1"}, "view", {"type": "task", "id": "1"}, 404),  # it is a user
        ({"type": "spaceship", "id": "1"}, "view", {"type": "task", "id": "1"}, 400),
        ({"type": "user", "id": "1"}, "look", {"type": "task", "id": "1"}, 400),
        ({"type": "user", "id": "1"}, "view", {"type": "record", "id": "1"}, 400),
        ({"type": "user", "id": "1"}, "view", {"type": "task", "id": "9999"}, 404),
        ({"type": "user", "id": "1"}, "view", {"type": "task", "id": "9" * 400}, 404),
        ({"type": "user", "id": "1"}, "view", {"type": "event", "id": "1"}, 404),
        (
            {"type": "user", "id": "1"},
            "view",
            {"type": "task", "id": "", "properties": {"x": 1}},
            400,
        ),
    ],
)
def test_what_is_not_known_is_denied_with_the_reason(
    world: World, pdp: Pdp, who: Any, act: str, what: Any, status: int | None
) -> None:
    answer = pdp("evaluation", asked(who, act, what))
    assert answer.status_code == 200
    assert answer.json["decision"] is False
    assert answer.json["context"].get("error", {}).get("status") == status
    assert answer.json["context"]["reason"]


@SQLITE
def test_the_database_is_believed_and_not_the_caller(world: World, pdp: Pdp) -> None:
    viewer = {**subject("user", world.user.viewer), "properties": {"roles": ["root"], "org": 1}}
    task = {
        **subject("task", world.task.waiting),
        "properties": {"orgs": [world.org.north], "department": "Sales"},
    }
    body = {**asked(viewer, "view", task), "context": {"time": "1985-10-26T01:22-07:00"}}
    answer = pdp("evaluation", {**body, "futureField": {"nested": True}})
    assert (answer.status_code, answer.json["decision"]) == (200, False)


@SQLITE
def test_without_an_id_it_is_a_row_that_does_not_exist_or_the_whole(world: World, pdp: Pdp) -> None:
    viewer = subject("user", world.user.viewer)

    def decision(who: Any, type_: str, **properties: Any) -> bool:
        what = {"type": type_, "id": "", **({"properties": properties} if properties else {})}
        answer = pdp("evaluation", asked(who, "view", what)).json["decision"]
        assert isinstance(answer, bool)
        return answer

    assert decision(viewer, "task", orgs=[world.org.north])
    assert not decision(viewer, "task", orgs=[world.org.west])
    assert not decision(viewer, "policy")
    assert decision(subject("user", 1), "policy")


# --- several questions


def batch(world: World, **more: Any) -> dict[str, Any]:
    tasks = [world.task.running, world.task.waiting, world.task.finished]
    return {
        "subject": subject("user", world.user.viewer),
        "action": {"name": "view"},
        "evaluations": [{"resource": subject("task", id)} for id in tasks],
        **more,
    }


@SQLITE
@pytest.mark.parametrize(
    ("semantic", "decisions"),
    [
        (None, [True, False, True]),
        ("execute_all", [True, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
def test_several_questions_share_what_they_have_in_common(
    world: World, pdp: Pdp, semantic: str | None, decisions: list[bool]
) -> None:
    options = {"options": {"evaluations_semantic": semantic}} if semantic else {}
    answer = pdp("evaluations", batch(world, **options))
    assert answer.status_code == 200
    assert "decision" not in answer.json
    assert [one["decision"] for one in answer.json["evaluations"]] == decisions


@SQLITE
def test_parts_are_replaced_as_a_whole_but_for_required_keys(world: World, pdp: Pdp) -> None:
    body = {
        "subject": subject("user", world.user.viewer),
        "action": {"name": "view"},
        "resource": {"type": "task", "properties": {"orgs": [world.org.west]}},
        "evaluations": [
            {"resource": {"id": str(world.task.running)}},
            {"resource": {"id": "", "properties": {"orgs": [world.org.north]}}},
            {"action": {"name": "delete"}, "resource": subject("task", world.task.running)},
            {"subject": subject("user", 1), "resource": subject("task", world.task.waiting)},
        ],
    }
    answer = pdp("evaluations", body)
    assert [one["decision"] for one in answer.json["evaluations"]] == [True, True, False, True]


@SQLITE
def test_a_question_that_cannot_be_read_is_denied_alone(world: World, pdp: Pdp) -> None:
    body = batch(world)
    body["evaluations"][1:2] = [{}, {"resource": "task"}, {"resource": {"type": "task", "id": 7}}]
    answer = pdp("evaluations", body)
    assert answer.status_code == 200
    found = answer.json["evaluations"]
    assert [one["decision"] for one in found] == [True, False, False, False, True]
    assert [one["context"]["error"]["status"] for one in found[1:4]] == [400, 400, 400]
    assert "resource" in found[1]["context"]["error"]["message"]


@SQLITE
@pytest.mark.parametrize("evaluations", [{}, {"evaluations": []}])
def test_without_several_questions_there_is_one_answer(
    world: World, pdp: Pdp, evaluations: Any
) -> None:
    body = asked(subject("user", 1), "view", subject("task", world.task.running))
    answer = pdp("evaluations", {**body, **evaluations})
    assert answer.status_code == 200
    assert answer.json["decision"] is True
    assert "evaluations" not in answer.json
    del body["action"]
    assert pdp("evaluations", {**body, **evaluations}).status_code == 400


@SQLITE
def test_too_many_questions_are_refused(pdp: Pdp) -> None:
    assert pdp("evaluations", {"evaluations": [{}] * 1001}).status_code == 400


# --- searches


@SQLITE
def test_searches_come_in_pages(world: World, pdp: Pdp) -> None:
    search = asked({"type": "user"}, "view", subject("task", world.task.running))
    everyone = pdp("search/subject", search).json
    assert everyone["page"] == {
        "next_token": "",
        "count": len(everyone["results"]),
        "total": len(everyone["results"]),
    }
    pages, token = [], None
    for _ in range(20):
        page = {"token": token} if token else {"limit": 2}
        found = pdp("search/subject", {**search, "page": page}).json
        pages.append(found["results"])
        assert found["page"]["total"] == len(everyone["results"])
        assert found["page"]["count"] == len(found["results"]) <= 2
        token = found["page"]["next_token"]
        if not token:
            break
    assert [*itertools.chain(*pages)] == everyone["results"]
    assert len(pages) > 3


@SQLITE
def test_rows_come_in_pages(world: World, pdp: Pdp) -> None:
    search = asked(subject("user", 1), "view", {"type": "task", "id": "ignored"})
    first = pdp("search/resource", {**search, "page": {"limit": 4}}).json
    token = first["page"]["next_token"]
    rest = pdp("search/resource", {**search, "page": {"token": token, "limit": 4}}).json
    ids = [int(one["id"]) for one in first["results"] + rest["results"]]
    assert ids == sorted(vars(world.task).values())
    assert rest["page"]["next_token"] == ""
    nothing = pdp("search/resource", {**search, "page": {"limit": 0}}).json
    assert (nothing["results"], nothing["page"]["total"]) == ([], 6)
    assert nothing["page"]["next_token"]


@SQLITE
def test_a_token_is_good_for_its_own_search_only(world: World, pdp: Pdp) -> None:
    search = asked(subject("user", 1), "view", {"type": "task"})
    token = pdp("search/resource", {**search, "page": {"limit": 1}}).json["page"]["next_token"]
    other = asked(subject("user", 1), "edit", {"type": "task"})
    for body, page in (
        (other, {"token": token}),
        (search, {"token": token, "limit": 2}),
        (search, {"token": token[:-4]}),
        (search, {"token": "garbage"}),
        (search, {"token": "W10="}),
        (search, {"token": "é"}),
        (search, {"limit": -1}),
        (search, {"limit": 1.5}),
        (search, {"limit": "2"}),
    ):
        answer = pdp("search/resource", {**body, "page": page})
        assert answer.status_code == 400, page
        assert isinstance(answer.json["msg"], str)
    assert pdp("search/resource", {**search, "page": {"token": token}}).status_code == 200


@SQLITE
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("subject", asked({"type": "spaceship"}, "view", subject("task", 1))),
        ("subject", asked({"type": "user"}, "look", subject("task", 1))),
        ("subject", asked({"type": "user"}, "view", subject("record", 1))),
        ("subject", asked({"type": "user"}, "view", subject("task", 9999))),
        ("resource", asked(subject("user", "nobody"), "view", {"type": "task"})),
        ("resource", asked(subject("user", 1), "view", {"type": "record"})),
        ("resource", asked(subject("user", 1), "view", {"type": "event"})),
        ("action", {"subject": subject("user", "nobody"), "resource": subject("task", 1)}),
        ("action", {"subject": subject("user", 1), "resource": subject("record", 1)}),
    ],
)
def test_what_is_not_known_finds_nothing(world: World, pdp: Pdp, path: str, body: Any) -> None:
    answer = pdp(f"search/{path}", body)
    assert answer.status_code == 200
    assert answer.json["results"] == []


# --- who may ask, and how


GOOD = asked(subject("user", 1), "view", subject("task", 1))
PATHS = (
    ("evaluation", GOOD),
    ("evaluations", GOOD),
    ("search/subject", GOOD),
    ("search/resource", GOOD),
    ("search/action", GOOD),
)


@SQLITE
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_only_who_may_view_the_policy_asks(world: World, pdp: Pdp, path: str, body: Any) -> None:
    assert pdp(path, body, "second_root").status_code == 200
    for who, status in (
        ("collab_admin", 403),
        ("north_registry", 403),
        ("container", 403),
        (None, 401),
    ):
        answer = pdp(path, body, who, headers={"X-Request-ID": "abc"})
        assert answer.status_code == status
        assert isinstance(answer.json["msg"], str)
        assert answer.headers["X-Request-ID"] == "abc"


@SQLITE
def test_an_answer_bears_the_id_of_its_request(world: World, pdp: Pdp) -> None:
    with_id = pdp("evaluation", GOOD, headers={"X-Request-ID": "bfe9eb29 ÿ"})
    assert with_id.headers["X-Request-ID"] == "bfe9eb29 ÿ"
    made_up = [pdp("evaluation", GOOD).headers["X-Request-ID"] for _ in range(2)]
    assert len(set(made_up)) == 2


@SQLITE
@pytest.mark.parametrize(("path", "body"), PATHS[:1] + PATHS[2:])
def test_required_keys_are_required(world: World, pdp: Pdp, path: str, body: Any) -> None:
    needed = {
        "evaluation": ("subject.type", "subject.id", "action.name", "resource.type", "resource.id"),
        "search/subject": ("subject.type", "action.name", "resource.type", "resource.id"),
        "search/resource": ("subject.type", "subject.id", "action.name", "resource.type"),
        "search/action": ("subject.type", "subject.id", "resource.type", "resource.id"),
    }[path]
    for name in needed:
        part, key = name.split(".")
        without = {k: v for k, v in body[part].items() if k != key}
        for wrong in (without, {**without, key: 7}, "alice", None, []):
            answer = pdp(path, {**body, part: wrong})
            assert answer.status_code == 400, (name, wrong)
            assert isinstance(answer.json["msg"], str)
        answer = pdp(path, {k: v for k, v in body.items() if k != part})
        assert answer.status_code == 400, name


@SQLITE
@pytest.mark.parametrize(
    "sent",
    [
        {"data": b"", "content_type": "application/json"},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"[]", "content_type": "application/json"},
        {"data": b"{}", "content_type": "text/plain"},
        {"data": b'{"subject":' * 2000, "content_type": "application/json"},
    ],
)
def test_a_body_that_is_no_json_object_is_refused(world: World, pdp: Pdp, sent: Any) -> None:
    for path, _ in PATHS:
        answer = pdp(path, **sent)
        assert answer.status_code == 400
        assert isinstance(answer.json["msg"], str)


@SQLITE
def test_deep_nests_break_nothing(world: World, pdp: Pdp) -> None:
    nest = b'{"a":' * 400 + b"1" + b"}" * 400
    body = (
        b'{"subject":{"type":"user","id":"1"},"action":{"name":"view"},'
        b'"resource":{"type":"task","id":"","properties":' + nest + b"}}"
    )
    for path, _ in PATHS:
        assert pdp(path, data=body, content_type="application/json").status_code in (200, 400)


@SQLITE
def test_everybody_finds_the_endpoints(app: Flask, world: World) -> None:
    client = app.test_client()
    answer = client.get("/.well-known/authzen-configuration", base_url="https://pdp.example")
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json["policy_decision_point"] == "https://pdp.example"
    endpoints = {name: url for name, url in answer.json.items() if name.endswith("_endpoint")}
    assert len(endpoints) == 5
    for url in endpoints.values():
        assert client.post(url.removeprefix("https://pdp.example"), json={}).status_code == 401
