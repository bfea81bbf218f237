"""How large, long and deep a request may be: beyond, it is refused in words, and changes nothing."""

import json

import pytest

from tests.support import database_digest
from tests.world import average
from v6srv.api.blueprint import DEEPEST
from v6srv.wire.base import MAX_IMAGE, MAX_TEXT

sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
WIDE = "".join(map(chr, range(0x10000, 0x10000 + MAX_IMAGE)))
"""Text that no index of PostgreSQL makes shorter."""


def nested(depth):
    return "[" * depth + "]" * depth


def refused(answer, status=400):
    assert answer.status_code == status, answer.data[:300]
    assert answer.json["status"] == status
    assert answer.json["msg"]
    return answer.json["msg"]


@sqlite
@pytest.mark.parametrize("base", ["call", "call4"])
def test_a_query_is_bounded(request, base, world):
    call = request.getfixturevalue(base)
    assert "bytes" in refused(call("root", "GET", "/task", query={"name": "x" * 100_000}), 414)
    assert call("root", "GET", "/task", query={"name": "%" + "x" * 2_000}).status_code == 200


@sqlite
def test_a_header_is_no_longer_than_clients_read(call, world):
    answer = call("root", "GET", "/task", query={"page": 1, "include": "metadata", "name": "%"})
    assert answer.headers["Link"].startswith("</api/task?page=1")
    long = call(
        "root", "GET", "/task", query={"page": 1, "include": "metadata", "name": "'" * 2_000}
    )
    assert "Link" not in long.headers
    assert long.headers["total-count"] == "0"
    assert long.json["links"]["self"].startswith("/api/task?page=1")


@sqlite
@pytest.mark.parametrize("base", ["call", "call4"])
@pytest.mark.parametrize("depth", [DEEPEST + 1, 1_000, 100_000])
def test_a_body_is_nested_only_so_deeply(request, base, world, depth):
    """As an input, which 3.x writes as JSON text again, and as what is not looked at."""
    call = request.getfixturevalue(base)
    task = average(world, "north")
    call("researcher", "GET", "/task")
    before = database_digest()
    inner = '{"a":' * depth + "1" + "}" * depth
    for body in (
        json.dumps(task)[:-1] + f', "unknown": {nested(depth)}}}',
        json.dumps(task).replace('"input": ""', f'"input": {inner}'),
    ):
        sent = {"data": body, "content_type": "application/json"}
        refused(call("researcher", "POST", "/task", **sent))
    assert database_digest() == before


@sqlite
def test_what_is_nested_a_little_is_taken(call, world):
    task = average(world, "north")
    task["organizations"][0]["input"] = {"a": json.loads(nested(DEEPEST - 5))}
    assert call("researcher", "POST", "/task", json=task).status_code == 201


@sqlite
def test_only_tasks_and_results_come_in_large_bodies(call, world):
    large = "QUJD" * 500_000
    path = f"/organization/{world.org.north}"
    refused(call("root", "PATCH", path, json={"name": "north", "domain": large}), 413)
    task = average(world, "north")
    task["organizations"][0]["input"] = large
    assert call("researcher", "POST", "/task", json=task).status_code == 201
    path = f"/result/{world.result['running', 'north']}"
    assert call("north_registry", "PATCH", path, json={"result": large}).status_code == 200


