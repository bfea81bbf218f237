"""Edits of policy files: taken up when they are whole and valid, tested, and never waited for."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from flask import Flask

from tests.policy_edits import take_up
from tests.support import Caller
from tests.world import World
from v6srv import db
from v6srv.authz import long_work
from v6srv.authz.source import live as live_module
from v6srv.authz.source import load
from v6srv.authz.source.folder import read_texts
from v6srv.authz.source.live import PolicyStore
from v6srv.errors import DatabaseUnavailable
from v6srv.model import CasbinRule, PolicyRevision
from v6srv.policy import child
from v6srv.policy.child import NotRunError
from v6srv.policy.lint.folder import lint
from v6srv.policy.publish import follower as module
from v6srv.policy.publish.follower import Follower, Mode
from v6srv.policy.testing import process
from v6srv.policy.testing.process import RunningTests

one_database = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""What the database has no part in."""

DENIAL = "p, role:viewer, task, global, view, True, deny\n"


@pytest.fixture
def folder(app: Flask, tmp_path: Path) -> Path:
    """A copy of the policies in use that the test may edit, without tests."""
    store = _store(app)
    folder = tmp_path / "policies"
    folder.mkdir()
    for path in store.folder.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    store.folder = folder
    with app.app_context():
        assert take_up(store)
    return folder


def _store(app: Flask) -> PolicyStore:
    store: PolicyStore = app.extensions["authz"].store
    return store


Follow = Callable[..., Follower]


@pytest.fixture
def follow(app: Flask, folder: Path) -> Iterator[Follow]:
    """A follower of the folder, which is stopped at the end."""
    made: list[Follower] = []

    def make(mode: Mode = "off") -> Follower:
        made.append(Follower(_store(app), mode))
        return made[-1]

    with app.app_context():
        yield make
    for each in made:
        each.stop()


def tick(follower: Follower) -> bool:
    """Two looks of the loop at files that are quiet."""
    return follower.look() or follower.look()


# --- who is still writing


def test_a_file_that_is_still_being_written_is_not_taken_up(
    world: World, call: Caller, folder: Path, follow: Follow
) -> None:
    """Editors and `cp` empty a file before they fill it: for a moment its denials are missing."""
    local, follower = folder / "local.csv", follow()
    local.write_text(DENIAL)
    assert tick(follower)
    local.write_text("")
    assert not follower.look()
    local.write_text(DENIAL + "# and a remark\n")
    assert not follower.look()
    assert call("viewer", "GET", "/task").status_code == 403
    assert follower.look()
    assert not follower.look()
    assert call("viewer", "GET", "/task").status_code == 403
    local.write_text("")
    assert not follower.look()
    assert follower.look()
    assert call("viewer", "GET", "/task").status_code == 200


@pytest.mark.parametrize("name", [".#local.csv", ".hidden.csv", "..data.conf"])
def test_hidden_names_are_no_policy(
    app: Flask, world: World, call: Caller, folder: Path, follow: Follow, name: str
) -> None:
    """The lock of an editor is a link to nowhere, beside the file that is edited."""
    follower = follow()
    (folder / name).symlink_to("somebody@host.1")
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert _store(app).problem is None


@pytest.mark.parametrize("kind", ["link to nowhere", "pipe", "folder"])
def test_what_cannot_be_read_is_told_and_ends(
    app: Flask, world: World, call: Caller, folder: Path, follow: Follow, kind: str
) -> None:
    store, follower, odd = _store(app), follow(), folder / "odd.csv"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to("nowhere")
    assert not tick(follower)
    assert (store.problem or "").startswith("odd.csv: cannot be read")
    assert health(call) == ["policy: odd.csv: unreadable-file"]
    odd.rmdir() if kind == "folder" else odd.unlink()
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follower)
    assert store.problem is None
    assert call("viewer", "GET", "/task").status_code == 403


