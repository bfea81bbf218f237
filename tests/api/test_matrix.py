"""Every endpoint refuses whom it should, and survives whatever it is sent. Nothing is stored."""

import json
import re
from collections.abc import Callable, Iterator

import pytest
from werkzeug.test import TestResponse

from tests.contract.routes import BY_KIND, ROUTES, Route
from tests.databases import Databases
from tests.support import Caller, database_digest, open_app, without_ids
from tests.world import World

HUGE = (2**31, 2**63, 10**30)


class House:
    """An application that only refuses, so all tests of this module can share it."""

    def __init__(self, call: Caller, world: World) -> None:
        self.call = call
        self.world = world
        for who in (*BY_KIND.values(), "nobody"):
            call(who, "GET", "/organization")  # writes when they were last seen
        self.before = database_digest()


@pytest.fixture(scope="module")
def house(backend: str, databases: Databases) -> Iterator[House]:
    with open_app(databases, backend, with_world=True) as (app, world):
        assert world is not None
        yield House(Caller(app), world)


@pytest.fixture
def unchanged(house: House) -> Iterator[House]:
    """The house, and afterwards a look whether anything in its database is different."""
    yield house
    after = database_digest()
    before, house.before = house.before, after
    assert after == before


def routes(condition: Callable[[Route], bool]) -> pytest.MarkDecorator:
    chosen = [route for route in ROUTES if condition(route)]
    return pytest.mark.parametrize("route", chosen, ids=str)


def message(answer: TestResponse) -> str:
    """`msg` of an error: a JSON object with a text, on every path (H2, H12, Q-07)."""
    body = json.loads(answer.data)
    assert isinstance(body, dict)
    assert isinstance(body["msg"], str)
    assert body["msg"]
    assert answer.content_type == "application/json"
    assert "Traceback" not in answer.text
    return str(body["msg"])


OWN = ("policy", "event", "oidc")
"""What paths begin with that are in no contract."""
OWN_PATHS = (
    "/token/logout",
    *("/user/{id}/session", "/user/{id}/session/{name}"),
    *("/user/{id}/notification", "/user/{id}/notification/{number}"),
)
"""Others that are in no contract."""


def test_the_endpoints_are_those_of_the_contract(house: House) -> None:
    """Both ways: none is missing, and none is there that the contract does not know.

    But this server's own: `/policy` and what is below it, `/event`, what is below `/health`, how
    sessions end, and who is told that tasks have ended.
    """
    served = set()
    for rule in house.call.app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", rule.rule.removeprefix("/api"))
            served |= {(method, path) for method in (rule.methods or set())}
    served = {(method, path) for method, path in served if method not in ("HEAD", "OPTIONS")}
    served = {(method, path) for method, path in served if path.split("/")[1] not in OWN}
    served = {(method, path) for method, path in served if not path.startswith("/health/")}
    served = {(method, path) for method, path in served if path not in OWN_PATHS}
    assert served == {(route.method, route.path) for route in ROUTES}
    assert len(ROUTES) == 67


# --- who


@routes(lambda route: not route.anonymous)
def test_without_a_token_it_is_401(unchanged: House, route: Route) -> None:
    answer = unchanged.call(None, route.method, route.url(unchanged.world), json={})
    assert answer.status_code == 401
    assert message(answer)


