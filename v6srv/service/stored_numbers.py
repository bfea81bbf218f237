"""Numbers of the database for monitoring: nodes, tasks, runs and events that wait."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Select, distinct, func, select

from v6srv.db import reading, session
from v6srv.errors import DatabaseUnavailable
from v6srv.model import Node, Outbox, Result, Task
from v6srv.service.presence import ONLINE
from v6srv.vocabulary import ResultStatus

REST_S = 15.0
"""So long numbers are shown again, however often anybody asks for them."""
REST_FACTOR = 20
"""And so many times as long as it took to count them: counting takes a twentieth of one processor
at most, however large the tables are."""

_OTHER = "other"
_WORDS = {status.value for status in ResultStatus}


@dataclass(frozen=True, slots=True)
class _Counted:
    """What there was when it was counted."""

    nodes_online: int = 0
    tasks: int = 0
    open_tasks: int = 0
    runs: Counter[str] = field(default_factory=Counter)
    waiting: int = 0


class StoredNumbers:
    """Collects them; without a database there are none, for that is a problem of its own."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted: _Counted | None = None
        self._again_at = 0.0

    def collect(self) -> Iterator[Metric]:
        """The metrics, at most as old as the two figures above say."""
        counted = self._now()
        if counted is None:
            return
        yield GaugeMetricFamily("nodes_online", "Nodes that are online", counted.nodes_online)
        tasks = GaugeMetricFamily(
            "tasks", "Tasks; open ones have runs to be done", labels=["status"]
        )
        tasks.add_metric(["open"], counted.open_tasks)
        tasks.add_metric(["done"], counted.tasks - counted.open_tasks)
        yield tasks
        runs = GaugeMetricFamily("runs", "Runs, by what their nodes said last", labels=["status"])
        for status in (*sorted(_WORDS), _OTHER):
            runs.add_metric([status], counted.runs[status])
        yield runs
        yield GaugeMetricFamily(
            "outbox_pending", "Events that are committed and not sent yet", counted.waiting
        )

    def _now(self) -> _Counted | None:
        with self._lock:
            if time.monotonic() < self._again_at:
                return self._counted
            begun = time.monotonic()
            try:
                with reading():
                    self._counted = _count()
            except DatabaseUnavailable:
                self._counted = None
            took = time.monotonic() - begun
            self._again_at = time.monotonic() + max(REST_S, took * REST_FACTOR)
            return self._counted


def _count() -> _Counted:
    open_tasks = select(func.count(distinct(Result.task_id))).where(Result.finished_at.is_(None))
    by_status = select(Result.status, func.count()).group_by(Result.status)
    runs: Counter[str] = Counter()
    for status, number in session.execute(by_status):
        runs[status if status in _WORDS else _OTHER] += number
    return _Counted(
        nodes_online=_number(select(func.count()).where(Node.status == ONLINE)),
        tasks=_number(select(func.count()).select_from(Task)),
        open_tasks=_number(open_tasks),
        runs=runs,
        waiting=_number(select(func.count()).where(Outbox.sent_at.is_(None))),
    )


def _number(query: Select[int]) -> int:
    return session.scalar(query) or 0
