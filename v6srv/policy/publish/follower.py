"""Edits of the policy files go live by themselves, and the tests beside them are run.

Whoever edits may still be writing, and half of a file can be a valid policy without its denials: an
edit is taken up once nothing has changed since the last look and nobody has a file open to write.
Each process that follows a folder runs the tests by itself: what is live is its own decision.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from v6srv import problems
from v6srv.authz.source import codes
from v6srv.authz.source.folder import SHADOW, Stamp, is_being_written, stamp
from v6srv.authz.source.live import Edit, PolicyStore
from v6srv.authz.source.problems import Problem
from v6srv.policy.child import NotRunError
from v6srv.policy.testing.files import FOLDER, stamp_of_tests
from v6srv.policy.testing.process import Failures, RunningTests

log = logging.getLogger(__name__)

WAIT_S = 10.0
"""How long a writer who does not come to an end, or ever newer files, are waited for."""
AGAIN_AFTER_S = 60.0
"""Time after which tests that could not be run are run again."""
LATE_AFTER_S = 15.0
"""After how long files that are neither live nor refused are a problem, whatever is waited for."""
LOOK_EVERY_S = 0.25
"""How often a check looks whether there are newer files."""
MOST_NAMED = 20
"""Tests that fail and are a problem each."""

Mode = Literal["refuse", "warn", "off"]

_REASON = "files changed"
_LATE, _NOT_RUN, _MORE = "late policy files", "policy tests", "more policy tests"


@dataclass(frozen=True, slots=True)
class _Look:
    """The files at one moment."""

    policy: Stamp
    tests: Stamp
    shadow: Stamp


class _Superseded(Exception):
    """There are newer files than those that are checked."""


class _Patience:
    """Something is waited for, but not for ever."""

    def __init__(self) -> None:
        self._since: float | None = None

    def left(self, within_s: float) -> bool:
        """Whether to wait; for how long is counted from the first time that this is asked."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since < within_s

    def over(self) -> None:
        """It is there."""
        self._since = None


