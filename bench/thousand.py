"""A thousand nodes at once: see README.md in this folder.

python bench/thousand.py [join] [idle] [tasks] [--nodes N] [--database sqlite|postgresql]
    [--queue redis|rabbitmq]

Everything is on loopback, and ends after a bounded number of requests or seconds.
"""

import argparse
import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

sys.path.insert(0, str(Path(__file__).parents[1]))

from beside import beside, number, workers

from tests import postgres
from tests.crowd import (
    BOSS,
    PASSWORD,
    Crowd,
    Heard,
    crowd,
    fill,
    node_key,
    resident_mb,
)
from tests.live import ROOT_PASSWORD, LiveServer, free_port, live_server
from tests.realtime.test_processes import rabbitmq_server, redis_server
from v6srv import passwords
from v6srv.db import make_engine
from v6srv.service import setup
from v6srv.settings import Settings

NEIGHBOURS = 20
"""Nodes of another collaboration, who must hear nothing."""
IMAGE = "registry.example/average:1"


@dataclass
class Hall:
    """A filled database, and what it takes to serve it."""

    folder: Path
    environment: dict[str, str]
    collaboration_id: int
    organization_ids: list[int]
    names: list[str]
    """Of the nodes of the collaboration."""
    neighbours: list[str]

    @contextmanager
    def server(self, port: int | None = None) -> Iterator[LiveServer]:
        """A process that serves it."""
        with live_server(
            "-m", "v6srv", "serve", instance=self.folder, port=port, **self.environment
        ) as server:
            yield server


