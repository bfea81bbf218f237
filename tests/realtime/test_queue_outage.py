"""The message queue goes away and comes back: nothing that was committed is lost, and it goes on."""

import contextlib
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import SimpleNamespace

import pytest
import redis
import requests
from sqlalchemy import make_url

from tests import world as small_world
from tests.databases import Databases
from tests.live import LiveServer, live_server
from tests.realtime.conftest import eventually, serving
from tests.realtime.ears import Ear
from tests.realtime.test_processes import GEVENT, THREADS, Pair, rabbitmq_server, redis_server
from tests.support import Caller, open_app
from v6srv.realtime import managers
from v6srv.realtime.managers import GRACE_S, RETRY_S
from v6srv.realtime.sealed import Sealed

AWAY = "message queue: cannot be reached; other processes hear of events later"
PAUSE_S = 0.1
"""Between two tasks: nothing hangs on how many there are, and each is work for all."""
LONG_S = 10 * (RETRY_S + GRACE_S)
"""How long to wait for what was kept: it comes much sooner, on a quiet machine."""


class Line:
    """A connection to a broker that can be cut and mended, or frozen and thawed."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._flows = threading.Event()
        self._flows.set()
        self._accept()

    def freeze(self) -> None:
        """Connections stay, and new ones are accepted; nothing is carried."""
        self._flows.clear()

    def thaw(self) -> None:
        """What was held back arrives."""
        self._flows.set()

    def cut(self) -> None:
        """Nobody gets through, and nobody new."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def addresses(self) -> set[str]:
        """What the broker takes for the other ends of what goes through here."""
        names = set()
        for end in list(self._ends)[1::2]:
            with contextlib.suppress(OSError):
                host, port = end.getsockname()
                names.add(f"{host}:{port}")
        return names

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
                        threading.Thread(
                            target=_carry, args=(*ends, self._flows), daemon=True
                        ).start()

        threading.Thread(target=serve, args=(self._listening,), daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, flows: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            flows.wait()
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
    body = small_world.average(pair.world, "north")
    id: int = pair.call(pair.first, "researcher", "POST", "/task", body)["id"]
    return id


def told_of(ear: Ear) -> list[int]:
    """The tasks that were announced, in the order of their first announcement."""
    return list(dict.fromkeys(ear.named("new_task")))


def problems(server: LiveServer) -> list[str]:
    """What `/health` says about the queue."""
    found = requests.get(f"{server.api}/health", timeout=10).json().get("problems", [])
    return [problem for problem in found if "queue" in problem]


kinds = pytest.mark.parametrize(
    ("backend", "queue", "command"),
    [
        pytest.param("sqlite", redis_server, THREADS, id="redis-threads"),
        pytest.param("postgresql", rabbitmq_server, GEVENT, id="rabbitmq-gevent"),
    ],
)


@kinds
def test_a_queue_that_hangs_makes_nobody_wait(
    databases: Databases, backend: str, queue: Queue, command: tuple[str, ...]
) -> None:
    """Requests are answered and own sockets hear events while it hangs; the others do later."""
    with running(databases, backend, queue, command) as (pair, line):
        near = pair.listen(pair.first, "collab_admin")
        far = pair.listen(pair.second, "north_registry")
        tasks = [start_task(pair)]
        for ear in (near, far):
            ear.wait("new_task", tasks[0])
        assert problems(pair.first) == problems(pair.second) == []
        line.freeze()
        while not (problems(pair.first) and problems(pair.second)) or len(tasks) < 10:
            tasks.append(start_task(pair))
            near.wait("new_task", tasks[-1])
            assert len(tasks) < 1000, "nobody noticed"
            time.sleep(PAUSE_S)
        assert told_of(far) == tasks[:1]
        line.thaw()
        far.wait("new_task", tasks[-1], patience_s=LONG_S)
        tasks.append(start_task(pair))
        for ear in (near, far):
            ear.wait("new_task", tasks[-1], patience_s=LONG_S)
        assert told_of(far) == told_of(near) == tasks
        eventually(lambda: (problems(pair.first), problems(pair.second)), ([], []), LONG_S)
        for server in (pair.first, pair.second):
            log = server.log.read_text()
            assert log.count("message queue: cannot be reached") <= 4, log  # began, over
            assert "Traceback" not in log, log


@pytest.mark.parametrize("queue", [redis_server, rabbitmq_server], ids=["redis", "rabbitmq"])
def test_a_queue_that_is_away_at_start_is_in_the_log_and_in_health(
    databases: Databases, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    with ExitStack() as stack:
        url = make_url(stack.enter_context(queue()))
        line = Line(url.host or "127.0.0.1", url.port or 0)
        line.cut()
        uri = url.set(host="127.0.0.1", port=line.port).render_as_string(hide_password=False)
        opened = open_app(databases, "sqlite", True, rabbitmq_uri=uri)
        app, _world = stack.enter_context(opened)
        call = Caller(app)

        def told() -> list[str]:
            return call(None, "GET", "/health").json.get("problems", [])  # type: ignore[no-any-return]

        stack.enter_context(serving(app))
        eventually(told, [AWAY], LONG_S)
        time.sleep(2 * RETRY_S)  # it is tried again meanwhile, and not told again
        line.mend()
        stack.callback(line.cut)
        eventually(told, [], LONG_S)
        begun = [one for one in caplog.records if one.getMessage().startswith(AWAY)]
        over = [one for one in caplog.records if one.getMessage() == f"over: {AWAY}"]
        assert [(one.levelname, one.exc_info) for one in begun] == [("ERROR", None)]
        assert len(over) == 1


@kinds
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


@pytest.mark.parametrize(
    ("backend", "command"), [("sqlite", THREADS), ("postgresql", GEVENT)], ids=["threads", "gevent"]
)
def test_nothing_is_lost_while_processes_only_cannot_hear(
    databases: Databases, backend: str, command: tuple[str, ...]
) -> None:
    """Publishing succeeds all the time: what was published and not heard is made up for."""
    with running(databases, backend, redis_server, command) as (pair, line), redis_server() as url:
        far = pair.listen(pair.second, "north_registry")
        tasks = [start_task(pair)]
        far.wait("new_task", tasks[0])
        end = time.monotonic() + 5
        broker = redis.Redis.from_url(url)
        killed = 0
        while time.monotonic() < end:
            for one in broker.client_list(_type="pubsub"):
                if one["addr"] in line.addresses():  # others use this Redis, too
                    broker.client_kill_filter(addr=one["addr"])
                    killed += 1
            tasks.append(start_task(pair))
            time.sleep(PAUSE_S)
        assert killed > 2, "nobody was cut off"
        eventually(lambda: sorted(told_of(far)), tasks, LONG_S)
        assert len(far.named("new_task")) == len(tasks)  # each once


def test_a_queue_that_answers_after_a_hang_is_back_since_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others notice at the same time, at the earliest: what is published at once nobody hears."""
    now = 100.0
    monkeypatch.setattr(managers, "time", SimpleNamespace(monotonic=lambda: now, sleep=time.sleep))
    queue = managers._Redis("redis://127.0.0.1:1", "channel", Sealed("of tests"))
    queue._lost("publish", TimeoutError("no answer"))

    def hang() -> None:
        nonlocal now
        now += managers.TIMEOUT_S  # and then it answers

    monkeypatch.setattr(queue, "_ask", hang)
    now += RETRY_S
    assert not queue.ready()
    monkeypatch.setattr(queue, "_ask", lambda: None)
    now += GRACE_S - 0.1
    assert not queue.ready()
    now += 0.2
    assert queue.ready()
    queue.close()
