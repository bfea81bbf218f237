"""SIGTERM and Ctrl-C: sockets go first and come back by themselves, requests end, all is kept."""

import json
import signal
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import requests
import socketio

from tests.live import LiveServer, free_port, live_server
from tests.serving.sockets import RawSocket
from tests.serving.wires import Wire
from tests.wire.station import eventually

LONG = {"V6SRV_HTTP__SHUTDOWN_S": "60"}
"""Whoever waits for this long is noticed: `LiveServer.stop` has less patience."""


def _rows(server: LiveServer, query: str) -> list[Any]:
    database = next(server.instance.glob("*.sqlite"))
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(query).fetchall()


def test_sockets_polls_and_kept_connections_do_not_hold_up_the_end() -> None:
    with live_server(**LONG) as server:
        headers = server.login()
        sockets = [RawSocket(server.port, headers) for _ in range(50)]
        for sock in sockets:
            sock.wait()
        poll = _long_poll(server, headers)
        kept = Wire(server.port).send(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.answer()[0] == 200
        silent = Wire(server.port)
        assert _rows(server, "SELECT count(*) FROM socket_connection") == [(51,)]
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert "Traceback" not in server.tail()
        for sock in sockets:
            words = sock.last_words()
            assert not [word for word in words if word.startswith(("1", "41"))], words
        assert poll.is_closed()
        assert kept.is_closed()
        assert silent.is_closed()
        assert _rows(server, "SELECT count(*) FROM socket_connection") == [(0,)]
        assert _rows(server, "SELECT status FROM authenticatable WHERE id = 1") == [("offline",)]


def _long_poll(server: LiveServer, headers: dict[str, str]) -> Wire:
    """A connection on which a request of Socket.IO's long polling waits for an event."""
    url = f"{server.url}/socket.io/?EIO=4&transport=polling"
    sid = requests.get(url, headers=headers, timeout=5).text.split('"')[3]
    assert requests.post(f"{url}&sid={sid}", data="40/tasks,", timeout=5).text == "OK"
    while "40/tasks" not in requests.get(f"{url}&sid={sid}", timeout=5).text:
        pass
    path = f"{url}&sid={sid}".removeprefix(server.url)
    return Wire(server.port).send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def test_a_request_that_has_begun_is_served_after_the_sockets_are_closed() -> None:
    body = b'{"name": "the last one"}'
    with live_server(**LONG) as server:
        headers = server.login()
        sock = RawSocket(server.port, headers)
        sock.wait()
        begun = Wire(server.port).begin(
            "POST",
            "/api/organization",
            len(body),
            f"Authorization: {headers['Authorization']}",
            sent=body[:5],
        )
        requests.get(f"{server.api}/version", timeout=5)  # by now the other one is being served
        server.process.send_signal(signal.SIGTERM)
        sock.last_words()
        eventually(lambda: _is_refused(server))
        begun.send(body[5:])
        status, answer, _ = begun.answer()
        assert (status, answer["connection"]) == (201, "close")
        assert server.process.wait(timeout=20) == 0, server.tail()
        assert _rows(server, "SELECT name FROM organization WHERE name = 'the last one'")


def _is_refused(server: LiveServer) -> bool:
    try:
        Wire(server.port).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_server_that_stops_is_not_ready() -> None:
    with live_server(**LONG) as server:
        asked = Wire(server.port).send(b"GET /api/health/ready HTTP/1.1\r\nHost: x\r\n")
        requests.get(f"{server.api}/version", timeout=5)  # by now the head has begun to come
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: _is_refused(server))
        status, _, body = asked.send(b"\r\n").answer()
        assert status == 503
        assert json.loads(body) == {"ready": False, "reasons": ["the server is stopping"]}
        assert server.process.wait(timeout=20) == 0, server.tail()


def test_a_request_that_does_not_end_is_given_up() -> None:
    with live_server(V6SRV_HTTP__SHUTDOWN_S="1") as server:
        wire = Wire(server.port).half_a_login()
        requests.get(f"{server.api}/version", timeout=5)
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert wire.is_closed()


def test_clients_come_back_by_themselves(tmp_path: Path) -> None:
    """With the library that nodes use; `tests/wire` has the node itself."""
    port = free_port()
    fixed = {"V6SRV_JWT_SECRET": "the same before and after, thirty-two bytes"}
    came: list[str] = []
    clients: list[socketio.Client] = []
    try:
        with live_server(instance=tmp_path, port=port, **fixed) as server:
            for transport in ("websocket", "polling"):
                client = socketio.Client(reconnection_delay=0.1, reconnection_delay_max=0.5)
                client.on("connect", partial(came.append, transport), namespace="/tasks")
                client.connect(
                    server.url,
                    headers=server.login(),
                    namespaces=["/tasks"],
                    transports=[transport],
                )
                clients.append(client)
            assert server.stop(signal.SIGTERM) == 0
        with live_server(instance=tmp_path, port=port, **fixed):
            eventually(lambda: sorted(came) == ["polling"] * 2 + ["websocket"] * 2)
    finally:
        for client in clients:
            client.shutdown()
