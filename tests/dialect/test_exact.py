"""`/v3/api` answers as `/api` does to programs of 3.x, to the byte, but for its own name."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.databases import Databases
from tests.support import Caller, open_app
from tests.world import World

EXACT = "/v3/api"
ASKERS = ("root", "researcher", "nobody", "north_registry", "container", None)
OWN = re.compile(r'"(decision_id|request_id)":\s*"\w+"')
NO_ROUTES = ("/nothing", "", "/", "/task/", "//task", "/task//1", "/task/x", "/token/nobody")
NO_METHODS = (("DELETE", "/task"), ("PATCH", "/rule/1"), ("POST", "/task/1"), ("TRACE", "/user"))


@pytest.fixture(scope="module")
def house(databases: Databases) -> Iterator[tuple[Flask, World]]:
    with open_app(databases, "sqlite", True) as (app, world):
        assert world is not None
        yield app, world


@pytest.fixture
def both(house: tuple[Flask, World]) -> tuple[Caller, Caller]:
    return Caller(house[0]), Caller(house[0], EXACT)


def said(call: Caller, answer: TestResponse) -> tuple[Any, ...]:
    """The status, the body and the headers that name a place, without what is its own."""
    text = OWN.sub("", answer.text)
    places = [answer.headers.get(name, "") for name in ("Location", "Link", "Allow")]
    return answer.status_code, *(each.replace(f"{call.base}", "BASE") for each in (text, *places))


def test_every_get(both: tuple[Caller, Caller], house: tuple[Flask, World]) -> None:
    app, world = house
    number = str(world.org.north)
    paths = sorted(
        {
            re.sub("<[^>]+>", number, rule.rule).removeprefix("/api")
            for rule in app.url_map.iter_rules()
            if rule.rule.startswith("/api/") and "GET" in (rule.methods or ())
        }
    )
    assert len(paths) > 40
    queries = ({}, {"include": "metadata", "page": "2", "per_page": "1"})
    for path in paths:
        if path.startswith(("/metrics", "/health")):  # they change by themselves
            continue
        for query in queries:
            for who in ASKERS:
                one, other = (said(each, each(who, "GET", path, query=query)) for each in both)
                assert one == other, (who, path, query)


@pytest.mark.parametrize("path", NO_ROUTES)
def test_what_is_not_there(both: tuple[Caller, Caller], path: str) -> None:
    one, other = (said(each, each("root", "GET", path)) for each in both)
    assert one == other


@pytest.mark.parametrize(("method", "path"), NO_METHODS)
def test_what_cannot_be_done(both: tuple[Caller, Caller], method: str, path: str) -> None:
    one, other = (said(each, each("root", method, path)) for each in both)
    assert one == other


def test_what_is_wrong(both: tuple[Caller, Caller], house: tuple[Flask, World]) -> None:
    wrong: list[Any] = [[], "text", {"name": {}, "username": {}, "roles": 5}]
    routes = {
        (method, re.sub("<[^>]+>", "99999", rule.rule).removeprefix("/api"))
        for rule in house[0].url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in (rule.methods or set()) & {"POST", "PATCH", "DELETE"}
    }
    assert len(routes) > 40
    for method, path in sorted(routes):
        if (method, path) == ("POST", "/token/refresh"):
            continue
        for who in ("root", None):
            for body in wrong:
                one, other = (said(each, each(who, method, path, json=body)) for each in both)
                assert one == other, (who, method, path, body)


def test_health_is_the_same(both: tuple[Caller, Caller]) -> None:
    one, other = (each(None, "GET", "/health").json for each in both)
    assert one.keys() == other.keys()
