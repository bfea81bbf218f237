"""`serve --processes N`: several processes behind one port are one server to everybody."""

import json
import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from tests import world as small_world
from tests.databases import Databases
from tests.live import LiveServer, live_server
from tests.realtime.ears import Ear
from tests.realtime.test_processes import Pair, redis_server
from tests.serving.test_start import error_of, start
from tests.serving.wires import Wire
from tests.wire.station import eventually
from v6srv.db import make_engine

COUNT = 3
SERVE = ("-m", "v6srv", "serve", "--processes", str(COUNT))


class Server(Pair):
    """One server of several processes."""

    def __init__(self, server: LiveServer, world: small_world.World, uri: str) -> None:
        super().__init__(server, server, world, uri)
        self.url = f"{server.url}/socket.io/?EIO=4&transport=polling"

    def open_session(self) -> str:
        """The id of a new session of long polling; nobody is connected to the namespace yet."""
        answer = requests.get(self.url, timeout=10)
        return str(json.loads(answer.text[1:])["sid"])

    def session_at(self, number: int) -> str:
        """A session of a certain process."""
        for _ in range(200):
            sid = self.open_session()
            if sid.startswith(f"{number}."):
                return sid
        raise AssertionError(f"process {number} accepts nothing")

    def connections(self) -> list[requests.Session]:
        """One to each process. It stays there: its first request is for a session of it."""
        kept = []
        for number in range(1, COUNT + 1):
            connection = requests.Session()
            url = f"{self.url}&sid={self.session_at(number)}"
            assert connection.post(url, data="3", timeout=10).text == "OK"
            kept.append(connection)
        return kept

    def statuses(self, who: str, path: str) -> list[int]:
        """What each process answers somebody."""
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        return [
            connection.get(self.first.api + path, headers=headers, timeout=10).status_code
            for connection in self.connections()
        ]

    def log_in(self, connection: requests.Session, who: str, password: str) -> int:
        """The status of a login."""
        body = {"username": who, "password": password}
        return connection.post(f"{self.first.api}/token/user", json=body, timeout=10).status_code

    def is_ready(self, number: int) -> bool:
        """Whether a certain process serves."""
        url = f"{self.first.api}/health/ready?process={number}"
        return requests.get(url, timeout=10).status_code == 200

    def ping(self, sid: str) -> requests.Response:
        """The answer to a message of a session, sent on a connection of its own."""
        return requests.post(f"{self.url}&sid={sid}", data="3", timeout=10)


@contextmanager
def serving(databases: Databases, modules: Path) -> Iterator[Server]:
    """A server of `COUNT` processes, all of which serve; what is in `modules` they import first."""
    uri, world = databases.copy("postgresql", True)
    assert world is not None
    with ExitStack() as stack:
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": stack.enter_context(redis_server()),
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_METRICS": "true",
            "PYTHONPATH": str(modules),
        }
        running = stack.enter_context(live_server(*SERVE, **environment))
        eventually(lambda: running.log.read_text().count(f"of {COUNT} serves") == COUNT)
        yield Server(running, world, uri)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("modules")


@pytest.fixture(scope="module")
def running(databases: Databases, modules: Path) -> Iterator[Server]:
    with serving(databases, modules) as found:
        yield found


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    while running.ears:
        running.ears.pop().close()


def test_a_session_is_found_from_every_connection(server: Server) -> None:
    for number in range(1, COUNT + 1):
        sid = server.session_at(number)
        assert {server.ping(sid).text for _ in range(4 * COUNT)} == {"OK"}


def test_a_connection_carries_requests_for_all_of_them(server: Server) -> None:
    sids = [server.session_at(number) for number in (1, 2, 3)] * 2
    wire = Wire(server.first.port)
    for sid in sids:
        path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        assert wire.begin("POST", path, 1, sent=b"3").answer()[2] == b"OK"
        head = b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n"
        assert wire.send(head).answer()[0] == 200


def test_nothing_of_a_request_is_lost_however_it_arrives(server: Server) -> None:
    """Its head in pieces, its body later, the next request with it."""
    body = b"3" + b"\x1e3" * 20_000
    for number in (1, 2, 3):
        sid = server.session_at(number)
        path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        wire = Wire(server.first.port).send(head[:10])
        assert not wire.has_answer(within_s=0.2)
        wire.send(head[10:] + body[:7])
        assert not wire.has_answer(within_s=0.2)
        wire.send(body[7:] + head + body)
        assert [wire.answer()[2] for _ in range(2)] == [b"OK", b"OK"]


