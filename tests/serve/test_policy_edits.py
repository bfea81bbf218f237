"""Edits of policy files at the real server: live at once or after their tests, never a stall."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.live import LiveServer, live_server
from v6srv.service.setup import install_policies

DENIAL = "p, role:viewer, task, global, view, True, deny\n"
LONG = 50_000
"""Tests that take a while."""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    folder = tmp_path / "policies"
    install_policies(folder)
    return folder


def problems(server: LiveServer) -> list[str]:
    found = requests.get(f"{server.api}/health", timeout=5).json().get("problems", [])
    return [str(problem) for problem in found]


def live_version(server: LiveServer) -> str:
    metrics = requests.get(f"{server.api}/metrics", timeout=5).text
    return metrics.partition('policy_info{version="')[2].partition('"')[0]


def eventually(holds: Callable[[], object], within_s: float = 30) -> float:
    """The seconds until it holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s
        time.sleep(0.02)
    return time.monotonic() - began


def processes_of(server: LiveServer) -> list[int]:
    """The processes of tests that the server has now."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                folder = str(server.instance / "policies").encode()
            except OSError:
                continue
            if b"v6srv.policy.testing.process" in arguments and folder in arguments:
                found.append(int(entry.name))
    return found


def usual_time(server: LiveServer) -> float:
    """The median of what a cheap request takes."""
    took = []
    for _ in range(50):
        began = time.monotonic()
        assert requests.get(f"{server.api}/version", timeout=5).status_code == 200
        took.append(time.monotonic() - began)
    return sorted(took)[len(took) // 2]


def opened(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(os.readlink(entry))
    return found


def slow(policies: Path) -> None:
    """Tests that take long to read."""
    case = "  - {principal: one, operation: view, row: its, effect: allow}\n"
    known = (
        "suite: Long\n"
        "principals:\n  one: {id: 1, org: 1, collabs: [1], roles: [viewer]}\n"
        "rows:\n  its: {resource: task, id: 1, org: 1, orgs: [1], collabs: [1]}\n"
        "tests:\n"
    )
    (policies / "tests" / "long.yaml").write_text(known + case * LONG)


WARN = {"V6SRV_POLICY_TESTS": "warn", "V6SRV_METRICS": "true"}  # the default


def test_an_edit_is_live_before_its_tests_have_run_and_those_that_fail_are_named(
    policies: Path,
) -> None:
    with live_server(instance=policies.parent, **WARN) as server:
        eventually(lambda: "the tests of the policy pass" in server.tail())
        before = live_version(server)
        (policies / "local.csv").write_text(DENIAL)
        eventually(lambda: live_version(server) != before)
        assert not problems(server)
        eventually(lambda: problems(server))
        told = problems(server)
        named = [problem for problem in told if problem.startswith("policy test fails: tests/")]
        rest = [problem for problem in told if problem not in named]
        assert named
        assert all(problem.startswith("more policy tests fail: ") for problem in rest), rest
        metrics = requests.get(f"{server.api}/metrics", timeout=5).text
        for problem in named:
            assert f'standing_problem{{problem="{problem}"}} 1.0' in metrics
            assert f"{problem} (" in server.log.read_text()
        assert "expected allow, found deny" in server.tail()
        (policies / "local.csv").unlink()
        eventually(lambda: not problems(server))
        assert live_version(server) == before
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert "Traceback" not in server.tail()


def test_an_edit_is_refused_when_its_tests_fail(policies: Path) -> None:
    refuse = {"V6SRV_POLICY_TESTS": "refuse", "V6SRV_METRICS": "true"}
    with live_server(instance=policies.parent, **refuse) as server:
        before = live_version(server)
        (policies / "local.csv").write_text(DENIAL)
        eventually(lambda: "policy: tests: tests-fail" in problems(server))
        assert live_version(server) == before
        assert len(problems(server)) > 1  # the tests by their places
        (policies / "local.csv").write_text(DENIAL.replace("role:viewer", "user:99"))
        eventually(lambda: live_version(server) != before)
        eventually(lambda: not problems(server))


def test_requests_are_answered_while_tests_run_and_the_end_does_not_wait_for_them(
    policies: Path,
) -> None:
    with live_server(instance=policies.parent, **WARN) as server:
        eventually(lambda: "the tests of the policy pass" in server.tail())
        alone = usual_time(server)
        slow(policies)
        eventually(lambda: processes_of(server))
        [pid] = processes_of(server)
        eventually(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 10)
        shared = [name for name in opened(pid) if name.startswith(("socket:", "/dev/"))]
        assert [name for name in shared if not name.startswith("/dev/shm/")] == []
        assert usual_time(server) < 5 * alone + 0.02
        assert processes_of(server) == [pid]
        (policies / "local.csv").write_text(DENIAL)
        eventually(lambda: pid not in processes_of(server))
        eventually(lambda: processes_of(server))
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert time.monotonic() - began < 5
        assert processes_of(server) == []


def test_a_check_that_takes_long_is_told_holds_up_nobody_and_gives_way(policies: Path) -> None:
    with live_server(instance=policies.parent, **WARN) as server:
        before, local, alone = live_version(server), policies / "local.csv", usual_time(server)
        fresh = policies / "local.new"
        conditions = (
            f"p, user:{n}, task, own, view, r.obj.id != {n}, deny\n" for n in range(1, LONG)
        )

        def edit(text: str) -> None:
            fresh.write_text(text)
            fresh.replace(local)

        edit("".join(conditions))
        checked = "changed policy files are still being checked"
        assert eventually(lambda: checked in problems(server)) < 2
        assert usual_time(server) < 5 * alone + 0.02
        assert problems(server) == [checked]
        assert live_version(server) == before
        edit(DENIAL)
        assert eventually(lambda: live_version(server) != before) < 2
        assert checked not in problems(server)
        edit("".join(conditions) + "".join(f"g, user:{n}, role:viewer\n" for n in range(1, LONG)))
        eventually(lambda: checked in problems(server))
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert time.monotonic() - began < 5
        assert "Traceback" not in server.tail()
