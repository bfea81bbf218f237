"""Long computations: others get their turn in between, and whoever began one may end it.

What goes round for long calls `step`. Under gevent nothing else of the process would run meanwhile.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

TURN_S = 0.002
"""How long others wait. To serve a request takes many turns of theirs."""

AtTurn = Callable[[float], None]
"""Is told, after each turn, the seconds of computing until now; what it raises ends the work."""


@dataclass(slots=True)
class _Turns:
    at_turn: AtTurn
    pause_s: float
    used_s: float = 0.0
    began: float = field(default_factory=time.monotonic)
    computed: float = field(default_factory=time.thread_time)

    def next(self) -> None:
        """Let others run, and go on."""
        # Computing, not time that passes: a busy machine makes no work too long.
        self.used_s += time.thread_time() - self.computed
        self.at_turn(self.used_s)
        time.sleep(self.pause_s)
        self.began, self.computed = time.monotonic(), time.thread_time()


_current: ContextVar[_Turns | None] = ContextVar("long work", default=None)


@contextmanager
def in_turns(
    at_turn: AtTurn = lambda _used_s: None, *, in_background: bool = False
) -> Iterator[None]:
    """Inside, `step` lets others run every few milliseconds. No effect inside another one.

    `in_background`: they get as much time as this takes, because nobody waits for it.
    """
    if _current.get() is not None:
        yield
        return
    token = _current.set(_Turns(at_turn, TURN_S if in_background else 0.0))
    try:
        yield
    finally:
        _current.reset(token)


def step() -> None:
    """One step of something that may take long. Free where nobody takes turns."""
    turns = _current.get()
    if turns is not None and time.monotonic() - turns.began > TURN_S:
        turns.next()