def test_sessions_that_nobody_has_are_refused_as_by_one_process(server: Server) -> None:
    for sid in ("1.gone", "2.gone", "3.gone", "4.gone", "x.y", "gone", "", "²."):
        answer = server.ping(sid)
        assert (answer.status_code, "Invalid session" in answer.text) == (400, True)


def test_a_head_that_is_too_large_to_be_handed_over_is_refused(server: Server) -> None:
    line = f"X-Long: {'x' * 8000}\r\n" * 20
    statuses = set()
    for number in (1, 2, 3):
        sid = server.session_at(number)
        path = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n{line}\r\n3"
        statuses |= {Wire(server.first.port).send(head.encode()).answer()[0] for _ in range(4)}
    assert statuses <= {200, 431}


@pytest.mark.parametrize("transports", [["polling"], None, ["websocket"]])
def test_events_reach_the_sockets_of_all_processes(
    server: Server, transports: list[str] | None
) -> None:
    nodes = []
    for _ in range(4 * COUNT):
        node = Ear(server.first.url, "north_registry", transports)
        server.ears.append(node)
        nodes.append(node.connect(server.token("north_registry")))
    for node in nodes:
        node.wait("connect")
    assert len({node.client.eio.sid.partition(".")[0] for node in nodes}) > 1
    body = small_world.average(server.world, "north")
    task_id = server.call(server.first, "researcher", "POST", "/task", body)["id"]
    for node in nodes:
        node.wait("new_task", task_id)
    server.call(server.first, "root", "POST", "/kill/task", {"id": task_id})
    for node in nodes:
        node.wait("kill_containers")
        assert node.named("new_task") == [task_id]


def test_a_process_that_dies_is_replaced_and_the_others_go_on(server: Server) -> None:
    sids = {number: server.session_at(number) for number in (1, 2, 3)}
    before = server.first.workers
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: before[0] not in server.first.workers)
    answers = {number: server.ping(sid) for number, sid in sids.items()}
    lost = [number for number, answer in answers.items() if answer.status_code == 400]
    assert len(lost) == 1
    assert "Invalid session" in answers[lost[0]].text
    health = f"{server.first.api}/health/ready?process={lost[0]}"
    assert requests.get(health, timeout=10).json()["msg"].startswith("This process does not serve")
    eventually(partial(server.is_ready, lost[0]), within_s=120)
    assert len(server.first.workers) == COUNT
    assert {server.ping(server.session_at(lost[0])).text for _ in range(2 * COUNT)} == {"OK"}
    assert "SIGKILL" in server.first.tail()


def test_a_successor_that_cannot_start_is_tried_again_while_the_others_serve(
    server: Server, modules: Path
) -> None:
    broken = modules / "flask_cors.py"
    broken.write_text("raise ImportError('this installation is broken')\n")
    try:
        os.kill(server.first.workers[0], signal.SIGKILL)
        eventually(lambda: "this installation is broken" in server.first.tail(), within_s=120)
        for _ in range(COUNT):
            assert requests.get(f"{server.first.api}/version", timeout=10).status_code == 200
    finally:
        broken.unlink()
    assert server.first.process.poll() is None
    for number in range(1, COUNT + 1):
        eventually(partial(server.is_ready, number), within_s=120)


def test_all_of_them_end_in_order(databases: Databases, tmp_path: Path) -> None:
    with serving(databases, tmp_path) as server:
        for who in ("north_registry", "south_registry", "collab_admin"):
            server.listen(server.first, who)
        workers = server.first.workers
        assert server.first.stop(signal.SIGTERM) == 0, server.first.tail()
        assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
        assert "Traceback" not in server.first.log.read_text()
        for ear in server.ears:
            ear.close()
    engine = make_engine(server.uri)
    with engine.connect() as connection:
        for table in ("socket_connection", "server_process"):
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0
    engine.dispose()


def test_one_prepares_and_each_can_be_told_apart(server: Server) -> None:
    lines = server.first.log.read_text().splitlines()
    assert len([line for line in lines if "default policies were copied" in line]) == 1
    serving = [line for line in lines if "serves" in line]
    told = {int(line.rpartition("process=")[2]) for line in serving}
    assert set(server.first.workers) <= told