def test_a_change_that_only_the_time_of_the_change_shows_is_seen(
    world: World, call: Caller, folder: Path, follow: Follow
) -> None:
    """As `rsync --inplace --times` leaves it: the same file, size and time of modification."""
    local, follower = folder / "local.csv", follow()
    local.write_text(DENIAL)
    assert tick(follower)
    before = local.stat()
    with local.open("r+") as file:
        file.write(DENIAL.replace("task", "node"))
    os.utime(local, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert local.stat().st_size == before.st_size
    assert tick(follower)
    assert call("viewer", "GET", "/task").status_code == 200


def test_half_of_a_file_that_somebody_writes_is_waited_for_but_not_for_ever(
    app: Flask, world: World, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = follow()
    with (folder / "local.csv").open("w") as slow:
        slow.write("p, role:viewer, node, global, delete, True, allow\n")
        slow.flush()
        assert not tick(follower)
        assert not follower.look()
        with monkeypatch.context() as patience:
            patience.setattr(module, "WAIT_S", 0)
            assert follower.look()
        slow.write("p, role:viewer, node, global, delete, True, deny\n")
        slow.flush()
        assert not tick(follower)
        slow.close()
        assert follower.look()
    assert _store(app).problem is None


def test_while_somebody_has_the_folder_locked_others_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read the folder can lock it, and a publication can be stopped in the middle."""
    naps: list[float] = []
    holder = os.open(folder, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def nap(s: float) -> None:
        naps.append(s)
        fcntl.flock(holder, fcntl.LOCK_UN)

    monkeypatch.setattr(time, "sleep", nap)
    release = Timer(2, fcntl.flock, (holder, fcntl.LOCK_UN))
    release.start()
    try:
        texts, _ = read_texts(folder)
    finally:
        release.cancel()
        os.close(holder)
    assert naps
    assert "model.conf" in texts


# --- a check that takes long


def health(call: Caller) -> list[str]:
    found: list[str] = (call(None, "GET", "/health").json or {}).get("problems", [])
    return found


@pytest.fixture
def during(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something done once, while edited files are being checked."""

    def do(once: Callable[[], object]) -> None:
        read, left = live_module.stored, [once]

        def read_meanwhile() -> Any:
            lines = read()
            while left:
                left.pop()()
            return lines

        monkeypatch.setattr(live_module, "stored", read_meanwhile)

    monkeypatch.setattr(long_work, "TURN_S", 0)
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0)
    return do


def test_a_check_that_takes_too_long_is_given_up_and_told_everywhere(
    app: Flask,
    world: World,
    call: Caller,
    folder: Path,
    follow: Follow,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    follower = follow()
    (folder / "local.csv").write_text(DENIAL)
    with monkeypatch.context() as patience:
        patience.setattr(load, "CHECK_WITHIN_S", 0.001)
        assert not tick(follower)
        assert {problem.code.slug for problem in lint(folder)} == {"slow-check"}
    assert health(call) == ["policy: policy: slow-check"]
    assert "stays live (files changed): policy: checking it takes more than" in caplog.text
    assert call("viewer", "GET", "/task").status_code == 200
    (folder / "local.csv").write_text(DENIAL + "# less\n")
    assert tick(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert health(call) == []


def test_a_check_that_is_not_at_its_end_is_told(
    call: Caller, folder: Path, follow: Follow, during: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(live_module, "TELL_AFTER_S", 0)
    during(lambda: told.extend(health(call)))
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follow())
    assert told == ["changed policy files are still being checked"]
    assert health(call) == []


def test_a_check_gives_way_to_newer_files(
    app: Flask, world: World, call: Caller, folder: Path, follow: Follow, during: Any
) -> None:
    follower, local, before = follow(), folder / "local.csv", _store(app).live
    local.write_text("p, role:viewer, tsak, global, view, True, deny\n")
    during(lambda: local.write_text(DENIAL))
    assert not tick(follower)
    assert _store(app).live is before
    assert _store(app).problem is None  # nothing is said of files that are not there any more
    assert tick(follower)
    assert call("viewer", "GET", "/task").status_code == 403


def test_who_edits_all_the_time_does_not_keep_a_valid_edit_from_going_live(
    app: Flask, world: World, call: Caller, folder: Path, follow: Follow, during: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, "WAIT_S", 0)
    local = folder / "local.csv"
    local.write_text(DENIAL)
    during(lambda: local.write_text("p, role:viewer, tsak"))
    assert follow().look()
    assert call("viewer", "GET", "/task").status_code == 403


def test_a_revocation_waits_for_no_check_and_is_not_undone_by_it(
    app: Flask, world: World, call: Caller, folder: Path, follow: Follow, during: Any
) -> None:
    """The check began when the database still granted it; the request does not wait for its end."""
    _change_lines(lambda: db.session.add(_grant(world)))
    assert call("nobody", "GET", "/task").status_code == 200
    seen: list[int] = []

    def revoke() -> None:
        _change_lines(lambda: db.session.query(CasbinRule).delete())
        seen.append(call("nobody", "GET", "/task").status_code)

    during(revoke)
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follow())
    assert seen == [403]
    live = _store(app).live
    assert not [line for line in live.lines if line.origin.startswith("db:casbin_rule")]
    assert call("nobody", "GET", "/task").status_code == 403
    assert call("viewer", "GET", "/task").status_code == 403


class _Watched:
    """A lock that notes whether who has it keeps the connection that he came with."""

    def __init__(self) -> None:
        self.kept: list[bool] = []

    def __enter__(self) -> None:
        self.transaction = db.session().get_transaction()

    def __exit__(self, *_: object) -> None:
        transaction = self.transaction
        self.kept.append(transaction is not None and transaction.is_active)


def test_who_takes_up_an_edit_keeps_nobody_from_the_connection_that_it_waits_for(
    app: Flask, world: World, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that follow the database wait for the lock of the store, with a connection each."""
    follower, watched = follow(), _Watched()
    (folder / "local.csv").write_text(DENIAL)
    monkeypatch.setattr(_store(app), "_changing", watched)
    assert tick(follower)
    assert watched.kept[0]


def test_a_check_of_files_keeps_no_transaction_open(
    app: Flask, world: World, folder: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database ends one in which nothing happens; the edit would begin again, for ever."""
    examined, open_ones = load.examine, []

    def examine(*arguments: Any) -> Any:
        open_ones.append(db.session().in_transaction())
        return examined(*arguments)

    monkeypatch.setattr(live_module, "examine", examine)
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follow())
    assert open_ones == [False]


def _grant(world: World) -> CasbinRule:
    """Somebody without a role sees tasks."""
    line = (f"user:{world.user.nobody}", "task", "global", "view", "True", "allow")
    names = ("v0", "v1", "v2", "v3", "v4", "v5")
    return CasbinRule(ptype="p", **dict(zip(names, line, strict=True)))


def _change_lines(change: Callable[[], object]) -> None:
    db.session.rollback()
    change()
    db.session.get_one(PolicyRevision, 1, populate_existing=True).lines += 1
    db.session.commit()


# --- tests

SUITE = """\
suite: Tasks
principals:
  viewer: {id: 8, org: 3, collabs: [1], roles: [viewer]}
rows:
  ours: {resource: task, id: 40, org: 3, orgs: [3, 4], collabs: [1]}
tests:
  - {name: "sees secret-name", principal: viewer, operation: view, row: ours, effect: allow}
"""
FAILS = ["policy test fails: tests/tasks.yaml:7:5"]


@pytest.fixture
def suite(folder: Path) -> Path:
    """Tests beside the policies: viewers see tasks."""
    (folder / "tests").mkdir()
    path = folder / "tests" / "tasks.yaml"
    path.write_text(SUITE)
    return path


def settled(follower: Follower) -> bool:
    """Looks until no tests run; whether something went live after the first two."""
    live, end = False, time.monotonic() + 60
    while follower._running is not None:
        assert time.monotonic() < end
        time.sleep(0.05)
        live |= follower.look()
    follower.look()  # on a slow machine files were late: that they are not any more is seen now
    return live


def running(follower: Follower) -> int:
    """The process of the tests that run now."""
    assert follower._running is not None
    return follower._running._pid


def is_there(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends while it is read
        return False


def eventually(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@one_database
def test_an_edit_is_live_before_its_tests_have_run_and_those_that_fail_are_named(
    world: World,
    call: Caller,
    folder: Path,
    suite: Path,
    follow: Follow,
    caplog: pytest.LogCaptureFixture,
) -> None:
    follower = follow("warn")
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert health(call) == []
    assert not settled(follower)
    assert health(call) == FAILS
    assert "Tasks: sees secret-name: expected allow, found deny" in caplog.text
    (folder / "local.csv").unlink()
    assert tick(follower)
    assert health(call) == FAILS  # until it is known
    settled(follower)
    assert health(call) == []


@one_database
def test_what_a_start_finds_is_tested_and_a_change_of_the_tests_is_too(
    call: Caller, suite: Path, follow: Follow
) -> None:
    follower = follow("warn")
    suite.write_text(SUITE.replace("effect: allow", "effect: deny"))
    tick(follower)
    settled(follower)
    assert health(call) == FAILS
    suite.write_text("suite: [\n")
    tick(follower)
    settled(follower)
    assert health(call) == ["policy test fails: tests/tasks.yaml:2:1"]
    suite.unlink()
    tick(follower)
    assert follower._running is None
    assert health(call) == []


@one_database
def test_an_edit_whose_tests_fail_is_refused_until_policy_or_tests_are_changed(
    app: Flask, world: World, call: Caller, folder: Path, suite: Path, follow: Follow
) -> None:
    follower = follow("refuse")
    tick(follower)
    settled(follower)
    (folder / "local.csv").write_text(DENIAL)
    assert not tick(follower)
    assert not settled(follower)
    assert call("viewer", "GET", "/task").status_code == 200
    assert health(call) == [*FAILS, "policy: tests: tests-fail"]
    assert _store(app).problem == "tests: 1 of its tests fail"
    suite.write_text(SUITE.replace("effect: allow", "effect: deny"))
    assert not tick(follower)
    assert settled(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert _store(app).texts["tests/tasks.yaml"] == suite.read_text()
    assert health(call) == []
    (folder / "local.csv").write_text("# nothing\n")
    tick(follower)
    settled(follower)
    (folder / "tests" / "tasks.yaml").unlink()
    assert tick(follower), "there is nothing to wait for"
    assert health(call) == []
    assert call("viewer", "GET", "/task").status_code == 200


@pytest.mark.parametrize("when", ["checked", "taken up"])
@one_database
def test_a_refused_edit_whose_tests_were_mended_is_tried_again_when_the_database_was_away(
    app: Flask, world: World, call: Caller, folder: Path, suite: Path, follow: Follow, when: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    follower = follow("refuse")
    (folder / "local.csv").write_text(DENIAL)
    tick(follower)
    settled(follower)
    suite.write_text(SUITE.replace("effect: allow", "effect: deny"))
    follower.look()
    with monkeypatch.context() as outage:
        if when == "checked":
            outage.setattr(live_module, "stored", _away)
        else:
            outage.setattr(PolicyStore, "take_up", _away)
        with pytest.raises(DatabaseUnavailable):  # noqa: PT012 - whichever look it is
            follower.look()
            settled(follower)
    tick(follower)
    settled(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert health(call) == []


def _away(*_: object) -> Any:
    raise DatabaseUnavailable("away", 1)


@one_database
def test_tests_that_cannot_be_looked_at_are_not_no_tests(
    world: World, call: Caller, folder: Path, follow: Follow
) -> None:
    """A folder that is not there for the server: a link to nowhere, or somebody else's rights."""
    (folder / "tests").symlink_to("nowhere")
    (folder / "local.csv").write_text(DENIAL)
    follower = follow("refuse")
    tick(follower)
    settled(follower)
    assert call("viewer", "GET", "/task").status_code == 200
    assert health(call) == ["policy test fails: tests", "policy: tests: tests-fail"]
    (folder / "tests").unlink()
    tick(follower)
    assert call("viewer", "GET", "/task").status_code == 403
    assert health(call) == []


def test_while_an_edit_waits_for_its_tests_the_database_does_not(
    app: Flask, world: World, call: Caller, folder: Path, suite: Path, follow: Follow
) -> None:
    """What is revoked meanwhile is gone at once, and the edit does not bring it back."""
    _change_lines(lambda: db.session.add(_grant(world)))
    assert call("nobody", "GET", "/task").status_code == 200
    follower = follow("refuse")
    (folder / "local.csv").write_text(DENIAL.replace("task", "node"))
    assert not tick(follower)
    os.kill(running(follower), signal.SIGSTOP)
    _change_lines(lambda: db.session.query(CasbinRule).delete())
    assert call("nobody", "GET", "/task").status_code == 403
    os.kill(running(follower), signal.SIGCONT)
    assert settled(follower)
    assert call("nobody", "GET", "/task").status_code == 403
    assert call("viewer", "GET", "/node").status_code == 403


@pytest.mark.parametrize("mode", ["refuse", "warn"])
@one_database
def test_a_newer_edit_ends_the_tests_of_the_former(
    world: World, call: Caller, folder: Path, suite: Path, follow: Follow, mode: Mode
) -> None:
    follower = follow(mode)
    (folder / "local.csv").write_text(DENIAL)
    tick(follower)
    first = running(follower)
    (folder / "local.csv").write_text(DENIAL.replace("task", "node"))
    follower.look()
    assert not is_there(first)
    follower.look()
    settled(follower)
    assert call("viewer", "GET", "/task").status_code == 200
    assert call("viewer", "GET", "/node").status_code == 403
    assert health(call) == []


@pytest.mark.parametrize("mode", ["refuse", "warn"])
@pytest.mark.parametrize("fault", ["hangs", "is killed", "cannot be made"])
@one_database
def test_tests_that_cannot_be_run_are_a_problem(
    world: World, call: Caller, folder: Path, suite: Path, follow: Follow, mode: Mode, fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    follower = follow(mode)
    (folder / "local.csv").write_text(DENIAL.replace("task", "node"))
    with monkeypatch.context() as broken:
        if fault == "cannot be made":
            broken.setattr(os, "posix_spawn", _no_process)
        if fault == "hangs":
            broken.setattr(child, "WITHIN_S", 0.5)
        tick(follower)
        if fault == "hangs":
            os.kill(running(follower), signal.SIGSTOP)
        if fault == "is killed":
            os.kill(running(follower), signal.SIGKILL)
        settled(follower)
    unknown = ["the tests of the policy could not be run"]
    refused = ["policy: tests: tests-fail"]
    assert health(call) == (unknown if mode == "warn" else unknown + refused)
    assert call("viewer", "GET", "/node").status_code == (403 if mode == "warn" else 200)
    if fault == "hangs":
        follower._again_at = time.monotonic()  # as it is after AGAIN_AFTER_S
    else:
        os.utime(suite)
    tick(follower)
    settled(follower)
    assert health(call) == []
    assert call("viewer", "GET", "/node").status_code == 403


@one_database
def test_an_edit_that_nothing_is_decided_about_is_told(
    call: Caller, folder: Path, suite: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here somebody saves the tests again and again, so that they never come to their end."""
    follower = follow("refuse")
    (folder / "local.csv").write_text(DENIAL.replace("task", "node"))
    for _ in range(3):
        os.utime(suite)
        assert not tick(follower)
    assert health(call) == []
    monkeypatch.setattr(module, "LATE_AFTER_S", 0)
    os.utime(suite)
    assert not tick(follower)
    assert health(call) == ["changed policy files are not live yet"]
    assert settled(follower)
    follower.look()
    assert health(call) == []


def _no_process(*_: object, **__: object) -> int:
    raise BlockingIOError(11, "Resource temporarily unavailable")


@one_database
def test_off_runs_nothing(call: Caller, folder: Path, suite: Path, follow: Follow) -> None:
    follower = follow("off")
    (folder / "local.csv").write_text(DENIAL)
    assert tick(follower)
    assert follower._running is None


@one_database
def test_many_tests_that_fail_are_not_a_problem_each(
    call: Caller, folder: Path, suite: Path, follow: Follow
) -> None:
    case = SUITE.splitlines(keepends=True)[-1].replace("effect: allow", "effect: deny")
    suite.write_text(SUITE + "".join(case.replace("sees", f"{n}") for n in range(50)))
    follower = follow("warn")
    tick(follower)
    settled(follower)
    assert len(health(call)) == module.MOST_NAMED + 1
    assert health(call)[-1] == "more policy tests fail: 30"
    suite.write_text(SUITE)
    tick(follower)
    settled(follower)
    assert health(call) == []


# --- their process


def result(tests: RunningTests) -> dict[str, str]:
    end = time.monotonic() + 60
    while (found := tests.result()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    return dict(found)


@one_database
def test_the_process_imports_nothing_of_the_working_folder_and_knows_no_secrets(
    folder: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "yaml", "v6srv"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("V6SRV_JWT_SECRET", "secret")
    tests = RunningTests(folder.relative_to(tmp_path))
    assert b"V6SRV_" not in Path(f"/proc/{tests._pid}/environ").read_bytes()
    eventually(lambda: os.getpriority(os.PRIO_PROCESS, tests._pid) == 10)
    assert result(tests) == {}


@one_database
def test_a_result_with_something_else_around_it_is_none(
    folder: Path, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is set up to run in each Python process of the machine may print."""
    (tmp_path / "sitecustomize.py").write_text('print("hello")\n')
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(process.__file__).parents[2]}")
    with pytest.raises(NotRunError, match="printed something else"):
        result(RunningTests(folder))


def test_a_process_whose_end_is_not_told_is_over_all_the_same(
    folder: Path, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that was started with SIGCHLD ignored; the number may be another's by then."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(NotRunError, match="is not told"):
            result(RunningTests(folder))
        tests = RunningTests(folder)
        os.kill(tests._pid, signal.SIGKILL)
        eventually(lambda: not is_there(tests._pid))
        monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("somebody else is killed"))
        tests.stop()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_process_that_is_stopped_is_gone_at_once(folder: Path, suite: Path) -> None:
    tests = RunningTests(folder)
    began = time.monotonic()
    tests.stop()
    assert time.monotonic() - began < 0.5
    with pytest.raises(ProcessLookupError):
        os.kill(tests._pid, 0)


@one_database
def test_the_process_ends_when_the_server_is_killed(folder: Path, suite: Path) -> None:
    """Long before it would have read all of its tests."""
    suite.write_text(SUITE + SUITE.splitlines(keepends=True)[-1] * 50_000)
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from v6srv.policy.testing.process import RunningTests\n"
        "tests = RunningTests(Path(sys.argv[1]))\n"
        "print(tests._pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    eventually(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 10)
    server.kill()
    server.wait()
    began = time.monotonic()
    eventually(lambda: not is_there(pid))
    assert time.monotonic() - began < 5
