"""The servers that are measured: ours, the floor and the reference, as processes on loopback."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bcrypt
from fill import PASSWORD, Filled, Size, fill
from pydantic import SecretStr
from sqlalchemy import Connection, MetaData, create_engine, func, insert, select

from v6srv import passwords
from v6srv.db import make_engine
from v6srv.service import setup
from v6srv.settings import Settings

HERE = Path(__file__).parent
REFERENCE_PYTHON = HERE.parent / ".venv-reference" / "bin" / "python"
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """An answer was not the expected one: what would be measured is something else."""


class Server:
    """A server on the loopback interface, and one connection to it."""

    def __init__(self, port: int, prefix: str, headers: dict[str, str] | None = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.prefix = prefix
        self.headers = headers or {}
        self.got: http.client.HTTPResponse | None = None
        """The last answer, for its status and headers."""

    def send(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        """The parsed body of the answer."""
        return json.loads(self.ask(method, path, body, (expect,))[1])

    def ask(
        self, method: str, path: str, body: Any = None, statuses: tuple[int, ...] = (200,)
    ) -> tuple[float, bytes]:
        """Seconds from sending the request to having read the whole answer, and its body."""
        headers = {**self.headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        started = time.perf_counter()
        try:
            self.connection.request(method, self.prefix + path, data, headers)
            self._acknowledge_at_once()
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.connection.close()  # the server ended an idle connection: not our measurement
            started = time.perf_counter()
            self.connection.request(method, self.prefix + path, data, headers)
            self._acknowledge_at_once()
            answer = self.connection.getresponse()
        text = answer.read()
        took = time.perf_counter() - started
        self.got = answer
        if answer.status not in statuses:
            raise Failed(f"{method} {path}: {answer.status} {text[:300]!r}")
        return took, text

    def _acknowledge_at_once(self) -> None:
        """A server that sends the body after the head waits for it, up to 40 ms."""
        if self.connection.sock:
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


@dataclass
class Party:
    """One of those who are measured in turns."""

    name: str
    port: int
    prefix: str
    pid: int
    tokens: dict[str, str] = field(default_factory=dict)
    """Who to access token; the floor asks nobody for one."""
    base_who: str = "nobody"
    """Who asks it where it is what others are a multiple of."""
    kept: dict[str, Server] = field(default_factory=dict)

    def connect(self, who: str) -> Server:
        """A new connection of somebody: "user", "stranger", "node", "root" or "nobody"."""
        token = self.tokens.get(who)
        return Server(
            self.port, self.prefix, {"Authorization": f"Bearer {token}"} if token else None
        )

    def as_(self, who: str) -> Server:
        """The kept connection of somebody."""
        if who not in self.kept:
            self.kept[who] = self.connect(who)
        return self.kept[who]

    def log_in(self, data: Filled) -> None:
        """Get the tokens of everybody."""
        for who, path, body in (
            ("user", "/token/user", {"username": data.username, "password": PASSWORD}),
            ("stranger", "/token/user", {"username": data.stranger, "password": PASSWORD}),
            ("root", "/token/user", {"username": "root", "password": PASSWORD}),
            ("node", "/token/node", {"api_key": data.api_key}),
        ):
            self.tokens[who] = self.as_("nobody").send("POST", path, body)["access_token"]

    def cpu_s(self) -> float:
        """Seconds of processor that its processes have used."""
        return sum(_cpu_s(pid) for pid in family(self.pid))

    def memory_mb(self) -> float:
        """Resident memory of its processes; pages that they share count once (PSS)."""
        return sum(_memory_mb(pid) for pid in family(self.pid))


def family(first: int) -> list[int]:
    """A process and all below it."""
    found = [first]
    for pid in found:
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _cpu_s(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / TICKS  # with children that ended
    return 0.0


def _memory_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(
    arguments: list[str],
    environ: dict[str, str],
    port: int,
    path: str,
    python: str = sys.executable,
) -> Iterator[int]:
    """A server for as long as the block lasts, its pid; output is shown only when it fails."""
    with tempfile.TemporaryFile() as output:
        started = subprocess.Popen(
            [python, *arguments],
            env={**os.environ, **environ},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            if not _answers(started, port, path):
                output.seek(0)
                raise Failed(output.read().decode(errors="replace")[-3000:])
            yield started.pid
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


def settings_of(uri: str, instance: Path) -> Settings:
    """What our server and what we do in this process run with."""
    return Settings(
        instance=instance,
        policies=instance / "policies",
        uri=uri,
        root_password=SecretStr(PASSWORD),
    )


def prepare(uri: str, instance: Path, size: Size) -> Filled:
    """Make the database that our server and the floor share; it must be empty."""
    setup.prepare(settings_of(uri, instance), passwords)
    engine = make_engine(uri)
    data = fill(engine, size)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                "VACUUM ANALYZE"
            )
    engine.dispose()
    return data


@contextmanager
def serving(uri: str, instance: Path) -> Iterator[tuple[int, int]]:
    """`v6srv serve` on a port of its own; that, and its pid."""
    port = free_port()
    environ = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "V6SRV_INSTANCE": str(instance),
        "V6SRV_DATABASE_URL": uri,
        "V6SRV_LOGGING__LEVEL": "WARNING",
    }
    with process(["-m", "v6srv", "serve"], environ, port, "/api/version") as pid:
        yield port, pid


def logged_in(port: int, username: str) -> Server:
    """A connection of a user to our server."""
    server = Server(port, "/api")
    body = {"username": username, "password": PASSWORD}
    token = server.send("POST", "/token/user", body)["access_token"]
    server.headers["Authorization"] = f"Bearer {token}"
    return server


@contextmanager
def ours(uri: str, instance: Path, data: Filled | None = None) -> Iterator[Party]:
    """`v6srv serve` in production form."""
    with serving(uri, instance) as (port, pid):
        party = Party("v6srv", port, "/api", pid)
        if data:
            party.log_in(data)
        yield party


@contextmanager
def floor(uri: str) -> Iterator[Party]:
    """`bench/floor.py` under gunicorn with one gevent worker, as our server is."""
    port = free_port()
    command = [
        *("-m", "gunicorn", "--worker-class", "gevent", "--workers", "1"),
        *("--bind", f"127.0.0.1:{port}", "--log-level", "warning"),
        *("--no-control-socket", "--pythonpath", str(HERE), "floor:app"),
    ]
    with process(command, {"BENCH_DATABASE": uri}, port, "/version") as pid:
        yield Party("floor", port, "", pid)


@contextmanager
def reference(uri: str, folder: Path, data: Filled) -> Iterator[Party]:
    """The reference server 3.11.1 in its environment, on a SQLite file with the rows of `uri`."""
    port = free_port()
    target = f"sqlite:///{folder / 'reference.sqlite'}"
    arguments = [str(HERE / "reference.py"), target, str(port)]
    environ = {"BENCH_PASSWORD": PASSWORD}
    python = str(REFERENCE_PYTHON)
    with process(arguments, environ, port, "/api/version", python) as pid:
        copy_rows(uri, target, data)
        party = Party("reference", port, "/api", pid)
        party.log_in(data)
        yield party


COPIED = (
    *("organization", "collaboration", "Member", "authenticatable", "user", "node"),
    *("Permission", "task", "result"),
)
"""Tables of the contract, parents first."""


def copy_rows(uri: str, target: str, data: Filled) -> None:
    """What was filled, in the columns that both have; a fresh server has made the rest."""
    here, there = create_engine(uri), create_engine(target)
    mine, theirs = MetaData(), MetaData()
    mine.reflect(here)
    theirs.reflect(there)
    key = bcrypt.hashpw(data.api_key.encode(), bcrypt.gensalt()).decode()
    with here.connect() as reading, there.begin() as writing:
        ours, known = _roles(reading, mine), _roles(writing, theirs)
        for name in COPIED:
            source, table = mine.tables[name], theirs.tables[name]
            columns = [column.name for column in table.c if column.name in source.c]
            query = select(*(source.c[column] for column in columns))
            if "id" in table.c:
                last = writing.scalar(select(func.max(table.c.id))) or 0
                query = query.where(source.c.id > last)
            if name == "Permission":  # root has its role already
                query = query.where(source.c.user_id > 1)
            rows = [dict(row) for row in reading.execute(query).mappings()]
            for row in rows:
                if name == "Permission":
                    row["role_id"] = known[ours[row["role_id"]]]
                elif name == "node":
                    row["api_key"] = key if row["id"] == data.node_id else None
            writing.execute(insert(table), rows)
    here.dispose()
    there.dispose()


def _roles(connection: Connection, metadata: MetaData) -> dict[Any, Any]:
    """Names by id, and ids by name."""
    role = metadata.tables["role"]
    pairs = connection.execute(select(role.c.id, role.c.name)).tuples().all()
    return dict(pairs) | {name: id for id, name in pairs}
