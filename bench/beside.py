"""What a cheap request costs beside something heavy: see README.md in this folder.

python bench/beside.py [NAME ...]

Each load meets a server of its own (`v6srv start`, default cost of passwords), on loopback, and
ends after a bounded number of requests or seconds.
"""

import argparse
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import postgres
from tests.live import ROOT_PASSWORD, LiveServer, live_server

COST = {"V6SRV_PASSWORD_ROUNDS": "12"}
CALM_S = 3.0
HALF_BODIES = 5_000


def cheap(server: LiveServer, headers: dict[str, str], path: str, over: threading.Event) -> list:
    """Seconds that a cheap request takes, again and again; infinity for one that fails."""
    took = []
    with requests.Session() as http:
        while not over.is_set():
            began = time.perf_counter()
            try:
                status = http.get(f"{server.api}{path}", headers=headers, timeout=60).status_code
            except requests.RequestException:
                status = 0
            took.append(time.perf_counter() - began if status == 200 else float("inf"))
            time.sleep(0.02)
    return took


@contextmanager
def beside(server: LiveServer, headers: dict[str, str], path: str) -> Iterator[list[float]]:
    """The times of cheap requests while the block runs."""
    over, took = threading.Event(), []
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(cheap, server, headers, path, over)
        try:
            yield took
        finally:
            over.set()
            took += asked.result(120)


def number(values: list[float], part: float) -> float:
    """Milliseconds that this part of the values does not exceed."""
    return 1000 * sorted(values)[min(len(values) - 1, int(part * len(values)))]


def shown(name: str, calm: list[float], took: list[float], note: str = "") -> None:
    """One line: what it was alone, and beside the load."""

    times = statistics.median(took) / statistics.median(calm)
    print(
        f"{name:34} alone p50 {number(calm, 0.5):5.1f} ms | beside: {len(took):4} requests,"
        f" p50 {number(took, 0.5):6.1f}, p99 {number(took, 0.99):7.1f},"
        f" most {number(took, 1):7.1f} ms | x{times:.1f} {note}",
        flush=True,
    )


def measured(
    name: str, server: LiveServer, load: Callable[[], Any], path: str = "/version"
) -> None:
    """Alone for a while, then beside the load."""
    headers = server.login() if path not in ("/version", "/health") else {}
    with beside(server, headers, path) as calm:
        time.sleep(CALM_S)
    before = workers(server)
    with beside(server, headers, path) as took:
        note = load()
    died = "" if workers(server) == before else "WORKER DIED"
    shown(name, calm, took, f"{note or ''} {died}")


def workers(server: LiveServer) -> str:
    """The processes that answer."""
    pid = server.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


@contextmanager
def writers(server: LiveServer, number: int = 6) -> Iterator[list[int]]:
    """Users that change an organization each, without a pause; the statuses of their answers."""
    headers, over, statuses = server.login(), threading.Event(), []

    def write(one: int) -> None:
        body = {"name": f"organization {one} {time.time()}"}
        made = requests.post(f"{server.api}/organization", json=body, headers=headers, timeout=60)
        path = f"{server.api}/organization/{made.json()['id']}"
        with requests.Session() as http:
            while not over.is_set():
                body = {"address1": f"street {len(statuses)}"}
                statuses.append(
                    http.patch(path, json=body, headers=headers, timeout=60).status_code
                )

    with ThreadPoolExecutor(number) as pool:
        running = [pool.submit(write, one) for one in range(number)]
        time.sleep(1)
        try:
            yield statuses
        finally:
            over.set()
            for one in running:
                one.result(60)


def wrong_logins() -> None:
    """Six writers, and eight wrong passwords for one name, at once."""
    with live_server(**COST) as server, writers(server) as statuses:

        def log_in(one: int) -> int:
            body = {"username": "root", "password": f"Wr0ng-{one}"}
            return requests.post(f"{server.api}/token/user", json=body, timeout=60).status_code

        def load() -> str:
            with ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(log_in, range(8)))
            return f"logins {sorted(set(answers))}"

        measured("6 writers, 8 wrong logins", server, load)
    print(f"{'':34} writers: {len(statuses)} answers, {sorted(set(statuses))}")


def foreign_lock() -> None:
    """A foreign process holds SQLite's write lock for eight seconds, beside six writers."""
    code = (
        "import sqlite3, sys, time; d = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "d.execute('PRAGMA busy_timeout=5000'); d.execute('BEGIN IMMEDIATE'); time.sleep(8);"
        "d.execute('ROLLBACK')"
    )
    with live_server(**COST) as server, writers(server) as statuses:
        command = [sys.executable, "-c", code, str(server.instance / "v6srv.sqlite")]
        measured(
            "a foreign lock for 8 s",
            server,
            lambda: subprocess.run(command, check=True) and None,
            "/organization/1",
        )
    print(f"{'':34} writers: {len(statuses)} answers, {sorted(set(statuses))}")


