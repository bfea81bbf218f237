"""Readiness, liveness and standing problems, beside the contract's /health."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from flask import Flask

from tests.databases import Databases
from tests.support import Caller, database_away, open_app
from v6srv import problems
from v6srv.service import health

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

READY = {"ready": True, "reasons": []}


@pytest.fixture
def away(app: Flask) -> Iterator[None]:
    """The database cannot be used."""
    with database_away():
        yield


@pytest.fixture
def problem() -> Iterator[str]:
    text = "the queue cannot be reached"
    problems.begin("test", text, "a cause that only the log knows")
    yield text
    problems.end("test")


def test_a_server_that_can_work_is_ready_and_alive(call: Caller) -> None:
    for method in ("GET", "HEAD"):
        assert call(None, method, "/health/ready").status_code == 200
        assert call(None, method, "/health/live").status_code == 200
    assert call(None, "GET", "/health/ready").json == READY
    assert call(None, "GET", "/health/live").json == {"live": True}


def test_without_its_database_it_is_alive_and_not_ready(call: Caller, away: None) -> None:
    answer = call(None, "GET", "/health/ready")
    assert answer.status_code == 503
    assert answer.json == {"ready": False, "reasons": ["the database cannot be used"]}
    assert call(None, "GET", "/health/live").status_code == 200


def test_to_be_alive_asks_nothing(
    call: Caller, count_queries: Callable[[], AbstractContextManager[list[str]]]
) -> None:
    with count_queries() as statements:
        call(None, "GET", "/health/live")
    assert statements == []


def test_a_server_that_stops_wants_no_requests_and_answers_them(call: Caller) -> None:
    health.stopping()
    try:
        answer = call(None, "GET", "/health/ready")
        assert (answer.status_code, answer.json["reasons"]) == (503, ["the server is stopping"])
        assert call(None, "GET", "/health/live").status_code == 200
        assert call(None, "GET", "/health").json == {"database": True}
    finally:
        health.stopping(False)
    assert call(None, "GET", "/health/ready").json == READY


def test_a_standing_problem_is_told_and_does_not_stop_requests(call: Caller, problem: str) -> None:
    assert call(None, "GET", "/health").json == {"database": True, "problems": [problem]}
    assert call(None, "GET", "/health/ready").json == READY
    problems.end("test")
    assert call(None, "GET", "/health").json == {"database": True}


def test_metrics_name_standing_problems(databases: Databases, backend: str, problem: str) -> None:
    with open_app(databases, backend, False, metrics=True) as (app, _):
        call = Caller(app)
        assert f'standing_problem{{problem="{problem}"}} 1.0' in call(None, "GET", "/metrics").text
        problems.end("test")
        assert "standing_problem{" not in call(None, "GET", "/metrics").text
