"""A PostgreSQL that accepts and does not answer: frozen, or behind a network that drops packets."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from sqlalchemy import make_url

from tests import postgres
from tests.live import LiveServer, live_server
from tests.outages.proxy import proxy_to
from v6srv.db import make_engine

SHORT = {
    "V6SRV_DATABASE__CONNECT_TIMEOUT_S": "2",
    "V6SRV_DATABASE__STATEMENT_TIMEOUT_S": "2",
    "V6SRV_DATABASE__LOCK_TIMEOUT_S": "1",
    "V6SRV_DATABASE__POOL_TIMEOUT_S": "1",
    "V6SRV_DATABASE__POOL_SIZE": "4",
    "V6SRV_DATABASE__MAX_OVERFLOW": "2",
}
LONGER = {
    "V6SRV_DATABASE__STATEMENT_TIMEOUT_S": "30",
    "V6SRV_DATABASE__LOCK_TIMEOUT_S": "5",
}
AWAY = "the database cannot be reached"


def get(server: LiveServer, path: str, who: dict[str, str] | None = None) -> requests.Response:
    return requests.get(f"{server.api}/{path}", headers=who, timeout=30)


def create(server: LiveServer, who: dict[str, str], name: str) -> requests.Response:
    return requests.post(f"{server.api}/organization", json={"name": name}, headers=who, timeout=30)


def eventually(holds: Callable[[], bool], server: LiveServer) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.1)


def survives(server: LiveServer, away: Callable[[], None], back: Callable[[], None]) -> None:
    """Requests are refused while the database is away, and succeed when it is back."""
    who = server.login()
    assert create(server, who, "before").status_code == 201
    away()
    try:
        with ThreadPoolExecutor(16) as threads:
            # More than there are connections, reads and writes.
            refused = [
                threads.submit(create, server, who, f"refused {n}")
                if n % 2
                else threads.submit(get, server, "organization", who)
                for n in range(16)
            ]
            health = get(server, "health")
            assert not all(future.done() for future in refused), "health waits for the others"
            assert (health.status_code, health.json()["database"]) == (503, False)
            for future in refused:
                assert future.result().status_code == 503, future.result().text
                assert isinstance(future.result().json()["msg"], str)
        assert AWAY in get(server, "health").json()["problems"]
    finally:
        back()
    eventually(lambda: get(server, "health").json() == {"database": True}, server)
    assert create(server, who, "after").status_code == 201
    names = {one["name"] for one in get(server, "organization", who).json()}
    assert {"before", "after"} <= names
    assert not any(name.startswith("refused") for name in names)
    log = server.log.read_text()
    assert "Traceback" not in log, log
    assert log.count(AWAY) <= 4, log  # not a line for each request


def test_a_frozen_server_is_503_and_comes_back() -> None:
    with (
        postgres.private_cluster() as (url, process),
        live_server(V6SRV_URI=url, **SHORT) as server,
    ):

        def signal_all(sign: signal.Signals) -> None:
            for pid in _with_children(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)

        survives(server, lambda: signal_all(signal.SIGSTOP), lambda: signal_all(signal.SIGCONT))


def _with_children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_network_that_loses_everything_is_503_and_comes_back(database_uri: str) -> None:
    direct = make_url(database_uri)
    with proxy_to(direct.port or 5432) as network:
        uri = direct.set(host="127.0.0.1", port=network.port)
        with live_server(
            V6SRV_URI=uri.render_as_string(hide_password=False),
            **SHORT,
        ) as server:
            survives(server, network.cut, network.mend)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_one_locked_table_does_not_stop_what_does_not_need_it(database_uri: str) -> None:
    """Many more requests wait for it than there are connections."""
    with live_server(
        V6SRV_URI=database_uri,
        **{**SHORT, **LONGER},
    ) as server:
        who = server.login()
        assert get(server, "task", who).status_code == 200
        engine = make_engine(database_uri)
        with engine.connect() as other, ThreadPoolExecutor(20) as threads:
            other.exec_driver_sql("LOCK TABLE task IN ACCESS EXCLUSIVE MODE")
            waiting = [threads.submit(get, server, "task", who) for _ in range(20)]
            for _ in range(10):
                for path in ("organization", "role", "rule", "health"):
                    answer = get(server, path, who)
                    assert answer.status_code == 200, (path, answer.text)
            assert not all(future.done() for future in waiting)
            for future in waiting:
                answer = future.result()
                assert answer.status_code == 503, answer.text
                assert answer.json()["msg"].startswith("The database cannot be used right now")
        engine.dispose()
        assert get(server, "task", who).status_code == 200
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_lock_on_what_every_request_reads_first_is_called_a_lock(database_uri: str) -> None:
    """It is waited for as long as for any lock, which is longer than a server needs to answer."""
    with live_server(V6SRV_URI=database_uri, **{**SHORT, **LONGER}) as server:
        who = server.login()
        engine = make_engine(database_uri)
        with engine.connect() as other:
            other.exec_driver_sql('LOCK TABLE "user" IN ACCESS EXCLUSIVE MODE')
            answer = get(server, "rule", who)
        engine.dispose()
        assert answer.status_code == 503, answer.text
        assert "a lock is held for too long" in answer.json()["msg"]
        assert AWAY not in server.log.read_text()
        assert get(server, "rule", who).status_code == 200
