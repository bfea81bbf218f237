"""What algorithms print is kept while they run, and heard by sockets of 4.x."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.realtime.conftest import Audience, eventually
from tests.realtime.ears import Ear
from tests.support import Caller
from tests.world import World
from v6srv.db import session
from v6srv.errors import DatabaseUnavailable
from v6srv.model import Outbox, Result
from v6srv.realtime import log_lines
from v6srv.service import run_logs

SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
LOG = "algorithm_log"


@pytest.fixture
def run(world: World) -> int:
    """A run of the node `north_registry`."""
    return world.result["running", "north"]


@pytest.fixture
def kept(stored: Any, run: int) -> Callable[[], str | None]:
    """Its log, as it is stored now."""
    return lambda: stored(Result, run).log


@pytest.fixture
def node(listen: Audience) -> Ear:
    return listen("north_registry in 4")


def say(node: Ear, run: int, *lines: Any) -> None:
    for line in lines:
        node.say(LOG, {"collaboration_id": 0, "run_id": run, "task_id": 0, "log": line})


def heard(ear: Ear) -> str:
    """All that it heard of logs."""
    return "".join(one["log"] for one in ear.named(LOG))


def test_lines_are_kept_and_heard_by_those_concerned(
    listen: Audience, world: World, node: Ear, run: int, kept: Callable[[], str | None]
) -> None:
    near = [listen(who) for who in ("root in 4", "viewer in 4", "south_registry in 4")]
    deaf = [
        listen(who) for who in ("root", "south_registry", "west_trial in 4", "south_viewer in 4")
    ]
    before = kept() or ""
    say(node, run, "info > started\n", "no end of line", "info > done\n")
    lines = "info > started\nno end of line\ninfo > done\n"
    eventually(kept, run_logs.joined(before, lines))
    for ear in (*near, node):
        eventually(lambda ear=ear: heard(ear), lines)
        assert {(one["run_id"], one["task_id"]) for one in ear.named(LOG)} == {
            (run, world.task.running)
        }
        assert all(set(one) == {"run_id", "task_id", "log"} for one in ear.named(LOG))
    deaf[0].quiet()
    assert [ear.named(LOG) for ear in deaf] == [[], [], [], []]


def test_writes_that_follow_each_other_begin_a_line(
    node: Ear, run: int, kept: Callable[[], str | None]
) -> None:
    begun = kept() or ""
    for number in range(3):
        say(node, run, f"line {number}")
        begun = run_logs.joined(begun, f"line {number}")
        eventually(kept, begun)


@SQLITE
def test_what_is_no_line_of_an_open_run_of_the_node_is_not_kept(
    listen: Audience, call: Caller, world: World, node: Ear, run: int, kept: Any
) -> None:
    root = listen("root in 4")
    before = kept()
    finished = world.result["finished", "north"]
    others = [world.result["running", "south"], world.result["waiting", "west"]]
    for id in (*others, finished, 99999, 0, -1, 10**30, None, True, "1", [run]):
        say(node, id, "lies")  # type: ignore[arg-type]
    for payload in (None, "text", 5, [], {}, {"run_id": run}, {"log": "x"}):
        node.say(LOG, payload)
    say(node, run, None, 5, ["x"], {"a": 1}, "")
    say(listen("south_registry in 4"), run, "lies")
    say(root, run, "lies")
    say(node, run, "the truth\n")
    eventually(lambda: heard(root), "the truth\n")
    assert kept() == run_logs.joined(before or "", "the truth\n")
    for id in (*others, finished):
        log = call("root", "GET", f"/result/{id}").json["log"]
        assert "lies" not in (log or "")


@SQLITE
def test_lines_of_the_policy_decide_as_for_the_log_at_the_end(
    more_lines: Callable[[str], None], call: Caller, node: Ear, run: int, kept: Any
) -> None:
    more_lines("p, kind:node, result, global, edit, meets(r.sub.changes, ('log',)), deny\n")
    before = kept()
    say(node, run, "nobody may read this")
    node.client.call("ping", namespace="/tasks", timeout=5)
    time.sleep(2 * log_lines.WRITE_EVERY_S)
    assert kept() == before
    path = f"/result/{run}"
    assert call("north_registry", "PATCH", path, json={"log": "x"}).status_code == 403
    assert call("north_registry", "PATCH", path, json={"status": "active"}).status_code == 200


@SQLITE
def test_a_thousand_lines_are_few_writes_and_in_order(
    listen: Audience, node: Ear, run: int, kept: Any
) -> None:
    root = listen("root in 4")
    begun = kept() or ""
    lines = [f"{number}\n" for number in range(600)]
    say(node, run, *lines)
    eventually(lambda: heard(root), "".join(lines), patience_s=15)
    assert kept() == run_logs.joined(begun, "".join(lines))
    assert len(root.named(LOG)) < 30


@SQLITE
def test_what_is_too_much_is_left_out_and_that_is_said(
    listen: Audience,
    node: Ear,
    run: int,
    kept: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_lines, "MOST_WAITING", 3 * (10 + log_lines.LINE_COSTS))
    root = listen("root in 4")
    say(node, run, "*" * 9 + "\n")
    eventually(lambda: heard(root), "*" * 9 + "\n")
    for _ in range(3):
        say(node, run, *("." * 9 + "\n" for _ in range(50)))
        node.client.call("ping", namespace="/tasks", timeout=5)
    time.sleep(2 * log_lines.WRITE_EVERY_S)
    text = heard(root)
    said = [int(line.split()[0][1:]) for line in text.splitlines() if line.startswith("[")]
    assert said
    assert text.count("." * 9 + "\n") + sum(said) == 150
    assert kept().endswith(text)
    warnings = [line for line in caplog.messages if "more lines than can be kept" in line]
    assert len(warnings) == 1
    say(node, run, "after\n")
    eventually(lambda: heard(root).endswith("]\nafter\n"), True)


@SQLITE
def test_a_line_that_is_too_long_is_cut(
    node: Ear, run: int, kept: Any, caplog: pytest.LogCaptureFixture
) -> None:
    say(node, run, "x" * log_lines.LONGEST_LINE, "y" * (log_lines.LONGEST_LINE + 1), "z")
    eventually(lambda: (kept() or "").endswith("z"), True)
    first, second, third = kept().splitlines()[-3:]
    assert first == "x" * log_lines.LONGEST_LINE
    assert second == "y" * log_lines.LONGEST_LINE + log_lines.CUT.rstrip("\n")
    assert third == "z"
    assert len([line for line in caplog.messages if "too long" in line]) == 1


@SQLITE
def test_a_log_that_does_not_end_is_full_once(
    listen: Audience, node: Ear, run: int, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = listen("root in 4")
    monkeypatch.setattr(run_logs, "MOST_KEPT", len(kept() or "") + 20)
    say(node, run, "0123456789" * 4)
    eventually(lambda: "[the rest" in (kept() or ""), True)
    full = kept()
    assert "0123456789" * 2 in full
    assert "0123456789" * 3 not in full
    say(node, run, "more")
    node.client.call("ping", namespace="/tasks", timeout=5)
    time.sleep(2 * log_lines.WRITE_EVERY_S)
    assert kept() == full
    assert len(root.named(LOG)) == 1


def test_the_log_at_the_end_is_the_one_that_stays(
    listen: Audience, call: Caller, node: Ear, run: int, kept: Callable[[], str | None]
) -> None:
    """In the order in which a node of 4.x ends a run."""
    root = listen("root in 4")
    say(node, run, *(f"{number}\n" for number in range(50)))
    node.say("algorithm_status_change", {"run_id": run, "status": "completed"})
    root.wait("algorithm_status_change")
    assert heard(root) == "".join(f"{number}\n" for number in range(50))
    report = {"log": "all of it", "status": "completed", "finished_at": "2026-11-29T11:36:31"}
    say(node, run, "late")
    assert call("north_registry", "PATCH", f"/result/{run}", json=report).status_code == 200
    time.sleep(2 * log_lines.WRITE_EVERY_S)
    assert kept() == "all of it"


def test_any_characters_can_be_printed(node: Ear, run: int, kept: Callable[[], str | None]) -> None:
    say(node, run, "a\x00b \x1b[31mred\x1b[0m \N{SNOWMAN}\n", "half \ud800\n")
    eventually(lambda: (kept() or "").endswith("half ?\n"), True)
    assert "a\ufffdb \x1b[31mred\x1b[0m \N{SNOWMAN}\nhalf ?\n" in (kept() or "")


@SQLITE
def test_lines_wait_for_a_database_that_is_away(
    node: Ear, run: int, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = kept() or ""
    append, failures = run_logs.append, iter([DatabaseUnavailable("away", 1)] * 2)

    def fail_twice(*args: Any) -> None:
        for failure in failures:
            raise failure
        append(*args)

    monkeypatch.setattr(run_logs, "append", fail_twice)
    say(node, run, "first\n")
    time.sleep(1.5 * log_lines.WRITE_EVERY_S)
    say(node, run, "second\n")
    eventually(kept, run_logs.joined(begun, "first\nsecond\n"))


@SQLITE
def test_what_a_node_said_before_it_went_is_kept_and_nothing_of_it_stays_in_memory(
    app: Flask, node: Ear, run: int, kept: Any
) -> None:
    say(node, run, "last words\n")
    node.close()
    eventually(lambda: (kept() or "").endswith("last words\n"), True)
    lines = app.extensions["v6srv_realtime"].lines
    eventually(lambda: lines._nodes, {})


@SQLITE
def test_lines_that_are_denied_leave_no_event(listen: Audience, world: World, node: Ear) -> None:
    say(node, world.result["running", "south"], "lies")
    node.client.call("ping", namespace="/tasks", timeout=5)
    time.sleep(2 * log_lines.WRITE_EVERY_S)
    try:
        assert session.scalar(select(func.count()).where(Outbox.event == LOG)) == 0
    finally:
        session.remove()


@SQLITE
def test_runs_that_a_node_makes_up_are_not_each_written_or_remembered(
    app: Flask, world: World, node: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = log_lines.LogLines(app.extensions["authz"])  # not those of the loop
    written: list[int] = []
    monkeypatch.setattr(lines, "_append", lambda _node, run_id, _text: written.append(run_id))
    [seat] = app.extensions["v6srv_realtime"].seats.all()
    for made_up in range(1, 2001):
        lines.add(seat, {"run_id": made_up, "log": "x"})
    lines.write(seat.sid)
    assert written == list(range(1, log_lines.MOST_RUNS + 1))
    lines.add(seat, {"run_id": 3000, "log": "x"})
    lines.write(seat.sid)
    assert written[-1] == 3000
