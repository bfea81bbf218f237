"""Outages of the database as long as the time-outs of a server as it comes allow, and longer."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from sqlalchemy import make_url

from tests.live import LiveServer, live_server
from tests.outages.proxy import proxy_to
from tests.outages.test_postgresql_hangs import create, eventually, get
from tests.outages.test_sqlite_lock import rename, write_lock


def answered_until(over: threading.Event, server: LiveServer) -> list[float]:
    """How long a cheap request took, again and again until it is `over`."""
    took = []
    while not over.wait(0.05):
        began = time.monotonic()
        assert requests.get(f"{server.api}/version", timeout=30).status_code == 200
        took.append(time.monotonic() - began)
    return took


def test_a_write_lock_of_eight_seconds_and_wrong_logins() -> None:
    """Six writers, eight wrong logins for one name, at the usual cost of a hash."""
    with (
        live_server("-m", "v6srv", "serve", V6SRV_PASSWORD_ROUNDS="12") as server,
        ThreadPoolExecutor(20) as threads,
    ):
        who, over = server.login(), threading.Event()
        cheap = threads.submit(answered_until, over, server)
        wrong = {"json": {"username": "root", "password": "wrong"}, "timeout": 60}
        with write_lock(server.instance):
            writers = [threads.submit(rename, server, who, f"name {n}") for n in range(6)]
            url = f"{server.api}/token/user"
            logins = [threads.submit(requests.post, url, **wrong) for _ in range(8)]
            time.sleep(8)
        assert [writer.result().status_code for writer in writers] == [200] * 6
        assert {login.result().status_code for login in logins} == {401}
        over.set()
        took = sorted(cheap.result())
        assert took[len(took) * 99 // 100] < 0.5, took[-10:]
        assert "WORKER TIMEOUT" not in server.log.read_text()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("seconds", [20, 70])
def test_a_network_that_is_away_for_long(database_uri: str, seconds: int) -> None:
    direct = make_url(database_uri)
    with (
        proxy_to(direct.port or 5432) as network,
        live_server(
            *("-m", "v6srv", "serve"),
            V6SRV_URI=direct.set(host="127.0.0.1", port=network.port).render_as_string(
                hide_password=False
            ),
        ) as server,
        ThreadPoolExecutor(100) as threads,
    ):
        who, over = server.login(), threading.Event()
        assert create(server, who, "before").status_code == 201
        cheap = threads.submit(answered_until, over, server)
        network.cut()
        until = time.monotonic() + seconds
        refused = []
        while time.monotonic() < until:
            refused += [threads.submit(get, server, "organization", who) for _ in range(5)]
            refused += [threads.submit(create, server, who, "refused") for _ in range(5)]
            assert get(server, "health").status_code == 503
            time.sleep(1)
        network.mend()
        assert {future.result().status_code for future in refused} <= {200, 201, 503}
        eventually(lambda: get(server, "health").json() == {"database": True}, server)
        assert create(server, who, "after").status_code == 201
        over.set()
        took = sorted(cheap.result())
        assert took[len(took) * 99 // 100] < 0.5, took[-10:]
        log = server.log.read_text()
        assert "Traceback" not in log
        assert len([line for line in log.splitlines() if "database" in line]) < 30, log
