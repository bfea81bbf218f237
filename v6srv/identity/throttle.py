"""How often something may go wrong: a sliding window per key, in this process."""

import math
import time
from collections import OrderedDict, deque
from threading import Lock

from v6srv.errors import TooManyRequests


class SlidingWindow:
    """At most `limit` events per key within `window_s` seconds.

    Each server process counts for itself. The memory is bounded: beyond `max_keys` the keys that
    have been quiet for longest are forgotten.
    """

    def __init__(self, limit: int, window_s: float, max_keys: int = 10_000) -> None:
        self.limit = limit
        self.window_s = window_s
        self.max_keys = max_keys
        self._events: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def check(self, key: str, message: str = "Too many failed attempts, try again later") -> None:
        """Raise TooManyRequests while the limit of `key` is reached; counts nothing."""
        with self._lock:
            events = self._current(key)
            if len(events) < self.limit:
                return
            wait_s = events[-self.limit] + self.window_s - time.monotonic()
        raise TooManyRequests(message, max(1, math.ceil(wait_s)))

    def note(self, key: str) -> None:
        """Count one event."""
        with self._lock:
            events = self._current(key)
            events.append(time.monotonic())
            self._events[key] = events
            self._events.move_to_end(key)
            while len(self._events) > self.max_keys:
                self._events.popitem(last=False)

    def admit(self, key: str) -> bool:
        """Count one event if the limit allows; says whether it did."""
        try:
            self.check(key)
        except TooManyRequests:
            return False
        self.note(key)
        return True

    def _current(self, key: str) -> deque[float]:
        events = self._events.get(key)
        if events is None:
            return deque(maxlen=self.limit)
        oldest = time.monotonic() - self.window_s
        while events and events[0] <= oldest:
            events.popleft()
        return events
