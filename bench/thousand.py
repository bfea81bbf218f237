"""A thousand nodes at once: see README.md in this folder.

python bench/thousand.py [join] [idle] [tasks] [--nodes N] [--database sqlite|postgresql]
    [--queue redis|rabbitmq]

Everything is on loopback, and ends after a bounded number of requests or seconds.
"""

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from beside import beside, number, workers

from tests.crowd import BOSS, PASSWORD, Crowd, Heard, crowd, resident_mb
from tests.hall import Hall, hall, log_in
from tests.live import LiveServer, free_port


def logins(server: LiveServer, names: Sequence[str]) -> dict[str, str]:
    """Tokens of nodes."""
    began = time.perf_counter()
    tokens = log_in(server, names)
    print(f"  {len(names)} logins of nodes: {time.perf_counter() - began:.1f} s", flush=True)
    return tokens


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


def online(server: LiveServer, headers: dict[str, str]) -> int:
    """How many nodes the server says are online."""
    path = f"{server.url}/v3/api/node?status=online"
    return len(requests.get(path, headers=headers, timeout=60).json())


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
    print(
        f"  {what}: all {len(tokens)} joined after {last:.2f} s"
        f" ({cpu_s(pid) - used:.1f} s of processor)\n"
        f"    meanwhile GET /version: {spread(version)}; GET /organization/1: {spread(known)}\n"
        f"    {packets} events, {packets / len(tokens):.1f} a node; a user heard"
        f" {heard['root'].counts['node-online']} node-online;"
        f" online {online(server, headers)}",
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
            while online(server, headers) and time.monotonic() - began < 60:
                time.sleep(0.1)
            print(
                f"  gone after {time.monotonic() - began:.2f} s;"
                f" still online {online(server, headers)}",
                flush=True,
            )


# --- five thousand that say nothing


def timed_task(server: LiveServer, headers: dict[str, str], place: Hall) -> float:
    """Seconds until a task for three organizations is there."""
    began = time.perf_counter()
    place.post_task(server, headers, 3)
    return time.perf_counter() - began


def idle(nodes: int, database: str, _queue: str, each: int = 5, tasks: int = 20) -> None:
    """Memory of idle sockets, and what a task costs beside them."""
    with hall(nodes, database) as place, crowd() as who, place.server() as server:
        tokens, headers = logins(server, place.names), server.login(BOSS, PASSWORD)
        for _ in range(5):
            timed_task(server, headers, place)
        calm = [timed_task(server, headers, place) for _ in range(tasks)]
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
        for turn, pause_s in enumerate((0.0, 1.0), 1):
            took = []
            for _ in range(tasks):
                took.append(timed_task(server, headers, place))
                time.sleep(pause_s)
            sent = time.monotonic()
            heard = who.wait(
                lambda now, most=turn * tasks: min(len(one.tasks) for one in now.values()) >= most,
                patience_s=120,
            )
            last = max(max(one.tasks.values()) for one in heard.values()) - sent
            ratio = statistics.median(took) / statistics.median(calm)
            print(
                f"  POST /api/task calm {spread(calm)} | beside them, {pause_s:.0f} s apart:"
                f" {spread(took)}, x{ratio:.1f}; all told {last:.1f} s after the last;"
                f" each heard of {sorted({len(one.tasks) for one in heard.values()})}",
                flush=True,
            )


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
            id = place.post_task(first, headers, 100)
            returned[id] = time.monotonic()
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
            place.post_task(second, headers, 1)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        time.sleep(2)
        began = time.monotonic()
        place.keep_out_nodes(first, headers)
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