@routes(lambda route: not route.anonymous)
def test_a_forged_token_is_refused(unchanged: House, route: Route) -> None:
    headers = {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOjF9."}
    answer = unchanged.call(
        None, route.method, route.url(unchanged.world), json={}, headers=headers
    )
    assert answer.status_code == 422
    assert message(answer)


WRONG_KINDS = [
    (route, kind)
    for route in ROUTES
    for kind in BY_KIND
    if not route.anonymous and kind not in route.callers and route.path != "/token/refresh"
]


@pytest.mark.parametrize(("route", "kind"), WRONG_KINDS, ids=str)
def test_the_wrong_kind_of_principal_is_403(unchanged: House, route: Route, kind: str) -> None:
    """Q-01: of each kind the most powerful one, root included."""
    answer = unchanged.call(BY_KIND[kind], route.method, route.url(unchanged.world), json={})
    assert answer.status_code == 403
    assert message(answer)
    assert len(answer.json["decision_id"]) == 20


@routes(lambda route: "U" in route.callers and not route.free)
def test_a_user_without_any_rule_is_403(unchanged: House, route: Route) -> None:
    """On rows of the own organization; the body is not even looked at (Q-45)."""
    url = route.url(unchanged.world)
    for body in ({}, {"id": unchanged.world.task.running}):
        answer = unchanged.call("nobody", route.method, url, json=body)
        assert answer.status_code == 403
        assert message(answer)


@routes(lambda route: "U" in route.callers and not route.free and "{id}" in route.path)
def test_ids_do_not_tell_the_unpermitted_what_exists(unchanged: House, route: Route) -> None:
    """Q-45: the answer for a row that is not there is the answer for one that is."""
    there = unchanged.call("nobody", route.method, route.url(unchanged.world), json={})
    path = route.path.replace("{rule_id}", "21").replace("{id}", "999999")
    gone = unchanged.call("nobody", route.method, path, json={})
    assert gone.status_code == there.status_code
    assert without_ids(gone) == without_ids(there)


# --- what: ids and pages


@pytest.mark.parametrize("id", [0, 999999, *HUGE])
@routes(lambda route: "{id}" in route.path)
def test_unknown_ids(unchanged: House, route: Route, id: int) -> None:
    """404 for whom may do so with every row, 403 for others; never an error of the database."""
    path = route.path.replace("{rule_id}", "21").replace("{id}", str(id))
    answer = unchanged.call(route.caller(), route.method, path, json={})
    assert answer.status_code == (404 if route.caller() == "root" else 403)
    assert message(answer)


@pytest.mark.parametrize("id", [0, 999999, *HUGE])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_unknown_rule_ids(unchanged: House, method: str, id: int) -> None:
    path = f"/role/{unchanged.world.role.analysts}/rule/{id}"
    answer = unchanged.call("root", method, path)
    assert answer.status_code == 404
    assert message(answer)


@pytest.mark.parametrize("id", ["x", "1.5", "-1", "%00", "1%00"])
@routes(lambda route: "{id}" in route.path)
def test_ids_that_are_no_numbers_match_no_path(unchanged: House, route: Route, id: str) -> None:
    path = route.path.replace("{rule_id}", "21").replace("{id}", id)
    answer = unchanged.call(route.caller(), route.method, path, json={})
    assert answer.status_code in (403, 404)
    assert message(answer)


@pytest.mark.parametrize("name", ["page", "per_page"])
@routes(lambda route: route.paged)
def test_bad_page_numbers(unchanged: House, route: Route, name: str) -> None:
    """Q-06, Q-13."""
    url = route.url(unchanged.world)
    for value in ("0", "-1", "abc", "1.5", "1e3", str(10**30), "1 ", "\x00", "²", "True"):
        answer = unchanged.call(route.caller(), "GET", url, query={"page": "1", name: value})
        assert answer.status_code == 400, value
        assert message(answer)


@routes(lambda route: route.paged)
def test_a_page_past_the_end_is_empty(unchanged: House, route: Route) -> None:
    answer = unchanged.call(
        route.caller(), "GET", route.url(unchanged.world), query={"page": 10**6}
    )
    assert (answer.status_code, answer.json) == (200, [])
    assert answer.headers["total-count"].isdecimal()


STRANGE = (
    *("", " ", "abc", "-1", "0", "1.5", "True", "null", "[]", "'", '"; --', "%", "_", "\\"),
    *("\x00", "a\x00b", "\U0001f9ec", "\u202e", "e\u0301" * 300, "\ufffe", "9" * 40),
    *(str(number) for number in HUGE),
    *("2024-02-30", "2024-01-01", "99999-01-01", "0000-00-00", "2024-01-01T00:00:00+99:99"),
)


@routes(lambda route: route.method == "GET")
def test_strange_filters(unchanged: House, route: Route) -> None:
    """Every documented query parameter with values that nobody expects."""
    url = route.url(unchanged.world)
    names = {*_query_parameters(unchanged, route), "include", "unknown"}
    for name in sorted(names):
        for value in STRANGE:
            answer = unchanged.call(route.caller(), "GET", url, query={name: value})
            survived(answer, f"{name}={value!r}")


def _query_parameters(house: House, route: Route) -> set[str]:
    document = house.call.client.get("/apispec_1.json").json
    operation = document["paths"][f"/api{route.path}"][route.method.lower()]
    return {one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"}


def survived(answer: TestResponse, what: str) -> None:
    # 501 and 503 are answers of the contract: no VPN server, no database.
    assert answer.status_code < 500 or (answer.status_code, "VPN" in answer.text) == (501, True), (
        what
    )
    if answer.status_code >= 400:
        assert message(answer)


# --- what: bodies

NO_OBJECTS = {
    "cut off": b'{"id": ',
    "list": b"[]",
    "list of objects": b'[{"id": 1}]',
    "text": b'"text"',
    "number": b"1",
    "null": b"null",
    "nothing": b"",
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "not a number": b'{"id": NaN}',
    "deep list": b"[" * 100_000,
    "deep object": b'{"id": ' * 5_000 + b"1" + b"}" * 5_000,
    "NUL": b"\x00",
}


@pytest.mark.parametrize("body", NO_OBJECTS.values(), ids=NO_OBJECTS.keys())
@routes(lambda route: route.body)
def test_bodies_that_are_no_json_objects(unchanged: House, route: Route, body: bytes) -> None:
    """Also a list where an object belongs (Q-06)."""
    answer = unchanged.call(
        route.caller(),
        route.method,
        route.url(unchanged.world),
        data=body,
        content_type="application/json",
    )
    if body == NO_OBJECTS["deep object"] and answer.status_code < 300:
        assert route.method == "PATCH", "an object without a known field: nothing is changed"
        return
    assert 400 <= answer.status_code < 500
    assert message(answer)


@routes(lambda route: route.body)
def test_bodies_of_another_content_type(unchanged: House, route: Route) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = unchanged.call(
            route.caller(),
            route.method,
            route.url(unchanged.world),
            data=b"id=1",
            content_type=content_type,
        )
        assert 400 <= answer.status_code < 500, content_type
        assert message(answer)
