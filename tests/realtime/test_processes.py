"""Two server processes share a queue and a database: it does not matter where a socket is (S30)."""

import contextlib
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import kombu
import pytest
import redis
import requests
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from sqlalchemy import update
from sqlalchemy.orm import Session

from tests import world as small_world
from tests.databases import Databases
from tests.live import FLASK_RUN, LiveServer, free_port, live_server
from tests.realtime.conftest import serving
from tests.realtime.ears import Ear
from tests.support import Caller, open_app
from tests.world import World
from v6srv.db import make_engine, utcnow
from v6srv.model import Node, Outbox, PolicyRevision
from v6srv.realtime import announcer

SOON_S = 1.0

THREADS = ("-c", FLASK_RUN)
GEVENT: tuple[str, ...] = ()


class Pair:
    """Two processes of one installation, and the sockets and requests of a test."""

    def __init__(self, first: LiveServer, second: LiveServer, world: World, uri: str) -> None:
        self.first = first
        self.second = second
        self.world = world
        self.uri = uri
        self.ears: list[Ear] = []
        self._tokens: dict[str, str] = {}

    def listen(self, server: LiveServer, who: str) -> Ear:
        """A connected socket at one of the servers."""
        ear = Ear(server.url, who)
        self.ears.append(ear)
        ear.connect(self.token(who))
        ear.wait("connect")
        return ear

    def call(self, server: LiveServer, who: str, method: str, path: str, body: Any) -> Any:
        """The JSON answer to a request that must succeed; `viewer in 4` is a program of 4.x."""
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        base = f"{server.url}/v4/api" if who.endswith(" in 4") else server.api
        answer = requests.request(method, f"{base}{path}", json=body, headers=headers, timeout=10)
        assert answer.ok, answer.text
        return answer.json()

    def token(self, who: str) -> str:
        """A token from a login at the first server; `viewer in 4` logs in as a program of 4.x."""
        if who not in self._tokens:
            name, _, dialect = who.partition(" in ")
            base = f"{self.first.url}/v4/api" if dialect == "4" else self.first.api
            kind, body = "user", {"username": name, "password": small_world.PASSWORD}
            if hasattr(self.world.node, name):
                kind, body = "node", {"api_key": small_world.api_key(name)}
            answer = requests.post(f"{base}/token/{kind}", json=body, timeout=10)
            self._tokens[who] = answer.json()["access_token"]
        return self._tokens[who]


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis: the one on the standard port, or a private one."""
    standard = "redis://127.0.0.1:6379/0"
    with contextlib.suppress(redis.ConnectionError):
        redis.Redis.from_url(standard).ping()
        yield standard
        return
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("there is no Redis here")
    port = free_port()
    arguments = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port, retry=Retry(ConstantBackoff(0.1), 50))
        client.ping()
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def rabbitmq_server() -> Iterator[str]:
    """The URL of the RabbitMQ on the standard port."""
    url = "amqp://guest:guest@127.0.0.1:5672//"
    try:
        with kombu.Connection(url, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1)
    except kombu.exceptions.OperationalError:
        pytest.skip("there is no RabbitMQ here")
    yield url


CASES = [
    pytest.param(("sqlite", redis_server, THREADS), id="sqlite-redis-threads"),
    pytest.param(("postgresql", rabbitmq_server, GEVENT), id="postgresql-rabbitmq-gevent"),
]


@pytest.fixture(params=CASES, scope="module")
def running(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Any]:
    backend, queue, command = request.param
    uri, world = databases.copy(backend, True)
    with ExitStack() as stack:
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": stack.enter_context(queue()),
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
        }
        servers = [stack.enter_context(live_server(*command, **environment)) for _ in range(2)]
        yield *servers, world, uri


@pytest.fixture
def pair(running: Any) -> Iterator[Pair]:
    found = Pair(*running)
    yield found
    for ear in found.ears:
        ear.close()


def test_an_event_reaches_the_sockets_of_the_other_process_once(pair: Pair):
    far, near = pair.listen(pair.second, "north_registry"), pair.listen(pair.first, "collab_admin")
    body = small_world.average(pair.world, "north")
    task_id = pair.call(pair.first, "researcher", "POST", "/task", body)["id"]
    for ear in (near, far):
        ear.wait("new_task", task_id)
    far.quiet()
    assert far.named("new_task") == near.named("new_task") == [task_id]


def test_each_dialect_hears_of_what_happens_at_the_other_process(pair: Pair):
    """Rendered where it is told: one message goes through the queue."""
    old, new = pair.listen(pair.second, "collab_admin"), pair.listen(pair.second, "root in 4")
    node = pair.listen(pair.first, "south_registry in 4")
    task_id = pair.call(
        pair.first, "researcher", "POST", "/task", small_world.average(pair.world, "south")
    )["id"]
    for ear in (node, new):
        ear.wait("new_task", {"id": task_id, "parent_id": None})
    old.wait("new_task", task_id)
    run_id = pair.call(pair.first, "root", "GET", f"/task/{task_id}/result", None)[0]["id"]
    lines = [f"line {number}\n" for number in range(100)]
    for line in lines:
        node.say("algorithm_log", {"run_id": run_id, "task_id": task_id, "log": line})
    node.say("algorithm_status_change", {"run_id": run_id, "status": "active"})
    new.wait("algorithm_status_change")
    old.wait("algorithm_status_change")
    told = new.named("algorithm_log")
    assert "".join(one["log"] for one in told) == "".join(lines)
    assert old.named("algorithm_log") == []
    assert old.named("task_created")
    assert new.named("task_created") == []
    assert len(old.named("new_task")) == len(new.named("new_task")) == 1


def test_each_process_decides_who_of_its_sockets_hears_a_log(pair: Pair):
    run_id, task_id = pair.world.result["running", "south"], pair.world.task.running
    rules = [pair.world.rule["event", "GLOBAL", "VIEW"]]
    pair.call(pair.first, "root", "PATCH", f"/user/{pair.world.user.nobody}", {"rules": rules})
    node = pair.listen(pair.first, "south_registry in 4")
    may = [pair.listen(server, "root in 4") for server in (pair.first, pair.second)]
    others = [pair.listen(server, "nobody in 4") for server in (pair.first, pair.second)]
    node.say("algorithm_log", {"run_id": run_id, "task_id": task_id, "log": "secret\n"})
    node.say("algorithm_status_change", {"run_id": run_id, "status": "pending"})
    for ear in (*may, *others):
        ear.wait("algorithm_status_change")
    assert [ear.named("algorithm_log")[0]["log"] for ear in may] == ["secret\n", "secret\n"]
    assert [ear.named("algorithm_log") for ear in others] == [[], []]


def test_what_a_node_showed_to_one_process_is_known_to_the_other_soon(pair: Pair):
    node = pair.listen(pair.second, "north_registry")
    engine = make_engine(pair.uri)
    for generation in (4, 3):  # as the first process writes what a request has shown it
        with Session(engine) as sess:
            sess.execute(
                update(Node)
                .where(Node.id == pair.world.node.north_registry)
                .values(generation=generation)
            )
            PolicyRevision.raise_(sess, PolicyRevision.members)
            sess.commit()
        time.sleep(SOON_S)
        body = small_world.average(pair.world, "north")
        sender = "researcher in 4" if generation == 4 else "researcher"
        task_id = pair.call(pair.first, sender, "POST", "/task", body)["id"]
        node.wait("new_task", {"id": task_id, "parent_id": None} if generation == 4 else task_id)
    engine.dispose()
    assert len(node.named("new_task")) == 2


def test_nodes_come_and_go_for_everybody(pair: Pair):
    watcher = pair.listen(pair.first, "south_registry")
    node = pair.listen(pair.second, "north_registry")
    card = {
        "id": pair.world.node.north_registry,
        "name": "north_registry",
        "org_id": pair.world.org.north,
    }
    watcher.wait("node-online", card)
    node.close()
    watcher.wait("node-offline", card)
    watcher.quiet()
    assert watcher.named("node-online") == watcher.named("node-offline") == [card]


def test_sockets_of_one_node_at_two_processes_are_counted_together(pair: Pair):
    first = pair.listen(pair.first, "north_registry")
    second = pair.listen(pair.second, "north_registry")
    watcher = pair.listen(pair.second, "south_registry")
    first.close()
    watcher.quiet()
    assert watcher.named("node-offline") == []
    second.close()
    watcher.wait("node-offline")


def test_a_right_that_is_taken_at_one_process_is_gone_at_the_other(pair: Pair):
    user, root = (pair.listen(pair.second, who) for who in ("second_root", "root"))
    pair.call(pair.first, "root", "PATCH", f"/user/{pair.world.user.second_root}", {"roles": []})
    root.wait("message", f"second_root left room collaboration_{pair.world.collab.trial}")
    before = len(user.heard)
    pair.listen(pair.first, "south_trial")
    user.quiet()
    assert user.heard[before:] == []


def test_what_a_dead_process_left_behind_is_sent_by_one_of_the_others(pair: Pair):
    ear = pair.listen(pair.second, "south_trial")
    engine = make_engine(pair.uri)
    with Session(engine) as sess:
        sess.add(
            Outbox(
                process="a process that died after its commit",
                event="new_task",
                payload=4711,
                rooms=[f"collaboration_{pair.world.collab.trial}"],
                created_at=utcnow() - timedelta(minutes=1),
            )
        )
        sess.commit()
    engine.dispose()
    ear.wait("new_task", 4711, patience_s=8)
    time.sleep(announcer.SWEEP_EVERY_S + 0.5)
    assert ear.named("new_task") == [4711]


def test_the_nodes_of_a_process_that_stops_are_offline_for_the_others(databases: Databases):
    uri, world = databases.copy("sqlite", True)
    assert world is not None
    with redis_server() as queue:
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": queue,
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
        }
        with live_server(**environment) as staying, live_server(**environment) as going:
            pair = Pair(staying, going, world, uri)
            for node in ("north_registry", "south_registry"):
                pair.listen(going, node)
            watcher = pair.listen(staying, "collab_admin")
            assert going.stop(signal.SIGTERM) == 0, going.tail()
            for node in ("north_registry", "south_registry"):
                watcher.wait_for(
                    lambda heard, node=node: (
                        heard[0] == "node-offline" and heard[1]["name"] == node
                    ),
                    f"that {node} is offline",
                )
            for ear in pair.ears:
                ear.close()


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_without_the_queue_the_sockets_of_this_process_are_served(
    databases: Databases, scheme: str
):
    dead = f"{scheme}://127.0.0.1:{free_port()}/"
    with (
        open_app(databases, "sqlite", True, rabbitmq_uri=dead) as (app, world),
        serving(app) as url,
    ):
        assert world is not None
        call = Caller(app)
        node = Ear(url, "node").connect(call.token("north_registry"))
        node.wait("connect", patience_s=15)
        path = f"/result/{world.result['running', 'north']}"
        assert call("north_registry", "PATCH", path, json={"status": "active"}).status_code == 200
        node.wait("status_update")
        node.close()
