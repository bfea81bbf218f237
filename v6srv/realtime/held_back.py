"""What sockets are told waits while it is decided who may still hear it."""

import logging
import threading
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

Tell = Callable[[], object]


class HeldBack:
    """Passes on what rooms are told, at once or, while it holds, later; always in the order in
    which it came.

    Nobody who tells something waits, so nobody can wait for each other.
    """

    def __init__(self, start: Callable[[Tell], object]) -> None:
        """`start` runs something beside all else."""
        self._start = start
        self._lock = threading.Lock()
        """Held for changes of the next three, and not while somebody is told something."""
        self.holds = False
        self._waiting: deque[Tell] = deque()
        self._busy = False
        """What waited is being told."""

    def pass_on(self, tell: Tell) -> None:
        """Tell now, or as soon as nothing is held back that came before."""
        with self._lock:
            if self.holds or self._busy or self._waiting:
                self._waiting.append(tell)
                return
        tell()

    def hold(self) -> None:
        """Let nothing through from now on."""
        with self._lock:
            self.holds = True

    def release(self) -> None:
        """Let through what waits, beside the caller, and all that comes after it."""
        with self._lock:
            self.holds = False
            if self._busy or not self._waiting:
                return
            self._busy = True
        self._start(self._tell_what_waits)

    def forget(self) -> None:
        """Nobody is there any more whom what waits concerns."""
        with self._lock:
            self._waiting.clear()

    def _tell_what_waits(self) -> None:
        while True:
            with self._lock:
                if self.holds or not self._waiting:
                    self._busy = False
                    return
                tell = self._waiting.popleft()
            try:
                tell()
            except Exception:  # other events must not wait
                log.exception("something that was held back was not sent")
