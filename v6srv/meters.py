"""What this process counts while it works, under the names that `/metrics` shows.

Counting is one call where it happens; a label never holds a name, an address or an id.
"""

import time
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # twice as many lines, which nobody asks for

REGISTRY = CollectorRegistry()

HTTP_REQUESTS = Counter(
    "http_requests",
    "Requests answered, by the pattern of their path",
    ("method", "route", "status"),
    registry=REGISTRY,
)
HTTP_SECONDS = Histogram(
    "http_request_duration_seconds",
    "From a request that was read to its answer",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
DECISIONS = Counter(
    "policy_decisions",
    "Decisions of the policy",
    ("resource", "operation", "effect"),
    registry=REGISTRY,
)
DECISION_SECONDS = Histogram(
    "policy_decision_seconds",
    "From a question to its decision, with the row that it is about",
    buckets=(0.00001, 0.0001, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1),
    registry=REGISTRY,
)
RELOADS = Counter(
    "policy_reload",
    "Versions of the policy that were made: live, or refused",
    ("result",),
    registry=REGISTRY,
)
SOCKETS = Gauge("socket_connections", "Sockets that are seated", ("kind",), registry=REGISTRY)
ROOMS = Gauge("socket_rooms", "Rooms of Socket.IO with somebody in them", registry=REGISTRY)
EVICTIONS = Counter(
    "socket_evictions",
    "Sockets that were put out of a room, or closed because their token had ended",
    ("reason",),
    registry=REGISTRY,
)
LOGINS = Counter("login_attempts", "Attempts to log in", ("kind", "result"), registry=REGISTRY)
REUSED_TOKENS = Counter(
    "refresh_tokens_reused",
    "Sessions that ended because a refresh token that was replaced was used again",
    ("kind",),
    registry=REGISTRY,
)
MAILS = Counter("mail_sent", "Mails handed to the mail server", ("result",), registry=REGISTRY)
LOOP_LAG = Histogram(
    "event_loop_lag_seconds",
    "How much later than it asked a greenlet got its turn",
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
    registry=REGISTRY,
)
EMPTIED = Counter(
    "retention_emptied",
    "Tasks and results whose data was deleted because it had been kept for long enough",
    ("what",),
    registry=REGISTRY,
)

for _counter, _labels in (
    (RELOADS, (("live",), ("partial",), ("refused",))),
    (EVICTIONS, (("room",), ("token",))),
    (LOGINS, (("user", "granted"), ("user", "failed"), ("node", "granted"), ("node", "failed"))),
    (REUSED_TOKENS, (("user",), ("node",))),
    (MAILS, (("sent",), ("failed",))),
    (EMPTIED, (("tasks",), ("results",))),
):
    for _each in _labels:
        _counter.labels(*_each)  # 0 from the start: what appears with 1 is no increase


def decision(resource: str, operation: str, effect: str, begun_ns: int) -> None:
    """One more decision, begun when `time.perf_counter_ns` said so.

    A look-up less than `labels`, for there is one in each request.
    """
    _decisions(resource, operation, effect).inc()
    DECISION_SECONDS.observe((time.perf_counter_ns() - begun_ns) / 1e9)


@cache
def _decisions(resource: str, operation: str, effect: str) -> Counter:
    return DECISIONS.labels(resource, operation, effect)
