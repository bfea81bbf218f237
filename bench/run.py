"""Measures v6srv against a floor in the same run: see README.md in this folder.

python bench/run.py [--database URL] [--json FILE] [--seconds S]
"""

import argparse
import http.client
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fill import IMAGE, INPUT, PASSWORD, Filled, fill
from pydantic import SecretStr

from v6srv import migrations, passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import facts_of
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.authz.rules import RULES
from v6srv.authz.source.load import build
from v6srv.db import make_engine
from v6srv.service import setup
from v6srv.settings import Settings
from v6srv.vocabulary import Operation, PrincipalKind, Resource

HERE = Path(__file__).parent
MOST = 300
"""Requests per measurement; fewer when the time is over."""

WARM_UP = 5


class Failed(Exception):
    """An answer was not the expected one: what would be measured is something else."""


class Server:
    """A server process on the loopback interface, and one connection to it."""

    def __init__(self, port: int, prefix: str, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.prefix = prefix
        self.headers = headers or {}

    def send(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        """The parsed body of the answer."""
        headers = {**self.headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return self._answer(method, path, data, headers, expect)[1]

    def timed(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> float:
        """Seconds from sending the request to having read the whole answer."""
        headers = {**self.headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return self._answer(method, path, data, headers, expect, parse=False)[0]

    def _answer(
        self,
        method: str,
        path: str,
        data: str | None,
        headers: dict[str, str],
        expect: int,
        parse: bool = True,
    ) -> tuple[float, Any]:
        started = time.perf_counter()
        try:
            self.connection.request(method, self.prefix + path, data, headers)
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.connection.close()  # the server ended an idle connection: not our measurement
            started = time.perf_counter()
            self.connection.request(method, self.prefix + path, data, headers)
            answer = self.connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - started
        if answer.status != expect:
            raise Failed(f"{method} {path}: {answer.status} {text[:300]!r}")
        return took, json.loads(text) if parse else None


@dataclass(frozen=True)
class Measurement:
    """Milliseconds of v6srv and of the floor, measured in turns."""

    name: str
    count: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    floor_p50_ms: float | None
    floor_p95_ms: float | None
    target: float | None
    """How many times the floor it may take (design, section 7)."""

    @property
    def ratio(self) -> float | None:
        return self.p50_ms / self.floor_p50_ms if self.floor_p50_ms else None


Take = Callable[[int], float]
"""The number of the request -> seconds."""


def measure(
    name: str, ours: Take, floor: Take | None, target: float | None, most: int, seconds: float
) -> Measurement:
    """Take turns, so that whatever else the machine does meets both."""
    times: list[float] = []
    floor_times: list[float] = []
    warm_up = min(WARM_UP, most // 2)
    end = time.monotonic() + seconds
    for number in range(most + warm_up):
        took = ours(number)
        floor_took = floor(number) if floor else None
        if number < warm_up:
            continue
        times.append(took)
        if floor_took is not None:
            floor_times.append(floor_took)
        if time.monotonic() > end:
            break
    return Measurement(
        name,
        len(times),
        1000 * statistics.median(times),
        1000 * _p95(times),
        1000 * max(times),
        1000 * statistics.median(floor_times) if floor_times else None,
        1000 * _p95(floor_times) if floor_times else None,
        target,
    )


def _p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


def over_http(data: Filled, port: int, floor_port: int, seconds: float) -> Iterator[Measurement]:
    """Everything that a server is asked for."""
    anyone, floor = Server(port, "/api"), Server(floor_port, "")
    login = {"username": data.username, "password": PASSWORD}
    token = anyone.send("POST", "/token/user", login)["access_token"]
    user = Server(port, "/api", {"Authorization": f"Bearer {token}"})
    token = anyone.send("POST", "/token/node", {"api_key": data.api_key})["access_token"]
    node = Server(port, "/api", {"Authorization": f"Bearer {token}"})
    chance = random.Random(2)
    tasks = chance.choices(data.task_ids, k=MOST + WARM_UP)
    hidden = chance.choices(data.hidden_task_ids, k=MOST + WARM_UP)
    results = data.open_result_ids
    mine = "&".join(f"collaboration={id}" for id in data.collaboration_ids)
    mine += f"&own={data.organization_id}"
    task = {
        "name": "bench",
        "image": IMAGE,
        "collaboration_id": data.collaboration_ids[0],
        "organizations": [{"id": id, "input": INPUT} for id in data.member_ids[:5]],
    }

    def change(_: int) -> dict[str, str]:
        return {"status": "active", "started_at": datetime.now(UTC).isoformat()[:-6]}

    def page(kind: str) -> tuple[Take, Take]:
        return (
            lambda i: user.timed(
                "GET", f"/{kind}?page={1 + i % 5 if kind != 'organization' else 1}"
            ),
            lambda i: floor.timed(
                "GET", f"/{kind}?page={1 + i % 5 if kind != 'organization' else 1}&{mine}"
            ),
        )

    def plan(
        name: str, ours: Take, theirs: Take | None, target: float | None, most: int = MOST
    ) -> Measurement:
        return measure(name, ours, theirs, target, most, seconds)

    yield plan(
        "version",
        lambda _: anyone.timed("GET", "/version"),
        lambda _: floor.timed("GET", "/version"),
        None,
    )
    yield plan(
        "get-one (task)",
        lambda i: user.timed("GET", f"/task/{tasks[i]}"),
        lambda i: floor.timed("GET", f"/task/{tasks[i]}"),
        2,
    )
    yield plan(
        "denied (task)",
        lambda i: user.timed("GET", f"/task/{hidden[i]}", expect=403),
        lambda i: floor.timed("GET", f"/task/{hidden[i]}"),
        2,
    )
    yield plan("list, page of 10 tasks", *page("task"), 2.5)
    yield plan("list, page of 10 results", *page("result"), 2.5)
    yield plan("list, page of organizations", *page("organization"), 1.5)
    yield plan(
        "  the same, floor without ids",
        page("organization")[0],
        lambda _: floor.timed("GET", f"/organization?page=1&bare=1&{mine}"),
        None,
    )
    yield plan(
        f"list, all {len(data.task_ids)} tasks",
        lambda _: user.timed("GET", "/task"),
        lambda _: floor.timed("GET", f"/task?{mine}"),
        None,
        30,
    )
    yield plan(
        "create-task (5 organizations)",
        lambda _: user.timed("POST", "/task", task, expect=201),
        lambda _: floor.timed("POST", "/task", task, expect=201),
        2,
    )
    yield plan(
        "patch-result",
        lambda i: node.timed("PATCH", f"/result/{results[i % len(results)]}", change(i)),
        lambda i: floor.timed("PATCH", f"/result/{results[i % len(results)]}", change(i)),
        2,
    )
    yield plan(
        "login (bcrypt)",
        lambda _: anyone.timed("POST", "/token/user", login),
        lambda _: floor.timed("POST", "/login", login),
        None,
        10,
    )
    yield plan(
        "node login",
        lambda _: anyone.timed("POST", "/token/node", {"api_key": data.api_key}),
        lambda _: floor.timed("POST", "/node-login", {"api_key": data.api_key}),
        None,
    )


@dataclass(frozen=True)
class Decisions:
    """Warm decisions in this process, without database; and how long the policy took to build."""

    users: int
    roles: int
    lines: int
    build_ms: float
    p50_us: float
    p95_us: float


def decisions(policies: Path, users: int, roles: int, rules_per_role: int) -> Decisions:
    """May this user view this task: `users` users with two of `roles` roles each."""
    chance = random.Random(3)
    first = 8  # after the default roles
    lines = [
        Line("p", (f"role:{role}", *rule.key, "True", "allow"), "bench")
        for role in range(first, first + roles)
        for rule in chance.sample(RULES, rules_per_role)
    ]
    started = time.perf_counter()
    enforcer = build(policies, lines)
    took = time.perf_counter() - started
    authorizer = Authorizer(SimpleNamespace(live=enforcer))  # type: ignore[arg-type]
    callers = [
        Principal(
            PrincipalKind.USER,
            number,
            number % 20,
            frozenset(chance.sample(range(10), 3)),
            tuple(f"role:{first + chance.randrange(roles)}" for _ in range(2)),
        )
        for number in range(1, users + 1)
    ]
    known = {"id": 9, "org": 3, "orgs": frozenset({3, 4, 5}), "collabs": frozenset({1}), "run": 4}
    empty = {"owners": frozenset()}
    task = {name: {**known, **empty}.get(name) for name in facts_of(Resource.TASK)}
    for who in callers:
        authorizer.decide_facts(who, Resource.TASK, Operation.VIEW, task)
    times = []
    for who in chance.choices(callers, k=20_000):
        begun = time.perf_counter_ns()
        authorizer.decide_facts(who, Resource.TASK, Operation.VIEW, task)
        times.append((time.perf_counter_ns() - begun) / 1000)
    return Decisions(
        users, roles, len(enforcer.lines), 1000 * took, statistics.median(times), _p95(times)
    )


# --- processes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(arguments: list[str], environ: dict[str, str], port: int, path: str) -> Iterator[None]:
    """A server for as long as the block lasts; its output is shown only when it fails."""
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            if not _answers(started, port, path):
                output.seek(0)
                raise Failed(output.read().decode(errors="replace")[-3000:])
            yield
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def _answers(started: subprocess.Popen[bytes], port: int, path: str) -> bool:
    for _ in range(300):
        if started.poll() is not None:
            return False
        with suppress(OSError, Failed):
            Server(port, "").send("GET", path)
            return True
        time.sleep(0.1)
    return False


def run(uri: str, instance: Path, seconds: float) -> dict[str, Any]:
    """Prepare, fill, serve and measure; the database must be empty."""
    settings = Settings(
        instance=instance,
        policies=instance / "policies",
        uri=uri,
        root_password=SecretStr(PASSWORD),
    )
    _say("preparing and filling the database")
    setup.prepare(settings, passwords)
    engine = make_engine(uri)
    data = fill(engine)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("ANALYZE")
    engine.dispose()
    port, floor_port = _free_port(), _free_port()
    environ = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "V6SRV_INSTANCE": str(instance),
        "V6SRV_DATABASE_URL": uri,
        "V6SRV_LOGGING__LEVEL": "WARNING",
    }
    floor = [
        *("-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
        *("--bind", f"127.0.0.1:{floor_port}", "--log-level", "warning"),
        *("--no-control-socket", "--pythonpath", str(HERE), "floor:app"),
    ]
    found: list[Measurement] = []
    with (
        process(["-m", "v6srv", "serve"], environ, port, "/api/version"),
        process(floor, {"BENCH_DATABASE": uri}, floor_port, "/version"),
    ):
        for one in over_http(data, port, floor_port, seconds):
            _say(f"{one.name}: {one.count} requests")
            found.append(one)
    _say("decisions")
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "database": uri.split(":", 1)[0].split("+", 1)[0],
        "cores": os.cpu_count(),
        "measurements": [{**asdict(one), "ratio": one.ratio} for one in found],
        "decisions": [
            asdict(decisions(settings.policies, 200, 10, 30)),
            asdict(decisions(settings.policies, 10_000, 1000, 30)),
        ],
    }


# --- output


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr)


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"{report['database']}, Python {report['python']}, {report['cores']} cores, "
        "milliseconds, v6srv and the floor in turns",
        "",
        f"{'what':32} {'n':>4} {'p50':>8} {'p95':>8} {'max':>8} {'floor':>8} {'x floor':>8}"
        "  target",
    ]
    for one in report["measurements"]:
        ratio, target = one["ratio"], one["target"]
        verdict = "" if target is None else f"<= {target:g}" + (" OVER" if ratio > target else "")
        lines.append(
            f"{one['name']:32} {one['count']:4} {one['p50_ms']:8.2f} {one['p95_ms']:8.2f} "
            f"{one['max_ms']:8.2f} "
            f"{one['floor_p50_ms']:8.2f} {ratio:8.2f}  {verdict}"
        )
    lines += ["", "warm decisions in this process, microseconds (target: <= 5, flat)"]
    for one in report["decisions"]:
        lines.append(
            f"{one['users']:6} users, {one['lines']:6} lines: p50 {one['p50_us']:.1f}, "
            f"p95 {one['p95_us']:.1f} (policy built in {one['build_ms']:.0f} ms)"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="URL of an empty PostgreSQL database")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument(
        "--seconds", type=float, default=6, help="at most, for each measurement (6)"
    )
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="v6srv-bench-"))
    uri = arguments.database or f"sqlite:///{folder / 'bench.sqlite'}"
    if arguments.database and migrations.current(uri) is not None:
        parser.error("this database is in use: give an empty one")
    try:
        report = run(uri, folder, arguments.seconds)
    except Failed as error:
        sys.exit(f"bench: {error}")
    finally:
        if arguments.database:
            migrations.drop_all(uri)
        shutil.rmtree(folder, ignore_errors=True)
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
