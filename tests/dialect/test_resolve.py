"""Which dialect a request speaks, as far as the request alone tells (mixed.md 2 of 4.x)."""

import base64
import json

import pytest

from v6srv.dialect import resolve
from v6srv.dialect.resolve import Resolver

OLD, NEW = "python-requests/2.31.0", "python-requests/2.32.3"

ONLY_4 = [
    ("GET", "/run"),
    ("PATCH", "/run/1"),
    ("GET", "/study"),
    ("POST", "/algorithmstore"),
    ("GET", "/blobstream/status"),
    ("POST", "/column"),
    ("GET", "/task/1/status"),
    ("POST", "/token/user/validate"),
    ("DELETE", "/organization/1"),
    ("GET", "/task?sort=id"),
    ("GET", "/task?page=1&is_user_created=1"),
    ("GET", "/task/1?include=runs"),
    ("GET", "/rule?no_pagination=1"),
    ("GET", "/user/1?include_permissions=true"),
    ("DELETE", "/role/1?delete_dependents=True"),
    ("GET", "/organization?ids=1&ids=2"),
]
ONLY_3 = [
    ("GET", "/task/1/result"),
    ("GET", "/organization/1/collaboration"),
    ("GET", "/organization/1/node"),
    ("GET", "/collaboration/1/organization"),
    ("GET", "/collaboration/1/node"),
    ("GET", "/collaboration/1/task"),
    ("GET", "/role/1/rule"),
    ("GET", "/port"),
    ("PATCH", "/result/1"),
    ("GET", "/task?include=metadata&page=1"),
    ("GET", "/task?initiator_id=1"),
    ("GET", "/task?result_id=1"),
    ("GET", "/result?state=open&include=task"),
]
BOTH = [
    ("GET", "/task/1"),
    ("GET", "/result?task_id=1"),
    ("GET", "/role?page=1&per_page=10"),
    ("POST", "/collaboration/1/organization"),
    ("DELETE", "/collaboration/1/node"),
    ("POST", "/role/1/rule/2"),
    ("GET", "/task?include=results"),
    ("GET", "/task?include=task"),
    ("GET", "/result/1?name=sort"),
    ("POST", "/port"),
    ("GET", "/version"),
    ("GET", ""),
    ("GET", "/"),
]


def bearer(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"Bearer head.{body}.signature"


def resolved(
    method: str,
    path: str,
    agent: str | None = None,
    token: str | None = None,
    resolver: Resolver | None = None,
) -> int:
    environ = {"REQUEST_METHOD": method, "QUERY_STRING": path.partition("?")[2]}
    if agent is not None:
        environ["HTTP_USER_AGENT"] = agent
    if token is not None:
        environ["HTTP_AUTHORIZATION"] = token
    return (resolver or Resolver()).dialect_of(environ, path.partition("?")[0])


@pytest.mark.parametrize(("dialect", "other", "requests"), [(4, 3, ONLY_4), (3, 4, ONLY_3)])
def test_what_only_one_generation_sends_decides_for_its_request(dialect, other, requests):
    agent = {3: OLD, 4: NEW}[other]
    for method, path in requests:
        assert resolved(method, path) == dialect, path
        assert resolved(method, path, agent, bearer({"dialect": other})) == dialect, path


@pytest.mark.parametrize(("method", "path"), BOTH)
def test_else_the_token_remembers_the_login(method, path):
    assert resolved(method, path, OLD, bearer({"dialect": 4})) == 4
    assert resolved(method, path, NEW, bearer({"dialect": 3})) == 3
    assert resolved(method, path, NEW, bearer({"sub": 1})) == 3, "a token of an earlier release"


@pytest.mark.parametrize(
    ("agent", "dialect"),
    [
        (OLD, 3),
        ("python-requests/2.9.1", 3),
        (NEW, 4),
        ("python-requests/2.33.1", 4),
        ("python-requests/3.0", 4),
        ("python-requests/", 3),
        ("curl/8.0", 3),
        ("Mozilla/5.0 (python-requests/2.33.1)", 3),
        ("", 3),
        (None, 3),
    ],
)
def test_without_a_token_the_library_tells(agent, dialect):
    assert resolved("POST", "/token/user", agent) == dialect


@pytest.mark.parametrize(
    "token",
    [
        "",
        "Bearer",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer a.\x00.c",
        "Bearer a.\xff\xfe.c",
        bearer([4]),
        bearer("dialect"),
        bearer(None),
        bearer({"dialect": "4"}),
        bearer({"dialect": True}),
        bearer({"dialect": {"4": 4}}),
        bearer({"dialect": 5}),
        "Bearer a." + base64.urlsafe_b64encode(b"[" * 5000).decode() + ".c",
    ],
)
def test_a_strange_token_is_for_others_to_refuse(token):
    assert resolved("GET", "/task/1", OLD, token) == 3


def test_a_strange_query_is_none_of_these():
    for query in (
        "&&&=",
        "sort",
        "%73ort=id",
        "include",
        "include=&include=metadata%20",
        "a" * 9999,
    ):
        assert resolved("GET", f"/result?{query}", OLD) in (3, 4)
    assert resolved("GET", "/result?=sort", OLD, bearer({"dialect": 4})) == 4


def test_what_a_session_shows_holds_for_the_rest_of_it():
    """The library told the wrong generation at the login (4.0 to 4.8 come with that of 3.x)."""
    resolver = Resolver()
    mine, other = bearer({"sid": "mine"}), bearer({"sid": "other"})
    assert resolved("GET", "/task/1", token=mine, resolver=resolver) == 3
    assert resolved("GET", "/task/1/status", token=mine, resolver=resolver) == 4
    assert resolved("GET", "/task/1", token=mine, resolver=resolver) == 4
    assert resolved("POST", "/token/refresh", token=mine, resolver=resolver) == 4
    assert resolved("GET", "/task/1", token=other, resolver=resolver) == 3
    assert resolved("GET", "/task?include=metadata", token=mine, resolver=resolver) == 3
    assert resolved("GET", "/task/1", token=mine, resolver=resolver) == 3


def test_made_up_sessions_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(resolve, "MOST_SWITCHED", 3)
    resolver = Resolver()
    for number in range(10):
        token = bearer({"sid": f"session {number}"})
        assert resolved("GET", "/run", token=token, resolver=resolver) == 4
    assert len(resolver._switched) == 3
    assert resolved("GET", "/task/1", token=token, resolver=resolver) == 4
    for sid in (None, 7, ["sid"], "x" * 10_000):
        token = bearer({"sid": sid})
        assert resolved("GET", "/run", token=token, resolver=resolver) == 4
        assert resolved("GET", "/task/1", token=token, resolver=resolver) == 3
