"""Several server processes in one thread, whose turns and whose time a test decides.

Each loop, listener and request of a process is a greenlet. It gives its turn away where a real one
may have to wait: before it takes a connection to the database, at the message queue, and where it
sleeps. Time stands still unless `Turns.advance` moves it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

NEVER = float("inf")


class Killed(BaseException):
    """The process ends here, as by SIGKILL."""


@dataclass(eq=False)
class Life:
    """A server process, as far as the turns need to know it."""

    name: str
    dead: bool = False
    dies_after: int | None = None
    """Steps (`Turns.step`) until it is killed."""
    stalls_after: int | None = None
    stall_s: float = 0.0
    stalled_until: float = 0.0
    notes_from: float = 0.0
    """When the database takes from it again what it has published."""
    tasks: list["Task"] = field(default_factory=list)


class Task:
    """One thread of a process."""

    def __init__(self, turns: "Turns", life: Life, run: Callable[[], object]) -> None:
        self.turns = turns
        self.life = life
        self.until = 0.0
        self.waits_for: Callable[[], bool] | None = None
        self.writes = 0
        """Connections it holds that write: nobody else may have a turn."""
        self.source: str = life.name
        """The process that published what it is at."""
        self.greenlet = greenlet(self._run)
        self._do = run

    def _run(self) -> None:
        try:
            self._do()
        except Killed:
            pass
        finally:
            self.turns.ended(self)

    def ready(self, now: float) -> bool:
        return now >= self.until or (self.waits_for is not None and self.waits_for())

    def join(self, timeout: float | None = None) -> None:
        """As of a thread."""
        self.turns.wait(lambda: self.greenlet.dead, timeout or NEVER)


class Turns:
    """Who goes on next, and what time it is."""

    def __init__(self, become: Callable[[Life], None], forget: Callable[[], None]) -> None:
        """`become` makes the globals of this process those of another; `forget` ends a thread."""
        self.now = 1000.0
        self.chance = random.Random(0)
        self.tasks: list[Task] = []
        self.died: Callable[[Life], None] = lambda life: None
        self.failures: list[BaseException] = []
        self._become = become
        self._forget = forget
        self._scheduler = getcurrent()
        self._at: Task | None = None
        self.switches = 0

    @property
    def at(self) -> Task | None:
        """Whose turn it is; None: the test's."""
        return self._at

    def monotonic(self) -> float:
        return self.now

    # --- for tasks

    def start(self, life: Life, run: Callable[[], object]) -> Task:
        task = Task(self, life, run)
        self.tasks.append(task)
        life.tasks.append(task)
        return task

    def ended(self, task: Task) -> None:
        self._forget()
        self.tasks.remove(task)
        task.life.tasks.remove(task)

    def step(self) -> None:
        """Here a process may be killed."""
        if self._at is not None:
            self.count_step()
            if self._at.life.dead:
                raise Killed

    def count_step(self) -> None:
        """Here too, and it is noticed at its next step: nothing of it leaves the process before."""
        life = self._at.life if self._at else None
        if life is not None and life.dies_after is not None:
            life.dies_after -= 1
            life.dead = life.dead or life.dies_after < 0

    def give(self) -> None:
        """Here others may have a turn."""
        task = self._at
        if task is None or task.writes:
            return
        self.step()
        life = task.life
        if life.stalls_after is not None:
            life.stalls_after -= 1
            if life.stalls_after < 0:
                life.stalls_after = None
                life.stalled_until = self.now + life.stall_s
                self.wait(lambda: self.now >= life.stalled_until, life.stall_s)
                return
        if self.chance.random() < 0.3:
            self.wait(lambda: True, 0.0)

    def sleep(self, seconds: float = 0.0) -> None:
        """Less than a millisecond only gives the turn away."""
        self.wait(lambda: False, seconds if seconds >= 0.001 else 0.0)

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Let others go on until `ready` or the time is up; whether it is ready."""
        task = self._at
        if task is None:
            return ready()
        assert not task.writes, "waiting with the lock of the database"
        if task.life.dead:
            raise Killed
        task.until, task.waits_for = self.now + timeout_s, ready
        self._scheduler.switch()
        if task.life.dead:
            raise Killed
        return ready()

    # --- for the test

    def go_on(self, most: int | None = None) -> None:
        """Give turns by chance, at most so many, until all wait."""
        count = 0
        while most is None or count < most:
            ready = [task for task in self.tasks if task.ready(self.now)]
            if not ready:
                return
            self._turn(self.chance.choice(ready))
            count += 1
            assert count < 100_000, "it never ends"

    def advance(self, seconds: float, at_once_s: float = 0.25) -> None:
        """Time goes on, in pieces, and who is ready has a turn after each."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + at_once_s)
            self.go_on()

    def kill(self, life: Life) -> None:
        """All threads of a process end where they are."""
        life.dead = True
        for task in list(life.tasks):
            if task.greenlet:
                self._turn(task, Killed)
            else:  # it has not begun
                self.ended(task)
        assert not life.tasks
        self.died(life)

    def _turn(self, task: Task, throw: type[BaseException] | None = None) -> None:
        assert getcurrent() is self._scheduler
        self.switches += 1
        was_dead = task.life.dead
        task.waits_for, task.until = None, NEVER
        self._at = task
        self._become(task.life)
        try:
            if throw is None:
                task.greenlet.switch()
            else:
                task.greenlet.throw(throw)
                if not task.greenlet.dead and task in self.tasks:
                    raise AssertionError("it does not die")
        finally:
            self._at = None
        if task.life.dead and not was_dead:
            self.kill(task.life)


class Flag:
    """As `threading.Event`."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._set = False

    def set(self) -> None:
        self._set = True

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        return self._turns.wait(self.is_set, NEVER if timeout is None else timeout)


class Lock:
    """As `threading.Lock`; who waits for it lets others go on."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held = False

    def acquire(self, blocking: bool = True) -> bool:
        while self._held:
            if not blocking:
                return False
            self._turns.wait(lambda: not self._held, NEVER)
        self._held = True
        return True

    def release(self) -> None:
        self._held = False

    def __enter__(self) -> Any:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
