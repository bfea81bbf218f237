"""How often something may go wrong: moving windows, shared by all processes if there is Redis."""

import hmac
import math
import time
from collections.abc import Callable
from typing import TypeVar

from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from v6srv import problems
from v6srv.errors import TooManyRequests

Answer = TypeVar("Answer")

MOST_KEYS = 5_000
"""That one process counts for itself: the oldest are forgotten."""
CLOCK_SLEWS_S = 2.0
"""A clock that is set right by so little may go on counting."""
REDIS_TIMEOUT_S = 0.5
ASK_REDIS_AGAIN_S = 10.0

_PROBLEM = "rate limits"


class _Memory(MemoryStorage):
    """Of this process, and bounded: the library's own keeps every key for ever.

    What was counted later than now was counted by a clock that was ahead, and counts no more.
    """

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count, and forget the oldest of too many keys."""
        self._forget_future(key)
        counted: bool = super().acquire_entry(key, limit, expiry, amount)
        while len(self.events) > MOST_KEYS:
            oldest = next(iter(list(self.events)))
            with self.locks[oldest]:
                self.events.pop(oldest, None)
        return counted

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Since when how much was counted."""
        self._forget_future(key)
        window: tuple[float, int] = super().get_moving_window(key, limit, expiry)
        return window

    def _forget_future(self, key: str) -> None:
        latest = time.time() + CLOCK_SLEWS_S
        if key in self.events and any(each.atime > latest for each in self.events[key]):
            with self.locks[key]:
                self.events[key] = [each for each in self.events[key] if each.atime <= latest]


class Counters:
    """Where events are counted: in Redis if a URL is given and as long as it answers.

    While it does not, each process counts for itself, from zero. Redis learns no names: keys are
    digests under `secret`.
    """

    def __init__(self, redis_url: str | None, secret: str) -> None:
        self._secret = secret.encode()
        self._own = MovingWindowRateLimiter(_Memory())
        self._shared = None
        self._ask_at = 0.0
        if redis_url:
            # By default the client tries again for seconds, and a login would wait for it.
            options = {
                "socket_timeout": REDIS_TIMEOUT_S,
                "socket_connect_timeout": REDIS_TIMEOUT_S,
                "retry": Retry(NoBackoff(), 1),
            }
            storage = RedisStorage(
                redis_url,
                key_prefix="v6srv:limits",
                wrap_exceptions=True,
                **options,  # type: ignore[arg-type]
            )
            self._shared = MovingWindowRateLimiter(storage)

    def key(self, *parts: str) -> str:
        """A digest of what is counted."""
        return hmac.new(
            self._secret, "\x00".join(parts).encode("utf-8", "surrogatepass"), "sha256"
        ).hexdigest()

    def wait_s(self, limit: RateLimitItem, key: str) -> int:
        """Seconds until `key` has room for one more event; 0 when there is room."""

        def look(counters: MovingWindowRateLimiter) -> int:
            if counters.test(limit, key):
                return 0
            ends = counters.get_window_stats(limit, key).reset_time
            return max(1, math.ceil(ends - time.time()))

        return self._ask(look)

    def count(self, limit: RateLimitItem, key: str) -> bool:
        """Count one event; False when there is no room for it."""
        return self._ask(lambda counters: counters.hit(limit, key))

    def _ask(self, question: Callable[[MovingWindowRateLimiter], Answer]) -> Answer:
        """The answer of the counters that all share, else of those of this process."""
        now = time.monotonic()
        if self._shared is None or now < self._ask_at:
            return question(self._own)
        before, self._ask_at = self._ask_at, now + ASK_REDIS_AGAIN_S if self._ask_at else 0.0
        try:
            answer = question(self._shared)
        except StorageError as error:
            self._ask_at = time.monotonic() + ASK_REDIS_AGAIN_S
            problems.begin(
                _PROBLEM,
                "failed logins are counted by each process for itself: Redis does not answer",
                error,
            )
            return question(self._own)
        if before:
            self._ask_at = 0.0
            problems.end(_PROBLEM)
        return answer


class RateLimit:
    """At most so many events of one kind per key, as in `20 per 15 minutes`; empty: no limit."""

    def __init__(self, kind: str, text: str, counters: Counters) -> None:
        self._kind = kind
        self._limits = parse_many(text) if text else []
        self._counters = counters

    def check(self, *key: str) -> None:
        """Raise TooManyRequests while a limit of `key` is reached; counts nothing."""
        digest = self._counters.key(self._kind, *key)
        wait_s = max((self._counters.wait_s(limit, digest) for limit in self._limits), default=0)
        if wait_s:
            raise TooManyRequests("Too many failed attempts, try again later", wait_s)

    def note(self, *key: str) -> bool:
        """Count one event; False when a limit of `key` is reached already."""
        digest = self._counters.key(self._kind, *key)
        counted = [self._counters.count(limit, digest) for limit in self._limits]
        return all(counted)