@pytest.mark.parametrize("path", ["metrics", "health", "health/ready"])
def test_monitoring_asks_the_process_it_names(server: Server, path: str) -> None:
    url = f"{server.first.api}/{path}"
    for number in range(1, COUNT + 1):
        assert requests.get(url, {"process": number}, timeout=10).status_code == 200
    for nobody in ("0", str(COUNT + 1), "x", "-1"):
        answer = requests.get(url, {"process": nobody}, timeout=10)
        assert answer.status_code == 404
        assert "no such process" in answer.json()["msg"]


def test_the_numbers_are_those_of_one_process(server: Server) -> None:
    def denied(number: int) -> float:
        answer = requests.get(f"{server.first.api}/metrics", {"process": number}, timeout=10)
        lines = [one for one in answer.text.splitlines() if 'effect="deny"' in one]
        return sum(float(line.split()[-1]) for line in lines)

    numbers = range(1, COUNT + 1)
    before = [denied(number) for number in numbers]
    with requests.Session() as kept:  # one process has this connection
        kept.headers["Authorization"] = f"Bearer {server.token('nobody')}"
        for _ in range(3):
            assert kept.get(f"{server.first.api}/task", timeout=10).status_code == 403
    grown = [denied(number) - was for number, was in zip(numbers, before, strict=True)]
    assert sorted(grown) == [0, 0, 3]


def test_wrong_passwords_block_an_account_at_all_of_them(server: Server) -> None:
    connections = server.connections()
    for attempt in range(5):
        assert server.log_in(connections[attempt % COUNT], "east_admin", "wrong") == 401
    for connection in connections:
        assert server.log_in(connection, "east_admin", small_world.PASSWORD) == 401
        assert server.log_in(connection, "east_viewer", small_world.PASSWORD) == 200


def test_failed_logins_are_counted_together(server: Server) -> None:
    connections = server.connections()
    for attempt in range(20):
        assert server.log_in(connections[attempt % COUNT], "stranger", "wrong") == 401
    assert [server.log_in(each, "stranger", "wrong") for each in connections] == [429] * COUNT


def test_a_line_of_the_policy_holds_at_all_of_them_from_the_next_request_on(
    server: Server,
) -> None:
    line = {
        "subject": "role:viewer",
        "resource": "task",
        "scope": "global",
        "operation": "view",
        "condition": "True",
        "effect": "deny",
    }
    assert server.statuses("viewer", "/task") == [200] * COUNT
    id = server.call(server.first, "root", "POST", "/policy/line", line)["id"]
    assert server.statuses("viewer", "/task") == [403] * COUNT
    server.call(server.first, "root", "DELETE", f"/policy/line/{id}", None)
    assert server.statuses("viewer", "/task") == [200] * COUNT


def test_an_edit_of_the_files_reaches_all_of_them(server: Server) -> None:
    file = server.first.instance / "policies" / "local.csv"
    file.write_text("p, role:viewer, task, global, view, True, deny\n")
    eventually(lambda: server.statuses("viewer", "/task") == [403] * COUNT)
    file.unlink()
    eventually(lambda: server.statuses("viewer", "/task") == [200] * COUNT)


def test_each_sees_who_is_online_at_the_others(server: Server) -> None:
    nodes = [server.listen(server.first, "north_registry") for _ in range(2 * COUNT)]
    path = f"/node/{server.world.node.north_registry}"

    def seen() -> set[str]:
        headers = {"Authorization": f"Bearer {server.token('root')}"}
        url = server.first.api + path
        return {
            each.get(url, headers=headers, timeout=10).json()["status"]
            for each in server.connections()
        }

    assert seen() == {"online"}
    for node in nodes[1:]:
        node.close()
    assert seen() == {"online"}
    nodes[0].close()
    eventually(lambda: seen() == {"offline"})


@pytest.mark.parametrize("how", ["option", "setting"])
def test_several_need_a_database_and_a_queue_that_they_can_share(tmp_path: Path, how: str) -> None:
    arguments = ("--processes", "2") if how == "option" else ()
    setting = {"V6SRV_HTTP__PROCESSES": "2"} if how == "setting" else {}
    done = start(tmp_path / "instance", *arguments, **setting)
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert "cannot share SQLite" in first
    assert "use PostgreSQL" in first
    assert "need a message queue" in second
    assert not (tmp_path / "instance").exists()
    queue = {"V6SRV_RABBITMQ_URI": "redis://127.0.0.1:6379/0"}
    error = error_of(start(tmp_path / "instance", *arguments, **setting, **queue))
    assert "cannot share SQLite" in error
