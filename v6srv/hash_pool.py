"""Where passwords are hashed: a few threads, a bounded queue, and never on the event loop.

A hash is a quarter of a second of computing that anybody may ask for. So no more than a few are
computed at a time, at a lower priority than everything else, and who would have to wait too long
is told to come back.
"""

import heapq
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from gevent import monkey
from gevent.threadpool import ThreadPool

from v6srv.errors import Unavailable

Answer = TypeVar("Answer")

RETRY_AFTER_S = 5
NICENESS = 10


class HashPool:
    """At most `threads` hashes at a time; `queue` more may wait for their turn.

    Under gevent the threads are the pool's own: the hub's also look up names, and must not wait
    for a hash. Elsewhere the caller's thread does the work when its turn has come.
    """

    def __init__(self, threads: int = 0, queue: int = 64) -> None:
        self._threads = threads or max(1, _cores() - 1)
        self._queue = queue
        self._changed = threading.Condition()
        self._tickets = itertools.count()
        self._waiting: list[tuple[bool, int]] = []
        """A heap: who is next stands first."""
        self._working = 0
        self._own: ThreadPool | None = None

    def run(self, work: Callable[..., Answer], *args: object, yielding: bool = False) -> Answer:
        """The answer of `work`; raises Unavailable at once when the queue is full.

        In the order of the calls, but `yielding` ones come after all others and get only half of
        the queue: callers that come again by themselves must not take the places of people.
        """
        with self._turn(yielding):
            if not monkey.is_module_patched("socket"):
                return work(*args)
            if self._own is None:
                self._own = ThreadPool(self._threads)
            answer: Answer = self._own.apply(_politely, (work, *args))
            return answer

    @contextmanager
    def _turn(self, yielding: bool) -> Iterator[None]:
        with self._changed:
            queue = self._queue // 2 if yielding else self._queue
            if len(self._waiting) + self._working >= self._threads + queue:
                raise Unavailable(
                    "Too many log in at this moment, try again in a few seconds", RETRY_AFTER_S
                )
            me = (yielding, next(self._tickets))
            heapq.heappush(self._waiting, me)
            try:
                self._changed.wait_for(
                    lambda: self._working < self._threads and self._waiting[0] == me
                )
            finally:  # also who is stopped while waiting: nobody's turn would come any more
                self._waiting.remove(me)
                heapq.heapify(self._waiting)
                self._changed.notify_all()  # another thread may be free
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()


def _cores() -> int:
    """Those that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _politely(work: Callable[..., Answer], *args: object) -> Answer:
    """Run `work` in a thread of the pool, which gives way to all others of this machine."""
    if sys.platform == "linux":  # elsewhere threads have no priority of their own
        with suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    return work(*args)
