"""Whatever fails in whatever order: every event is told, to nobody who may not hear it, and who is
there is known (docs/adr/0010, 0021).

The code of the server runs as it is: loops, listeners, sockets, statements. Only time, threads, the
message queue and the network of clients are played (tests/machine).
"""

import logging
import os
from collections.abc import Iterator

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.machine.installation import (
    MAY_LOSE,
    PEOPLE,
    REVOKED_WITHIN_S,
    Installation,
)
from tests.machine.process import Process
from tests.machine.setting import Setting, virtual
from tests.world import World

EXAMPLES = int(os.environ.get("V6SRV_TEST_MACHINE", "4"))
"""Few: what tests run each time, so that it stays in step with the server; `make machine`: many."""
PROCESSES = 3
FURTHEST_S = 8.0

which = st.integers(0, PROCESSES - 1)
people = st.sampled_from(PEOPLE)
steps = st.integers(0, 40)


class Machine(RuleBasedStateMachine):
    """What may happen to an installation."""

    setting: Setting
    it: Installation
    rested = False
    """Nothing failed for a while, once: it takes long."""

    @initialize(seed=st.integers(0, 2**32), processes=st.integers(2, PROCESSES))
    def begin(self, seed: int, processes: int) -> None:
        self.it = self.setting.begin(seed)
        for _ in range(processes):
            self.it.begin()
        self.it.go_on(4, 4)
        for number, person in enumerate(self.it.people.values()):
            self.it.join(person, self.process(number))
        self.it.go_on(2, 0.25)  # until all have their seats

    def process(self, number: int) -> Process:
        if not self.it.processes:
            self.it.begin()
        return self.it.processes[number % len(self.it.processes)]

    def go_on(self, turns: int) -> None:
        """Some turns without time, so that the next thing happens in the middle of it all."""
        self.it.turns.go_on(turns)
        assert not self.it.why_wrong, self.it.why_wrong

    @rule(
        at=which,
        collaboration=st.sampled_from(["registry", "trial"]),
        count=st.integers(1, 4),
        outcome=st.sampled_from(["is kept", "is kept", "is rolled back", "is the last thing"]),
        after=st.integers(0, 30),
        turns=steps,
    )
    def request(
        self, at: int, collaboration: str, count: int, outcome: str, after: int, turns: int
    ) -> None:
        process = self.process(at)
        self.it.commit(process, collaboration, count, keep=outcome != "is rolled back")
        if outcome == "is the last thing":
            process.life.dies_after = after
        self.go_on(turns)

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.0, 4.0, 8.0, 16.0]))
    def time_passes(self, seconds: float) -> None:
        self.it.go_on(seconds, 1.5)
        self.go_on(0)

    @rule(who=people, at=which, turns=steps)
    def come_or_go(self, who: str, at: int, turns: int) -> None:
        person = self.it.people[who]
        if person.line is None:
            self.it.join(person, self.process(at))
        else:
            self.it.leave(person)
        self.go_on(turns)

    @rule(at=which, after=st.integers(0, 30), turns=steps)
    def kill(self, at: int, after: int, turns: int) -> None:
        self.process(at).life.dies_after = after
        self.go_on(turns)

    @rule()
    def another_process(self) -> None:
        if len(self.it.processes) < PROCESSES:
            self.it.begin()

    @rule(at=which, turns=steps)
    def stop_in_order(self, at: int, turns: int) -> None:
        self.it.stop(self.process(at))
        self.go_on(turns)

    @rule(at=which, after=st.integers(0, 20), seconds=st.sampled_from([1.0, 4.0, 9.0, 20.0]))
    def stall(self, at: int, after: int, seconds: float) -> None:
        """One thread of a process is held up, as by a database that is slow."""
        self.it.stall(self.process(at), after, seconds)

    @rule(at=which, side=st.sampled_from(["listen", "publish"]), turns=steps)
    def cut(self, at: int, side: str, turns: int) -> None:
        """Nothing arrives any more, while something happens at another process."""
        self.it.broker.cut.add((self.process(at).life.name, side))
        self.it.commit(self.process(at + 1), "registry", 1, keep=True)
        self.go_on(turns)

    @rule(at=which, turns=steps)
    def reset_connection(self, at: int, turns: int) -> None:
        """It connects anew at once; what was on the way is gone."""
        self.it.commit(self.process(at + 1), "registry", 1, keep=True)
        self.go_on(turns)
        self.it.broker.reset(self.process(at).life.name)
        self.go_on(turns)

    @rule(at=which, seconds=st.sampled_from([2.0, 7.0, 12.0]))
    def not_heard_and_noted_late(self, at: int, seconds: float) -> None:
        """That it was published is noted only when those who did not hear it have looked for it."""
        deaf, other = self.process(at), self.process(at + 1)
        ear = (deaf.life.name, "listen")
        other.life.notes_from = self.it.turns.now + seconds
        self.it.broker.cut.add(ear)
        self.it.commit(other, "registry", 1, keep=True)
        self.it.go_on(1.0, 0.25)
        self.it.broker.cut.discard(ear)
        self.it.broker.reset(deaf.life.name)
        self.go_on(0)

    @rule(what=st.sampled_from(["end", "restart", "freeze", "heal"]), turns=steps)
    def queue(self, what: str, turns: int) -> None:
        """Whatever it confirmed and nobody has read is lost when it restarts."""
        getattr(self.it.broker, what)()
        self.go_on(turns)

    @rule(at=which, give=st.booleans(), turns=steps)
    def change_right(self, at: int, give: bool, turns: int) -> None:
        self.it.change_right(self.process(at), give=give)
        self.go_on(turns)

    @rule(at=which, turns=steps)
    def lose_a_right_while_listening(self, at: int, turns: int) -> None:
        """It is there, has the right, and loses it; later there is something to hear."""
        user = self.it.people[MAY_LOSE]
        self.it.join(user, self.process(at))
        self.it.change_right(self.process(at), give=True)
        self.it.go_on(2 * REVOKED_WITHIN_S, 0.25)
        self.it.change_right(self.process(at + 1), give=False)
        self.go_on(turns)
        self.it.go_on(2 * REVOKED_WITHIN_S, 0.25)
        self.it.commit(self.process(at + turns), "registry", 1, keep=True)
        self.go_on(turns)

    @rule(seconds=st.sampled_from([-8.0, -2.0, 2.0, 8.0]))
    def clock_jumps(self, seconds: float) -> None:
        """That of the database; those of processes are asked for durations only.

        Never further than that from the true time: who is stale is told by that clock.
        """
        if abs(self.it.db_ahead_s + seconds) <= FURTHEST_S:
            self.it.db_ahead_s += seconds

    @precondition(lambda self: not self.rested)
    @rule()
    def all_is_well(self) -> None:
        self.rested = True
        self.it.settle_events()
        assert not self.it.why_wrong, self.it.why_wrong

    def teardown(self) -> None:
        if not hasattr(self, "it"):
            return
        try:
            self.it.settle_events()
            self.it.settle_presence()
            assert not self.it.why_wrong, self.it.why_wrong
        finally:
            self.setting.end()


@pytest.fixture
def quiet() -> Iterator[None]:
    """Outages are the point here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
def test_any_order_of_everything(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    examples = EXAMPLES if backend == "sqlite" else max(1, EXAMPLES // 15)
    with virtual(app, world, monkeypatch) as setting:
        Machine.setting = setting
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=30,
                deadline=None,
                derandomize="V6SRV_TEST_MACHINE" not in os.environ,
                database=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                phases=[Phase.generate, Phase.shrink],
            ),
        )