class Follower:
    """Follows the files of a store, one `look` after the other."""

    def __init__(self, store: PolicyStore, mode: Mode) -> None:
        """What the tests are for: `refuse`: an edit goes live when they pass; `warn`: when it is
        live, those that fail are problems; `off`: nothing."""
        self._store, self._mode = store, mode
        self._last: _Look | None = None
        self._writers, self._editors, self._anybody = _Patience(), _Patience(), _Patience()
        self._valid = store.seen
        """The files that are live, or wait for their tests."""
        self._waiting: tuple[Edit, Stamp] | None = None
        """Is not live because of its tests, and these: they run, or do not pass."""
        self._interrupted = False
        """Whether an edit was being checked or taken up when something failed, as the database."""
        self._running: RunningTests | None = None
        self._tested: tuple[Stamp, Stamp] | None = None
        """The policy and the tests that were run last, or are run now."""
        self._again_at = float("inf")
        """When tests are run again that could not be run."""
        self._told: set[str] = set()
        self._stopped = False

    def look(self) -> bool:
        """Take up what was edited, and what its tests say; True when something went live."""
        now = self._now()
        self._tell_of_delay(now)
        if self._tested != (now.policy, now.tests) or time.monotonic() >= self._again_at:
            self._stop_tests()  # nobody waits for them any more
        if self._stopped or not self._is_quiet(now):
            return False
        live = self._take_up_files(now)
        self._store.follow_shadow()
        if now.policy == self._valid and self._tested != (now.policy, now.tests):
            live |= self._begin_tests(now)
        return self._end_tests() or live

    def stop(self) -> None:
        """End what runs; nothing is taken up any more."""
        self._stopped = True
        self._stop_tests()

    def _now(self) -> _Look:
        folder = self._store.folder
        return _Look(stamp(folder), stamp_of_tests(folder), stamp(folder / SHADOW))

    def _tell_of_delay(self, now: _Look) -> None:
        if now.policy == self._store.seen:
            self._anybody.over()
            problems.end(_LATE)
        elif not self._anybody.left(LATE_AFTER_S):
            problems.begin(_LATE, "changed policy files are not live yet")

    def _is_new(self, now: _Look) -> bool:
        if self._waiting is None:
            return self._interrupted or now.policy != self._store.seen
        edit, tests = self._waiting
        return (now.policy, now.tests) != (edit.seen, tests)

    def _is_quiet(self, now: _Look) -> bool:
        """Whether nobody writes, or somebody does for too long to be waited for."""
        written = self._is_new(now) and is_being_written(self._store.folder)
        written |= now != self._last
        self._last = now
        if written and self._writers.left(WAIT_S):
            return False
        self._writers.over()
        return True

    # --- files

    def _take_up_files(self, now: _Look) -> bool:
        if not self._is_new(now):
            return False
        self._waiting, self._interrupted = None, True
        try:
            edit = self._store.check_files(_REASON, self._still_wanted(now))
        except _Superseded:
            return False
        self._editors.over()
        self._interrupted = False
        if edit is None:
            return False
        if self._mode == "refuse" and now.tests:
            self._waiting, self._valid, self._tested = (edit, now.tests), edit.seen, None
            return False
        return self._go_live(edit)

    def _still_wanted(self, now: _Look) -> Callable[[], None]:
        """Newer files come first; but who edits all the time is not waited for."""
        looked = time.monotonic()

        def still_wanted() -> None:
            nonlocal looked
            if self._stopped:
                raise _Superseded
            if time.monotonic() - looked > LOOK_EVERY_S:
                looked = time.monotonic()
                if stamp(self._store.folder) != now.policy and self._editors.left(WAIT_S):
                    raise _Superseded

        return still_wanted

    def _go_live(self, edit: Edit) -> bool:
        self._waiting, self._interrupted = None, True
        taken_up = self._store.take_up(edit, _REASON)
        self._interrupted = False
        if not taken_up:
            return False
        self._valid = edit.seen
        return True

    # --- tests

    def _begin_tests(self, now: _Look) -> bool:
        """Run them; where there is nothing to run, what waits for it goes live."""
        self._tested, self._again_at = (now.policy, now.tests), float("inf")
        if self._mode == "off" or not now.tests:
            return self._tests_have_said({})
        try:
            self._running = RunningTests(self._store.folder)
        except OSError as error:
            self._tests_are_unknown(error)
        return False

    def _end_tests(self) -> bool:
        """Ask for what they say; True when it makes something live."""
        if self._running is None:
            return False
        try:
            failures: Failures | None = self._running.result()
        except NotRunError as error:
            self._running = None
            self._tests_are_unknown(error)
            return False
        if failures is None:
            return False
        self._running, now = None, self._now()
        if self._tested != (now.policy, now.tests):
            return False  # they may have read what was changed since: they are run again
        if not failures:
            log.info("the tests of the policy pass")
        return self._tests_have_said(failures)

    def _stop_tests(self) -> None:
        running, self._running, self._tested = self._running, None, None
        if running is not None:
            running.stop()

    def _tests_are_unknown(self, cause: object) -> None:
        self._again_at = time.monotonic() + AGAIN_AFTER_S
        problems.begin(_NOT_RUN, "the tests of the policy could not be run", cause)
        self._keep_waiting("its tests could not be run")

    def _tests_have_said(self, failures: Failures) -> bool:
        """Tell what fails; True when what has waited goes live."""
        problems.end(_NOT_RUN)
        named = dict(islice(failures.items(), MOST_NAMED))
        for place, said in named.items():
            problems.begin(_key(place), f"policy test fails: {place}", said)
        for place in self._told - named.keys():
            problems.end(_key(place))
        self._told = set(named)
        if more := len(failures) - len(named):
            problems.begin(_MORE, f"more policy tests fail: {more}")
        else:
            problems.end(_MORE)
        if failures:
            self._keep_waiting(f"{len(failures)} of its tests fail")
            return False
        return self._waiting is not None and self._go_live(self._waiting[0])

    def _keep_waiting(self, why: str) -> None:
        if self._waiting is not None:
            problem = Problem(FOLDER, why, codes.TESTS_FAIL)
            self._store.refuse(self._waiting[0], problem, _REASON)


def _key(place: str) -> str:
    return f"policy test {place}"
