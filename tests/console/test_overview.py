"""The first page."""

import re

import pytest

from v6srv import problems
from v6srv.console import overview


def denied(page):
    return sum(map(int, re.findall(r": (\d+) denied</title>", page)))


SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_it_shows_what_somebody_may_see(visit, world, call):
    nodes = call("root", "GET", "/node").json
    online = [node for node in nodes if node["status"] == "online"]
    page = visit("root").get("/")
    assert f'<span class="big">{len(online)}</span> of {len(nodes)} online' in page
    assert "Denials by hour" in page
    own = call("viewer", "GET", "/node").json
    page = visit("viewer").get("/")
    assert f"of {len(own)} online" in page
    assert "Denials by hour" not in page
    assert "policy" not in page.lower().replace("policy <code>", "").replace("policy</", "")
    assert "may not view anything yet" in visit("nobody").get("/")


def test_runs_are_counted_by_day_and_state(visit, world, app, call):
    order = {
        "name": "n",
        "image": "i",
        "collaboration_id": world.collab.registry,
        "organizations": [{"id": world.org.north, "input": ""}],
    }
    assert call("researcher", "POST", "/task", json=order).status_code == 201
    page = visit("researcher").get("/")
    assert '<span class="big">1</span> in the last 14 days' in page  # the world is of long ago
    assert ": 1 pending</title>" in page
    assert ">task_created</th>" in page


@SQLITE
def test_denials_are_counted_by_hour(visit, world, call, monkeypatch):
    monkeypatch.setattr(overview, "MOST_DENIALS", 10**9)
    before = denied(visit("root").get("/denials"))  # of other tests: they share the log
    for _ in range(3):
        assert call("nobody", "GET", "/task").status_code == 403
    assert denied(visit("root").get("/denials")) == before + 3
    visit("viewer").get("/denials", status=403)


@SQLITE
def test_problems_are_shown_to_who_may_view_the_policy(visit, world):
    problems.begin("test", "the <roof> leaks")
    try:
        assert "the &lt;roof&gt; leaks" in visit("root").get("/")
        assert "leaks" not in visit("viewer").get("/")
    finally:
        problems.end("test")
