"""Numbers for Prometheus: what this process counts, and what is as it is now."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from sqlalchemy.pool import QueuePool

from v6srv import meters, problems
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.live import store_of
from v6srv.db import session
from v6srv.service.stored_numbers import StoredNumbers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(authz: Authorizer, stored: StoredNumbers) -> str:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    for each in (_Policy(authz), _Connections(), _Problems(), stored, meters.REGISTRY):
        registry.register(each)
    return generate_latest(registry).decode()


class _Policy:
    """What monitoring wants to know of the policy."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        store, shadow = store_of(self._authz), self._authz.shadow
        written = self._authz.decisions
        yield InfoMetricFamily("policy", "The policy that decides", {"version": store.live.version})
        for name, text, value in (
            ("policy_lines", "Lines of the live policy", len(store.live.lines)),
            (
                "policy_problems",
                "What keeps the newest version from going live; 0 when it is live",
                len(store.problems),
            ),
            (
                "policy_shadow_active",
                "Whether a candidate is asked in shadow",
                store.shadow is not None,
            ),
            (
                "policy_shadow_disagreements",
                "Different questions that the candidate in shadow would answer otherwise",
                shadow.disagreements.count if shadow else 0,
            ),
            (
                "decision_log_problem",
                "Whether decisions cannot be logged now",
                written is not None and written.problem is not None,
            ),
        ):
            yield GaugeMetricFamily(name, text, value)


class _Connections:
    """The pool of connections to the database."""

    def collect(self) -> Iterator[Metric]:
        """None for a database in memory, which has one connection."""
        pool = session.get_bind().engine.pool
        if not isinstance(pool, QueuePool):
            return
        family = GaugeMetricFamily(
            "database_connections", "Connections of this process to the database", labels=["state"]
        )
        family.add_metric(["in use"], pool.checkedout())
        family.add_metric(["idle"], pool.checkedin())
        yield family


class _Problems:
    """What an admin should look at."""

    def collect(self) -> Iterator[Metric]:
        """One line for each standing problem; none when there is none."""
        standing = GaugeMetricFamily(
            "standing_problem",
            "A problem of this process, 1 for as long as it lasts",
            labels=["problem"],
        )
        for problem in problems.standing():
            standing.add_metric([problem], 1)
        yield standing
