"""/metrics: numbers for Prometheus, only where they are asked for."""

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.databases import Databases
from tests.support import Caller, open_app

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def _numbers(call: Caller) -> dict[str, float]:
    answer = call(None, "GET", "/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_decisions_and_the_policy_are_counted(databases: Databases, backend: str) -> None:
    with open_app(databases, backend, True, metrics=True) as (app, _):
        call, store = Caller(app), app.extensions["authz"].store
        before = _numbers(call)
        assert before[f"v6srv_policy_live {store.live.version}"] == 1
        assert before["v6srv_policy_lines"] == len(store.live.lines)
        assert before["v6srv_policy_problems"] == 0
        assert before["v6srv_policy_shadow_active"] == 0
        assert before["v6srv_decision_log_problem"] == 0
        assert {"v6srv_emptied_tasks_total", "v6srv_emptied_results_total"} <= before.keys()
        call("nobody", "GET", "/task")
        call("viewer", "GET", "/task")
        call("viewer", "GET", "/task")
        after = _numbers(call)
        assert after["v6srv_decisions_total deny"] == before["v6srv_decisions_total deny"] + 1
        assert after["v6srv_decisions_total allow"] == before["v6srv_decisions_total allow"] + 2
        assert "viewer" not in call(None, "GET", "/metrics").text


def test_without_the_setting_there_are_none(app: Flask, call: Caller) -> None:
    assert call(None, "GET", "/metrics").status_code == 404
