"""As tests/serving/test_killed_processes.py, for longer: `V6SRV_TEST_ROUNDS` says how long."""

import os
from typing import Any

from tests.databases import Databases
from tests.serving.test_killed_processes import INSTALLATIONS, survive

ROUNDS = int(os.environ.get("V6SRV_TEST_ROUNDS", "20"))


@INSTALLATIONS
def test_nothing_acknowledged_is_lost(
    databases: Databases, backend: str, queue: Any, processes: int
) -> None:
    survive(databases, backend, queue, processes, ROUNDS)
