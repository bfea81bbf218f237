"""The nodes of a collaboration are spread over two processes: all hear of a task, and nobody else.

With a thousand of them: tests/soak/test_thousand.py.
"""

import time
from contextlib import ExitStack

import pytest

from tests.crowd import BOSS, PASSWORD, crowd
from tests.hall import hall, log_in

NODES, TASKS = 40, 5
SOON_S = 1.0


@pytest.mark.parametrize("queue", ["redis", "rabbitmq"])
def test_every_node_hears_of_every_task_and_nobody_else(queue: str) -> None:
    check(NODES, queue)


def check(nodes: int, queue: str) -> None:
    """So many nodes, half of them at each process."""
    with hall(nodes, "postgresql", queue) as place, ExitStack() as stack:
        who = stack.enter_context(crowd())
        servers = [stack.enter_context(place.server()) for _ in range(2)]
        tokens = log_in(servers[0], place.names + place.neighbours)
        headers = servers[0].login(BOSS, PASSWORD)
        comers = enumerate(tokens.items())
        who.join([(name, servers[n % 2].port, token) for n, (name, token) in comers])
        tasks = {place.post_task(servers[n % 2], headers, nodes) for n in range(TASKS)}
        heard = who.wait(lambda now: all(len(now[name].tasks) >= TASKS for name in place.names))
        assert {frozenset(heard[name].tasks) for name in place.names} == {frozenset(tasks)}
        assert {heard[name].counts["new_task"] for name in place.names} == {TASKS}
        assert not any(heard[name].tasks for name in place.neighbours)
        place.keep_out_nodes(servers[0], headers)
        time.sleep(SOON_S)
        place.post_task(servers[1], headers, nodes)
        time.sleep(SOON_S)
        heard = who.heard()
        assert {frozenset(heard[name].tasks) for name in place.names} == {frozenset(tasks)}
