"""A process that is killed takes nothing with it that was acknowledged; `make kills` goes on."""

import secrets
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest

from tests.databases import Databases
from tests.live import live_server
from tests.realtime.test_processes import Pair, rabbitmq_server, redis_server
from tests.serving.kills import kill_again_and_again

INSTALLATIONS = pytest.mark.parametrize(
    ("backend", "queue", "processes"),
    [
        pytest.param("postgresql", redis_server, 2, id="postgresql-redis"),
        pytest.param("postgresql", rabbitmq_server, 2, id="postgresql-rabbitmq"),
        pytest.param("sqlite", nullcontext, 1, id="sqlite-alone"),
    ],
)


def survive(databases: Databases, backend: str, queue: Any, processes: int, rounds: int) -> None:
    """Start such a server and kill its processes in so many rounds."""
    uri, world = databases.copy(backend, True)
    assert world is not None
    with ExitStack() as stack:
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": stack.enter_context(queue()) or "",
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_HTTP__PROCESSES": str(processes),
        }
        server = stack.enter_context(live_server(**environment))
        kill_again_and_again(Pair(server, server, world, uri), processes, rounds)
        assert "Traceback" not in server.log.read_text()
        assert server.stop() == 0, server.tail()


@INSTALLATIONS
def test_nothing_acknowledged_is_lost(
    databases: Databases, backend: str, queue: Any, processes: int
) -> None:
    survive(databases, backend, queue, processes, rounds=2)