def node_keys() -> None:
    """Twelve wrong node keys at a server with ten nodes of a 3.x server, three times over."""
    with live_server(**COST) as server:
        with closing(sqlite3.connect(server.instance / "v6srv.sqlite")) as database, database:
            for number in range(10):
                row = database.execute("INSERT INTO authenticatable (type) VALUES ('node')")
                node = (row.lastrowid, f"old {number}", f"$2b$12${number}{'.' * 52}")
                database.execute("INSERT INTO node (id, name, api_key) VALUES (?, ?, ?)", node)

        def log_in(one: int) -> int:
            body = {"api_key": f"wrong {one}"}
            return requests.post(f"{server.api}/token/node", json=body, timeout=60).status_code

        def load() -> str:
            begun = time.perf_counter()
            with ThreadPoolExecutor(13) as pool:
                keys = pool.map(log_in, [n % 12 for n in range(36)])
                body = {"username": "root", "password": ROOT_PASSWORD}
                person = requests.post(f"{server.api}/token/user", json=body, timeout=60)
                took = time.perf_counter() - begun
                answers = sorted(set(keys))
            return f"keys {answers}, a login beside them {person.status_code} after {took:.1f} s"

        measured("12 wrong keys, 10 nodes of 3.x", server, load)


def _processes_of(first: int) -> list[int]:
    found = [first]
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == first:
                    found.append(int(entry.name))
    return found


def _tell(processes: list[int], sign: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def frozen_database() -> None:
    """A PostgreSQL that is stopped for fifteen seconds, asked by sixty requests."""
    with ExitStack() as stack:
        url, first = stack.enter_context(postgres.private_cluster())
        server = stack.enter_context(live_server(**COST, V6SRV_DATABASE_URL=url))
        headers = server.login()

        def ask(_one: int) -> int:
            path = f"{server.api}/organization"
            return requests.get(path, headers=headers, timeout=90).status_code

        def load() -> str:
            frozen = _processes_of(first.pid)
            _tell(frozen, signal.SIGSTOP)
            try:
                with ThreadPoolExecutor(60) as pool:
                    asked = pool.map(ask, range(60))
                    began = time.perf_counter()
                    health = requests.get(f"{server.api}/health", timeout=60)
                    took = time.perf_counter() - began
                    time.sleep(15)
                    _tell(frozen, signal.SIGCONT)
                    answers = sorted(set(asked))
            finally:
                _tell(frozen, signal.SIGCONT)
            time.sleep(2)
            after = requests.get(f"{server.api}/organization", headers=headers, timeout=60)
            return (
                f"60 requests {answers}, health {health.status_code} after {took:.1f} s,"
                f" afterwards {after.status_code}"
            )

        measured("a PostgreSQL frozen for 15 s", server, load)
        lines = server.log.read_text(errors="replace")
        print(f"{'':34} log: {lines.count(chr(10))} lines, {lines.count('Traceback')} tracebacks")


def locked_table() -> None:
    """One table of PostgreSQL is locked for six seconds, and 56 requests want it."""
    import psycopg

    with ExitStack() as stack:
        url, _ = stack.enter_context(postgres.private_cluster())
        server = stack.enter_context(live_server(**COST, V6SRV_DATABASE_URL=url))
        headers = server.login()

        def ask(_one: int) -> int:
            return requests.get(f"{server.api}/task", headers=headers, timeout=90).status_code

        def load() -> str:
            with psycopg.connect(url.replace("+psycopg", "")) as holder:
                holder.execute("LOCK TABLE task IN ACCESS EXCLUSIVE MODE")
                with ThreadPoolExecutor(56) as pool:
                    asked = pool.map(ask, range(56))
                    time.sleep(6)
                    holder.rollback()
                    return f"56 requests {sorted(set(asked))}"

        measured("a locked table, 56 requests", server, load, "/organization/1")


def half_bodies() -> None:
    """Five thousand logins of which only half of the body is sent."""
    with live_server(**COST) as server:
        head = b"POST /api/token/user HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"

        def load() -> str:
            wires = []
            for _ in range(HALF_BODIES):
                wire = socket.create_connection(("127.0.0.1", server.port), timeout=30)
                wire.sendall(head)
                wires.append(wire)
            time.sleep(5)
            for wire in wires:
                wire.close()
            return f"{len(wires)} were open"

        measured("5,000 half-sent bodies", server, load)


LOADS = {
    load.__name__: load
    for load in (
        wrong_logins,
        foreign_lock,
        node_keys,
        frozen_database,
        locked_table,
        half_bodies,
    )
}


def main() -> None:
    """Run the loads that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*LOADS, []], metavar="NAME", default=[])
    names = parser.parse_args().names
    for name in names or LOADS:
        LOADS[name]()


if __name__ == "__main__":
    main()
