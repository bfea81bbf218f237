"""Many Socket.IO connections in processes of their own: a thousand nodes, for tests and bench/."""

import asyncio
import json
import multiprocessing
import os
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import Engine, insert, select

from v6srv.engine import writing
from v6srv.model import (
    Account,
    Collaboration,
    Member,
    Node,
    Organization,
    Permission,
    PolicyRevision,
    Role,
    User,
)
from v6srv.passwords import hash_password, key_digest

PATIENCE_S = 120.0
_STAMPED = 35
"""SO_TIMESTAMPNS of Linux: `recvmsg` says when the network had what it returns."""
BOSS, PASSWORD = "boss", "Cr0wd-Passw0rd!"
_PREFIX = "42/tasks,"
_HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: here\r\n"
    "Authorization: Bearer {token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_POLL = (
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n"
    "Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
)


@dataclass
class Heard:
    """What one socket was told."""

    joined_at: float | None = None
    """When it was told that its namespace is open (`time.monotonic`, which processes share)."""
    closed: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """How many events came, by name."""
    tasks: dict[int, float] = field(default_factory=dict)
    """When `new_task` came first, by the id of the task."""


class _Socket:
    """One client: it polls first and then becomes a WebSocket, as the library of nodes does.

    Each has an address of its own, as nodes have, of those that mean this machine. No task waits
    for what comes, and the system says when it came: a thousand of them share the processors with
    the server that is measured.
    """

    def __init__(self, number: int) -> None:
        self._address = (f"127.1.{number // 250}.{number % 250 + 1}", 0)
        self.heard = Heard()
        self._loop = asyncio.get_running_loop()
        self._joined = self._loop.create_future()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._is_open = False

    async def join(self, port: int, token: str) -> None:
        """Come in. Returns when the namespace is confirmed."""
        sid = await self._poll(port, token)
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMPED, 1)
        self._socket.bind(self._address)
        await self._loop.sock_connect(self._socket, ("127.0.0.1", port))
        await self._loop.sock_sendall(
            self._socket, _HANDSHAKE.format(sid=sid, token=token).encode()
        )
        self._loop.add_reader(self._socket, self._read)
        await self._joined

    async def _poll(self, port: int, token: str) -> str:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=self._address)
        writer.write(_POLL.format(token=token).encode())
        answer = await reader.read()
        writer.close()
        found = re.search(rb'"sid":"([^"]+)"', answer)
        assert found, answer
        return found[1].decode()

    def _say(self, text: str) -> None:
        assert self._socket is not None
        data = text.encode()
        assert len(data) < 126
        self._socket.send(bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data)  # a mask of zeros

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data, notes, *_ = self._socket.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if not data:
            self._lose(ConnectionError("the server hung up"))
            return
        self._buffer += data
        if not self._is_open and not self._open():
            return
        at = _came(notes)
        for kind, text in _frames(self._buffer):
            if kind == 1:
                self._take(text, at)

    def _open(self) -> bool:
        """Whether the answer to the handshake is there; then it is taken off the buffer."""
        head, found, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        if not found:
            return False
        if b" 101 " not in head:
            self._lose(ConnectionError(repr(head)))
            return False
        self._is_open, self._buffer = True, bytearray(rest)
        self._say("2probe")
        return True

    def _lose(self, error: Exception) -> None:
        self.heard.closed = True
        self.close()
        if not self._joined.done():
            self._joined.set_exception(error)

    def _take(self, text: str, at: float) -> None:
        if text.startswith(_PREFIX):
            name, *rest = json.loads(text[len(_PREFIX) :])
            self.heard.counts[name] += 1
            if name == "new_task":
                self.heard.tasks.setdefault(rest[0], at)
        elif text == "3probe":
            self._say("5")
            self._say("40/tasks,")
        elif text == "2":
            self._say("3")
        elif text.startswith("40/tasks,"):
            self.heard.joined_at = at
            self._joined.set_result(None)

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None


def _came(notes: Sequence[tuple[int, int, bytes]]) -> float:
    """When the last of what was read had come (`time.monotonic`), whenever it was read."""
    for _, kind, data in notes:
        if kind == _STAMPED:
            seconds, nanoseconds = struct.unpack("qq", data)
            return time.monotonic() - time.time() + float(seconds) + nanoseconds / 1e9
    return time.monotonic()


def _frames(buffer: bytearray) -> Iterator[tuple[int, str]]:
    """Take whole frames of a server off the buffer: opcode and text."""
    while len(buffer) >= 2:
        start, length = 2, buffer[1] & 0x7F
        if length == 126:
            start, length = 4, int.from_bytes(buffer[2:4])
        elif length == 127:
            start, length = 10, int.from_bytes(buffer[2:10])
        if len(buffer) < start + length:
            return
        kind, data = buffer[0] & 0x0F, bytes(buffer[start : start + length])
        del buffer[: start + length]
        yield kind, data.decode(errors="replace")


