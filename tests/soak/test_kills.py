"""As tests/serving/test_killed_processes.py, for longer."""

from typing import Any

from tests.databases import Databases
from tests.serving.test_killed_processes import INSTALLATIONS, survive


@INSTALLATIONS
def test_nothing_acknowledged_is_lost(
    databases: Databases, backend: str, queue: Any, processes: int
) -> None:
    survive(databases, backend, queue, processes, rounds=20)