@contextmanager
def hall(nodes: int, database: str, queue: str = "") -> Iterator[Hall]:
    """A database with a large collaboration and a small one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v6srv-bench-")))
        uri = f"sqlite:///{folder}/v6srv.sqlite"
        if database == "postgresql":
            uri, _ = stack.enter_context(postgres.private_cluster())
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_LOGGING__LEVEL": "WARNING",
        }
        if queue:
            servers = {"redis": redis_server, "rabbitmq": rabbitmq_server}
            environment["V6SRV_RABBITMQ_URI"] = stack.enter_context(servers[queue]())
        settings = Settings(
            instance=folder,
            policies=folder / "policies",
            uri=uri,
            root_password=SecretStr(ROOT_PASSWORD),
        )
        setup.prepare(settings, passwords)
        engine = make_engine(uri)
        (collab, orgs), _ = fill(engine, (nodes, NEIGHBOURS))
        engine.dispose()
        names = [f"0/{n}" for n in range(nodes)]
        yield Hall(folder, environment, collab, orgs, names, [f"1/{n}" for n in range(NEIGHBOURS)])


def logins(server: LiveServer, names: Sequence[str]) -> dict[str, str]:
    """Tokens of nodes, which log in over eight connections."""
    local = threading.local()

    def one(name: str) -> str:
        if not hasattr(local, "http"):
            local.http = requests.Session()
        body = {"api_key": node_key(name)}
        answer = local.http.post(f"{server.api}/token/node", json=body, timeout=60)
        return str(answer.json()["access_token"])

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(one, names))
    print(f"  {len(names)} logins of nodes: {time.perf_counter() - began:.1f} s", flush=True)
    return dict(zip(names, tokens, strict=True))


def spread(values: Sequence[float]) -> str:
    """Median and the end, in milliseconds."""
    return (
        f"p50 {number(list(values), 0.5):.0f}, p99 {number(list(values), 0.99):.0f},"
        f" most {number(list(values), 1):.0f} ms"
    )


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worker_of(server: LiveServer) -> int:
    """The process that serves."""
    return int(workers(server).split()[0])


# --- everybody comes at once


def come(who: Crowd, server: LiveServer, tokens: dict[str, str], what: str) -> None:
    """All connect at once; beside them two that ask for something cheap."""
    headers = server.login()
    before = who.heard()["root"].counts["node-online"] if "root" in who.heard() else 0
    who.join([("root", server.port, headers["Authorization"].removeprefix("Bearer "))])
    pid = worker_of(server)
    used = cpu_s(pid)
    with (
        beside(server, {}, "/version") as version,
        beside(server, headers, "/organization/1") as known,
    ):
        time.sleep(0.5)
        began = time.monotonic()
        who.join([(name, server.port, token) for name, token in tokens.items()])
        heard = who.heard()
    last = max(heard[name].joined_at or float("inf") for name in tokens) - began
    heard = who.wait(lambda now: now["root"].counts["node-online"] >= len(tokens) + before)
    time.sleep(2)
    heard = who.heard()
    packets = sum(sum(one.counts.values()) for one in heard.values())
    online = requests.get(f"{server.api}/node?status=online", headers=headers, timeout=60)
    print(
        f"  {what}: all {len(tokens)} joined after {last:.2f} s"
        f" ({cpu_s(pid) - used:.1f} s of processor)\n"
        f"    meanwhile GET /version: {spread(version)}; GET /organization/1: {spread(known)}\n"
        f"    {packets} events, {packets / len(tokens):.1f} a node; a user heard"
        f" {heard['root'].counts['node-online']} node-online;"
        f" online {online.headers.get('total-count', len(online.json()))}",
        flush=True,
    )


def join(nodes: int, database: str, _queue: str) -> None:
    """All connect, and once more when the server was restarted."""
    with hall(nodes, database) as place, crowd() as who:
        port = free_port()
        with place.server(port) as server:
            tokens = logins(server, place.names)
            come(who, server, tokens, "first")
        who.leave()
        with place.server(port) as server:
            come(who, server, tokens, "after a restart")
            began = time.monotonic()
            who.leave()
            headers = server.login()
            while requests.get(
                f"{server.api}/node?status=online", headers=headers, timeout=60
            ).json():
                time.sleep(0.1)
            print(f"  all gone after {time.monotonic() - began:.2f} s")


# --- five thousand that say nothing


def post_task(server: LiveServer, headers: dict[str, str], place: Hall, most: int) -> Any:
    """Seconds and the answer of a task for the first `most` organizations."""
    body = {
        "name": "bench",
        "image": IMAGE,
        "collaboration_id": place.collaboration_id,
        "organizations": [{"id": id, "input": "e30="} for id in place.organization_ids[:most]],
    }
    began = time.perf_counter()
    answer = requests.post(f"{server.api}/task", json=body, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    return time.perf_counter() - began, answer.json()


def idle(nodes: int, database: str, _queue: str, each: int = 5, tasks: int = 40) -> None:
    """Memory of idle sockets, and what a task costs beside them."""
    with hall(nodes, database) as place, crowd() as who, place.server() as server:
        tokens, headers = logins(server, place.names), server.login(BOSS, PASSWORD)
        for _ in range(5):
            post_task(server, headers, place, 3)
        calm = [post_task(server, headers, place, 3)[0] for _ in range(tasks)]
        before = resident_mb(worker_of(server))
        for round in range(each):
            who.join([(f"{name} {round}", server.port, token) for name, token in tokens.items()])
        time.sleep(5)
        count = nodes * each
        grown = resident_mb(worker_of(server)) - before
        print(
            f"  {count} sockets: {grown:.0f} MB more than {before:.0f} MB,"
            f" {1000 * grown / count:.0f} KB each"
        )
        for pause_s in (0.0, 1.0):
            took = []
            for _ in range(tasks if not pause_s else tasks // 2):
                took.append(post_task(server, headers, place, 3)[0])
                time.sleep(pause_s)
            ratio = statistics.median(took) / statistics.median(calm)
            print(
                f"  POST /api/task calm {spread(calm)} | beside them, {pause_s:.0f} s apart:"
                f" {spread(took)}, x{ratio:.1f}",
                flush=True,
            )
        heard = who.wait(lambda now: min(len(one.tasks) for one in now.values()) >= tasks)
        print(f"  new_task heard by each: {sorted({len(one.tasks) for one in heard.values()})}")


# --- two processes


def tasks(nodes: int, database: str, queue: str, count: int = 20) -> None:
    """Half of the nodes at each of two processes: when each hears of a task."""
    with hall(nodes, "postgresql", queue or "redis") as place, ExitStack() as stack:
        who = stack.enter_context(crowd())
        first, second = (stack.enter_context(place.server()) for _ in range(2))
        tokens = logins(first, place.names + place.neighbours)
        headers = first.login(BOSS, PASSWORD)
        began = time.monotonic()
        ports = (first.port, second.port)
        who.join([(name, ports[n % 2], token) for n, (name, token) in enumerate(tokens.items())])
        print(f"  {len(tokens)} joined two processes after {time.monotonic() - began:.2f} s")
        time.sleep(3)
        returned = {}
        for _ in range(count):
            _, answer = post_task(first, headers, place, 100)
            returned[answer["id"]] = time.monotonic()
            time.sleep(0.5)
        heard = who.wait(lambda now: all(len(now[name].tasks) >= count for name in place.names))
        missed, strangers, at = _judged(heard, place, returned)
        print(
            f"  {count} tasks: {missed} missed, {strangers} heard by strangers; new_task after"
            f" POST: this process {spread(at[0])}; the other {spread(at[1])}"
        )
        _revoke(who, first, second, place, headers)


def _judged(
    heard: dict[str, Heard], place: Hall, returned: dict[int, float]
) -> tuple[int, int, tuple[list[float], list[float]]]:
    missed, at = 0, ([], [])
    for n, name in enumerate(place.names):
        for id, when in returned.items():
            if id in heard[name].tasks:
                at[n % 2].append(heard[name].tasks[id] - when)
            else:
                missed += 1
    strangers = sum(len(heard[name].tasks) for name in place.neighbours)
    return missed, strangers, at


def _revoke(
    who: Crowd, first: LiveServer, second: LiveServer, place: Hall, headers: dict[str, str]
) -> None:
    """Tasks without a pause at the other process, while a line takes nodes out of their rooms."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            post_task(second, headers, place, 1)

    line = {
        "subject": "kind:node",
        "resource": "event",
        "operation": "view",
        "scope": "global",
        "condition": "True",
        "effect": "deny",
    }
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        time.sleep(2)
        began = time.monotonic()
        answer = requests.post(f"{first.api}/policy/line", json=line, headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        revoked = time.monotonic()
        time.sleep(5)
        over.set()
        working.result(60)
    time.sleep(1)
    heard = who.heard()
    for here, name in ((0, "this process"), (1, "the other")):
        last = max(
            at
            for n, each in enumerate(place.names)
            if n % 2 == here
            for at in heard[each].tasks.values()
        )
        print(
            f"  revoked in {revoked - began:.2f} s; {name}: last event {last - revoked:+.2f} s"
            " after the answer"
        )


PARTS = {part.__name__: part for part in (join, idle, tasks)}


def main() -> None:
    """Run the parts that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", default=[])
    parser.add_argument("--nodes", type=int, default=1_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--queue", choices=["redis", "rabbitmq"], default="redis")
    arguments = parser.parse_args()
    for name in arguments.parts or PARTS:
        print(f"{name}: {arguments.nodes} nodes", flush=True)
        PARTS[name](arguments.nodes, arguments.database, arguments.queue)


if __name__ == "__main__":
    main()
