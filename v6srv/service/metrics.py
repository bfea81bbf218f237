"""Numbers about this process for Prometheus, read when they are asked for."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from v6srv import problems
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.source.live import store_of
from v6srv.service import retention

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(authz: Authorizer) -> str:
    """All metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Policy(authz))
    registry.register(_Retention())
    registry.register(_Problems())
    return generate_latest(registry).decode()


class _Policy:
    """What monitoring wants to know of the policy."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        store = store_of(self._authz)
        live = GaugeMetricFamily(
            "v6srv_policy_live", "The policy that decides, always 1", labels=("version",)
        )
        live.add_metric((store.live.version,), 1)
        yield live
        yield GaugeMetricFamily(
            "v6srv_policy_lines", "Lines of the live policy", value=len(store.live.lines)
        )
        yield GaugeMetricFamily(
            "v6srv_policy_problems",
            "What keeps the newest version from going live; 0 when it is live",
            value=len(store.problems),
        )
        shadow = self._authz.shadow
        yield GaugeMetricFamily(
            "v6srv_policy_shadow_active",
            "Whether a candidate is asked in shadow",
            value=store.shadow is not None,
        )
        yield GaugeMetricFamily(
            "v6srv_policy_shadow_disagreements",
            "Different questions that the candidate in shadow would answer otherwise",
            value=shadow.disagreements.count if shadow else 0,
        )
        written = self._authz.decisions
        yield GaugeMetricFamily(
            "v6srv_decision_log_problem",
            "Whether decisions cannot be logged now",
            value=written is not None and written.problem is not None,
        )
        decisions = CounterMetricFamily(
            "v6srv_decisions", "Decisions of this process", labels=("effect",)
        )
        for effect, number in self._authz.counts.items():
            decisions.add_metric((effect.value,), number)
        yield decisions


class _Retention:
    """What is deleted because it is not to be kept any longer."""

    def collect(self) -> Iterator[Metric]:
        """Two counters."""
        for what, number in (
            ("tasks", retention.total.tasks),
            ("results", retention.total.results),
        ):
            text = f"Which {what} this process has emptied: their data was kept for long enough"
            yield CounterMetricFamily(f"v6srv_emptied_{what}", text, value=number)


class _Problems:
    """What an admin should look at."""

    def collect(self) -> Iterator[Metric]:
        """One line for each standing problem; none when there is none."""
        standing = GaugeMetricFamily(
            "v6srv_problem",
            "A problem of this process, 1 for as long as it lasts",
            labels=("problem",),
        )
        for problem in problems.standing():
            standing.add_metric((problem,), 1)
        yield standing
