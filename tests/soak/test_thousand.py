"""A thousand nodes of one collaboration (ADR 23). Loopback only."""

import pytest

from tests.crowd import crowd
from tests.hall import hall, log_in
from tests.live import free_port
from tests.realtime.test_crowd_of_processes import check
from v6srv.service.rooms import MOST_TOLD

NODES = 1_000


@pytest.mark.parametrize("queue", ["redis", "rabbitmq"])
def test_every_node_hears_of_every_task_and_nobody_else(queue: str) -> None:
    check(NODES, queue)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_all_come_at_once_and_again_after_a_restart(database: str) -> None:
    """A user who watches is told of each, and what is sent for each is bounded."""
    port = free_port()
    with hall(NODES, database) as place, crowd() as who:
        with place.server(port) as server:
            tokens = log_in(server, place.names)
        for _ in range(2):
            with place.server(port) as server:
                watcher = server.login()["Authorization"].removeprefix("Bearer ")
                who.join([("watcher", port, watcher)])
                who.join([(name, port, token) for name, token in tokens.items()])
                heard = who.wait(lambda now: now["watcher"].counts["node-online"] >= NODES)
                assert heard["watcher"].counts["node-online"] == NODES
                events = sum(heard[name].counts.total() for name in place.names)
                assert events <= NODES * (2 * MOST_TOLD + 2)
            who.leave()