class _Hall:
    """The sockets of one process, which does what it is told through a pipe."""

    def __init__(self) -> None:
        self._sockets: dict[str, _Socket] = {}

    async def serve(self, pipe: Connection) -> None:
        """Answer until told to stop."""
        loop = asyncio.get_running_loop()
        while True:
            what, argument = await loop.run_in_executor(None, pipe.recv)
            if what == "stop":
                return
            pipe.send(await getattr(self, what)(argument))

    async def join(self, callers: Sequence[tuple[str, int, str]]) -> list[str]:
        """Let (name, port, token) come in; says who could not and why."""

        async def one(name: str, port: int, token: str) -> str | None:
            self._sockets[name] = _Socket(len(self._sockets))
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._sockets[name].join(port, token)
            except (OSError, AssertionError, EOFError, TimeoutError) as error:
                return f"{name}: {error!r}"
            return None

        failures = await asyncio.gather(*(one(*caller) for caller in callers))
        return [failure for failure in failures if failure]

    async def heard(self, _: None) -> dict[str, Heard]:
        """What everybody was told until now."""
        return {name: socket.heard for name, socket in self._sockets.items()}

    async def leave(self, _: None) -> None:
        """Everybody hangs up."""
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()


def _run(pipe: Connection) -> None:
    asyncio.run(_Hall().serve(pipe))


class Crowd:
    """Sockets in `processes` processes."""

    def __init__(self, pipes: Sequence[Any]) -> None:
        self._pipes = pipes

    def _tell(self, what: str, arguments: Sequence[Any]) -> list[Any]:
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            pipe.send((what, argument))
        return [pipe.recv() for pipe in self._pipes]

    def join(self, callers: Sequence[tuple[str, int, str]]) -> None:
        """Let (name, port, token) come in, all at once. Fails if somebody is not let in."""
        shares = [callers[n :: len(self._pipes)] for n in range(len(self._pipes))]
        failures = [failure for part in self._tell("join", shares) for failure in part]
        assert not failures, f"{len(failures)}: {failures[:5]}"

    def heard(self) -> dict[str, Heard]:
        """What each socket was told until now, by its name."""
        found: dict[str, Heard] = {}
        for part in self._tell("heard", [None] * len(self._pipes)):
            found |= part
        return found

    def wait(self, is_enough: Any, patience_s: float = 30.0) -> dict[str, Heard]:
        """What was heard as soon as `is_enough` of it; whatever it is when patience ends."""
        until = time.monotonic() + patience_s
        while not is_enough(found := self.heard()) and time.monotonic() < until:
            time.sleep(0.2)
        return found

    def leave(self) -> None:
        """Everybody hangs up."""
        self._tell("leave", [None] * len(self._pipes))


@contextmanager
def crowd(processes: int = 2) -> Iterator[Crowd]:
    """Processes for sockets; they end with the block."""
    context = multiprocessing.get_context("spawn")
    pipes, started = [], []
    for _ in range(processes):
        mine, its = context.Pipe()
        process = context.Process(target=_run, args=(its,), daemon=True)
        process.start()
        pipes.append(mine)
        started.append(process)
    try:
        yield Crowd(pipes)
    finally:
        for pipe, process in zip(pipes, started, strict=True):
            with suppress(OSError):
                pipe.send(("stop", None))
            process.join(5)
            if process.is_alive():
                process.kill()


def node_key(name: str) -> str:
    """The API key of a node of `fill`."""
    return f"key of {name}"


def fill(engine: Engine, sizes: Sequence[int]) -> list[tuple[int, list[int]]]:
    """A collaboration of so many organizations with a node each, for each of the sizes.

    Returns their ids and those of the organizations. Nodes are named `<collaboration>/<number>`,
    counted from 0. There is a user, `BOSS`, of the first organization who may do everything.
    """
    password = hash_password(PASSWORD)
    with writing(), engine.begin() as connection:

        def add(model: Any, rows: list[dict[str, Any]]) -> list[int]:
            table = model.__table__
            statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
            return list(connection.execute(statement, rows).scalars())

        made = []
        role = connection.scalar(select(Role.id).where(Role.slug == "root"))
        orgs = add(Organization, [{"name": f"hospital {n}"} for n in range(max(sizes))])
        for number, size in enumerate(sizes):
            (collab,) = add(Collaboration, [{"name": f"study {number}", "encrypted": False}])
            members = orgs[:size]
            connection.execute(
                insert(Member),
                [{"organization_id": o, "collaboration_id": collab} for o in members],
            )
            ids = add(Account, [{"type": "node", "status": "offline"} for _ in members])
            rows = [
                {
                    "id": id,
                    "name": f"{number}/{n}",
                    "organization_id": org,
                    "collaboration_id": collab,
                    "key_digest": key_digest(node_key(f"{number}/{n}")),
                }
                for n, (id, org) in enumerate(zip(ids, members, strict=True))
            ]
            connection.execute(insert(Node.__table__), rows)
            made.append((collab, members))
        (boss,) = add(Account, [{"type": "user"}])
        user = {"id": boss, "username": BOSS, "email": "boss@hospital.example"}
        user |= {"password": password, "organization_id": orgs[0]}
        connection.execute(insert(User.__table__), [user])
        connection.execute(insert(Permission), [{"user_id": boss, "role_id": role}])
        more = PolicyRevision.__table__.update().values(members=PolicyRevision.members + 1)
        connection.execute(more)
    return made


def resident_mb(pid: int) -> float:
    """Memory of a process, in megabytes."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
