"""The decision log as pages."""

import re

import pytest

from tests.policy.test_audit import _decision
from v6srv.authz.decision_log import DecisionLog, Series
from v6srv.console import policy_decision
from v6srv.errors import Invalid
from v6srv.policy.audit import trail


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_refusal_is_found_and_explained(visit, world, call):
    refused = call("viewer", "DELETE", f"/user/{world.user.org_admin}").json
    root = visit("root")
    page = root.get("/policy/decision", effect="deny", principal=f"user:{world.user.viewer}")
    assert f'/console/policy/decision/{refused["decision_id"]}"' in page
    assert refused["decision_id"] not in root.get("/policy/decision", effect="allow")
    assert refused["decision_id"] not in root.get("/policy/decision", resource="task")
    assert refused["decision_id"] not in root.get("/policy/decision", until="2020-01-01")
    assert refused["decision_id"] not in root.get("/policy/decision", since="2100-01-01")
    by_id = root.client.get("/console/policy/decision", query_string={"id": refused["decision_id"]})
    assert by_id.status_code == 303
    page = root.get(f"/policy/decision/{refused['decision_id']}")
    logged = call("root", "GET", f"/policy/decision/{refused['decision_id']}").json
    assert logged["reason"] in page
    again = re.search(r'href="/console(/policy/explain\?[^"]+)"', page)[1].replace("&amp;", "&")
    assert f"user:{world.user.viewer} may not delete user" in root.get(again)
    root.get("/policy/decision/0123", status=404)
    root.get("/policy/decision", start="here", status=400)
    root.get("/policy/decision", since="soon", status=400)


def test_the_log_is_read_from_its_end_in_parts(tmp_path):
    series = Series(tmp_path / "log")
    log = DecisionLog(series, max_bytes=2000)
    for number in range(40):
        log.write(_decision(number))
    assert len(series.numbers()) > 3
    everything = [one["id"] for one in trail.query(series.files(), trail.Wanted())]
    assert len(everything) > 20
    for most, size in ((7, 10**6), (100, 1), (3, 700)):
        found, start, parts = [], None, 0
        while parts == 0 or start is not None:
            past = trail.look_back(series, trail.Wanted(), start, most, size)
            assert len(past.records) <= most
            found += [one["id"] for one in past.records]
            start, parts = past.older, parts + 1
            assert parts < 500
        assert found == everything
        assert parts > 1


def test_what_is_not_there_is_not_looked_for_through_all_of_the_log(tmp_path):
    series = Series(tmp_path / "log")
    log = DecisionLog(series)
    for number in range(60):
        log.write(_decision(number))
    past = trail.look_back(series, trail.Wanted(principal="user:99"), size=2000)
    assert not past.records
    assert past.older
    assert past.reached > "2026-03-01T12:00:50"


def test_a_time_is_found_without_reading_what_came_after(tmp_path):
    series = Series(tmp_path / "log")
    log = DecisionLog(series)
    for number in range(2000):
        minute, second = divmod(number * 10, 60)
        hour, minute = divmod(minute, 60)
        at = f"2026-03-01T{hour:02}:{minute:02}:{second:02}.000Z"
        log.write(_decision(number, time=at))
    until = trail.Wanted(until=policy_decision.ask.moment("2026-03-01T01:00:00Z"))
    past = trail.look_back(series, until, most=5, size=64 * 1024)
    assert past.records[0]["time"] == "2026-03-01T00:59:50.000Z"
    since = trail.Wanted(since=policy_decision.ask.moment("2026-03-01T05:30:00Z"))
    late = trail.look_back(series, since, most=5000)
    assert late.records[-1]["time"] == "2026-03-01T05:30:00.000Z"
    assert late.older is None


def test_places_that_are_none(tmp_path):
    series = Series(tmp_path / "log")
    DecisionLog(series).write(_decision(1))
    for place in ("", "x", "1", "1-", "-1", "1-2-3", "٣-1"):
        try:
            trail.look_back(series, trail.Wanted(), place)
        except Invalid:
            continue
        raise AssertionError(place)
    assert trail.look_back(series, trail.Wanted(), "1-999999999999999").records
    assert not trail.look_back(series, trail.Wanted(), "1-3").records
