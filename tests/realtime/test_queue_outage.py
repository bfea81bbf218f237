"""The message queue goes away and comes back: nothing that was committed is lost, and it goes on."""

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
from sqlalchemy import make_url

from tests import world as small_world
from tests.databases import Databases
from tests.live import live_server
from tests.realtime.ears import Ear
from tests.realtime.test_processes import SERVE, START, Pair, rabbitmq_server, redis_server
from v6srv.realtime.managers import GRACE_S, RETRY_S

LONG_S = 10 * (RETRY_S + GRACE_S)
"""How long to wait for what was kept: it comes much sooner, on a quiet machine."""


class Line:
    """A connection to a broker that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._accept()

    def cut(self) -> None:
        """Nobody gets through, and nobody new."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def mend(self) -> None:
        """As before."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._accept()

    def _accept(self) -> None:
        def serve(listening: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while True:
                    here, _ = listening.accept()
                    there = socket.create_connection(self._target)
                    self._ends += [here, there]
                    for ends in ((here, there), (there, here)):
                        threading.Thread(target=_carry, args=ends, daemon=True).start()

        threading.Thread(target=serve, args=(self._listening,), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


Queue = Callable[[], AbstractContextManager[str]]


@contextmanager
def running(
    databases: Databases, backend: str, queue: Queue, command: tuple[str, ...]
) -> Iterator[tuple[Pair, Line]]:
    uri, world = databases.copy(backend, True)
    assert world is not None
    with ExitStack() as stack:
        url = make_url(stack.enter_context(queue()))
        line = Line(url.host or "127.0.0.1", url.port or 0)
        stack.callback(line.cut)
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": url.set(host="127.0.0.1", port=line.port).render_as_string(
                hide_password=False
            ),
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
        }
        first, second = (stack.enter_context(live_server(*command, **environment)) for _ in "12")
        pair = Pair(first, second, world, uri)
        stack.callback(lambda: [ear.close() for ear in pair.ears])
        yield pair, line


def start_task(pair: Pair) -> int:
    body = {
        "name": "average",
        "image": small_world.IMAGE,
        "collaboration_id": pair.world.collab.registry,
        "organizations": [{"id": pair.world.org.north, "input": ""}],
    }
    id: int = pair.call(pair.first, "researcher", "POST", "/task", body)["id"]
    return id


def told_of(ear: Ear) -> list[int]:
    """The tasks that were announced, in the order of their first announcement."""
    return list(dict.fromkeys(ear.named("new_task")))


@pytest.mark.parametrize(
    ("backend", "queue", "command"),
    [
        pytest.param("sqlite", redis_server, START, id="redis-threads"),
        pytest.param("postgresql", rabbitmq_server, SERVE, id="rabbitmq-gevent"),
    ],
)
def test_what_is_committed_while_the_queue_is_away_arrives_in_order(
    databases: Databases, backend: str, queue: Queue, command: tuple[str, ...]
) -> None:
    with running(databases, backend, queue, command) as (pair, line):
        near = pair.listen(pair.first, "collab_admin")
        far = pair.listen(pair.second, "north_registry")
        tasks = [start_task(pair)]
        for ear in (near, far):
            ear.wait("new_task", tasks[0])
        line.cut()
        for _ in range(3):
            tasks.append(start_task(pair))
            near.wait("new_task", tasks[-1])  # its own sockets do not wait for the queue
        line.mend()
        far.wait("new_task", tasks[-1], patience_s=LONG_S)
        tasks.append(start_task(pair))
        for ear in (near, far):
            ear.wait("new_task", tasks[-1], patience_s=LONG_S)
        assert told_of(far) == told_of(near) == tasks
