"""/metrics: numbers for Prometheus, only where they are asked for."""

from collections.abc import Iterator

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.databases import Databases
from tests.support import Caller, counting, database_away, open_app

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def counted(databases: Databases, backend: str) -> Iterator[Caller]:
    """A server with the world of the tests that counts what it does."""
    with open_app(databases, backend, True, metrics=True) as (app, _):
        yield Caller(app)


def _numbers(call: Caller) -> dict[str, float]:
    answer = call(None, "GET", "/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_decisions_and_the_policy_are_counted(counted: Caller) -> None:
    store = counted.app.extensions["authz"].store
    before = _numbers(counted)
    assert before[f"policy_info {store.live.version}"] == 1
    assert before["policy_lines"] == len(store.live.lines)
    assert before["policy_problems"] == 0
    assert before["policy_shadow_active"] == 0
    assert before["decision_log_problem"] == 0
    counted("nobody", "GET", "/task")
    counted("viewer", "GET", "/task")
    counted("viewer", "GET", "/task")
    after = _numbers(counted)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more("policy_decisions_total deny view task") == 1
    assert more("policy_decisions_total allow view task") == 2
    assert more("policy_decision_seconds_count") == 3
    assert more("http_requests_total GET /api/task 200") == 2
    assert more("http_requests_total GET /api/task 403") == 1
    assert more("http_request_duration_seconds_count GET /api/task") == 3
    assert "viewer" not in counted(None, "GET", "/metrics").text


def test_a_path_that_somebody_made_up_is_no_label(counted: Caller) -> None:
    counted(None, "GET", "/made-up-path")
    numbers = _numbers(counted)
    assert numbers["http_requests_total none none 404"] >= 1
    assert not [name for name in numbers if "made-up" in name]


def test_logins_are_counted_and_do_not_tell_who_has_an_account(counted: Caller) -> None:
    def attempt(username: str, password: str) -> set[tuple[str, float]]:
        before = _numbers(counted).items()
        counted(None, "POST", "/token/user", {"username": username, "password": password})
        news = _numbers(counted).items() - before
        return {(name, number) for name, number in news if name.startswith("login_attempts_total")}

    unknown, wrong = attempt("no such user", "wrong"), attempt("viewer", "wrong")
    assert [name for name, _ in unknown] == ["login_attempts_total user failed"]
    assert [name for name, _ in wrong] == ["login_attempts_total user failed"]


def test_what_is_stored_is_counted_once_in_a_while(counted: Caller) -> None:
    with counting() as statements:
        numbers = _numbers(counted)
    assert numbers["nodes_online"] == 2
    assert numbers["tasks open"] + numbers["tasks done"] > 0
    assert sum(value for name, value in numbers.items() if name.startswith("runs ")) > 0
    assert "outbox_pending" in numbers
    assert statements
    with counting() as statements:
        assert _numbers(counted)["tasks open"] == numbers["tasks open"]
    assert not statements  # anybody may ask, as often as he likes


def test_without_a_database_there_are_numbers_of_the_process(counted: Caller) -> None:
    with database_away():
        numbers = _numbers(counted)
    assert "policy_lines" in numbers
    assert "nodes_online" not in numbers


def test_without_the_setting_there_are_none(app: Flask, call: Caller) -> None:
    assert call(None, "GET", "/metrics").status_code == 404