@pytest.mark.parametrize("base", ["call", "call4"])
def test_what_the_database_looks_up_fits_its_index(request, base, world):
    """PostgreSQL refuses what is longer than a third of a page, with an error of its own."""
    call = request.getfixturevalue(base)
    task = {**average(world, "north"), "image": WIDE}
    assert call("researcher", "POST", "/task", json=task).status_code == 201
    name = "".join(map(chr, range(0x10000, 0x10000 + 128)))
    organization = {"name": name, "country": WIDE[:255]}
    assert call("root", "POST", "/organization", json=organization).status_code == 201
    path = f"/organization/{world.org.south}"
    before = database_digest()
    assert "image" in refused(
        call("researcher", "POST", "/task", json=task | {"image": WIDE + "x"})
    )
    for field in ("name", "domain", "address1", "country"):
        assert field in refused(call("root", "PATCH", path, json={field: WIDE * 20}))
    # One character that stands for eighteen: it is the key of the account that is looked up.
    long = {"email": "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200 + "@x.example"}
    own = f"/user/{world.user.viewer}"
    assert "email" in refused(call("viewer", "PATCH", own, json=long))
    assert database_digest() == before


@sqlite
def test_texts_are_bounded(call, world):
    for field in ("name", "description", "database"):
        task = average(world, "north") | {field: "x" * (MAX_TEXT + 1)}
        assert field in refused(call("researcher", "POST", "/task", json=task))
    task = average(world, "north") | {"description": "x" * MAX_TEXT}
    assert call("researcher", "POST", "/task", json=task).status_code == 201
    report = {"log": "x" * 100_000, "result": "x" * 100_000}
    path = f"/result/{world.result['running', 'north']}"
    assert call("north_registry", "PATCH", path, json=report).status_code == 200


def test_a_backslash_is_a_character_as_others(call, world):
    """Both databases: `%` and `_` are the only wildcards (rest.md 1.6)."""
    names = ("50%", "a_b", "axb", "back\\slash", "end\\")
    for name in names:
        body = average(world, "north") | {"name": name}
        assert call("researcher", "POST", "/task", json=body).status_code == 201

    def found(pattern):
        rows = call("researcher", "GET", "/task", query={"name": pattern}).json
        return sorted(row["name"] for row in rows)

    assert found("end\\") == ["end\\"]
    assert found("back\\slash") == ["back\\slash"]
    assert found("%\\%") == ["back\\slash", "end\\"]
    assert found("\\") == []
    assert found("50\\%") == []
    assert found("50%") == ["50%"]
    assert found("a_b") == ["a_b", "axb"]
    assert found("a\\_b") == []


ODD = {
    "not UTF-8": b'{"name": "\xff"}',
    "half a character": b'{"name": "\\ud800"}',
    "NUL": b'{"name": "a\\u0000b"}',
    "not a number": b'{"name": "x", "organization_ids": [NaN]}',
    "endless": b'{"name": "x", "organization_ids": [Infinity]}',
    "huge": b'{"name": "x", "organization_ids": [1e400]}',
    "many digits": b'{"name": "x", "organization_ids": [' + b"9" * 100_000 + b"]}",
    "digits as text": b'{"name": "x", "organization_ids": ["' + b"9" * 9_000 + b'"]}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xab\xae\x05\x00",
    "nothing": b"",
    "a list": b"[{}]",
    "a name": b"root",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "two bodies": b'{"name": "x"}{"name": "y"}',
}
TYPES = (
    "application/json",
    "application/json; charset=utf-16",
    "text/plain",
    "",
    "multipart/form-data",
)


@pytest.mark.parametrize("what", ODD)
def test_odd_bodies_are_refused(call, call4, world, what):
    targets = (
        ("POST", "/task"),
        ("POST", "/node"),
        ("PATCH", f"/collaboration/{world.collab.registry}"),
        ("POST", "/token/user"),
    )
    call("root", "GET", "/task")
    before = database_digest()
    for speak in (call, call4):
        for method, path in targets:
            who = None if "token" in path else "root"
            for kind in TYPES:
                answer = speak(who, method, path, data=ODD[what], content_type=kind)
                assert 400 <= answer.status_code < 500, (method, path, kind, answer.data)
                assert isinstance(answer.json["msg"], str)
    assert database_digest() == before


ODD_VALUES = (
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "%5c",
    "%25" * 500,
    "9" * 5_000,
    "-1",
    "1e400",
    "NaN",
    "%d9%a1",
    "0001-01-01T00:00:00%2b23:59",
    "9999-12-31T23:59:59-23:59",
    "%0d%0aX-Evil:%201",
    "[]",
)
ASKED = {
    "task": ("name", "image", "page", "sort", "include"),
    "user": ("username", "last_seen_from", "organization_id", "per_page"),
    "result": ("state", "assigned_till", "port"),
}


@pytest.mark.parametrize("value", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_odd_queries_are_answered(call, call4, world, value):
    for speak in (call, call4):
        for kind, names in ASKED.items():
            for name in names:
                answer = speak("root", "GET", f"/{kind}", query=f"{name}={value}")
                assert answer.status_code < 500, (kind, name, answer.data)
                assert "X-Evil" not in answer.headers
