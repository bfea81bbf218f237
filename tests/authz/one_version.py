"""What tests of random policies share: how many examples, and a store that holds one version."""

from hypothesis import HealthCheck, settings

from tests.examples import examples
from v6srv.authz.enforcer import Enforcer

EXAMPLES = settings(
    max_examples=examples(4),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class OneVersion:
    """As `authz.versions.Versions`, of a version that nothing follows."""

    def __init__(self, live: Enforcer, shadow: Enforcer | None = None) -> None:
        self.live, self.shadow = live, shadow

    def follow(self, revision: int) -> Enforcer:
        return self.live
