"""One server process of the machine, and the connections of clients to it."""

import json
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from flask_socketio import SocketIO

from tests.machine.broker import Client
from tests.machine.turns import NEVER, Flag, Life
from v6srv.realtime import managers
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.held_back import HeldBack, Tell
from v6srv.realtime.sealed import Sealed
from v6srv.realtime.server import Realtime

if TYPE_CHECKING:
    from tests.machine.installation import Installation

NODES = {
    "north_registry": "registry",
    "south_registry": "registry",
    "south_trial": "trial",
}


@dataclass(eq=False)
class Person:
    """A user or node, with at most one connection."""

    name: str
    account_id: int
    token: str
    line: "Line | None" = None
    pinged_at: float = 0.0
    told: bool = False
    """Its restrictions were stored once."""


@dataclass(eq=False)
class Line:
    """A connection of somebody to a process."""

    who: Person
    process: "Process"
    id: str
    since: int | None = None
    """How many events had been committed when it was settled."""
    settled_at: float = 0.0
    heard: list[tuple[int, str]] = field(default_factory=list)
    """Numbers of events, and who published them; "" for what was made up for."""
    opened: bool = False
    """Engine.IO has told the server of it; that it is closed is told afterwards."""
    closed: bool = False
    closing = False

    def close(self, wait: bool = False, abort: bool = False) -> None:
        """As a transport of Engine.IO: its client notices, and the server is told."""
        self.process.installation.hang_up(self)


class Wires:
    """The Engine.IO of a process."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.sockets: dict[str, Line] = {}
        turns = process.turns
        self.create_event = partial(Flag, turns)
        self.sleep = turns.sleep
        self.ids = count()
        self.handlers = {"connect": lambda sid, environ: None}

    def generate_id(self) -> str:
        return f"{self._process.life.name} socket {next(self.ids)}"

    def start_background_task(self, target: Any, *args: Any, **kwargs: Any) -> Any:
        process = self._process
        return process.turns.start(process.life, lambda: target(*args, **kwargs))

    def send_packet(self, id: str, packet: Any) -> None:
        self.send(id, packet.data)

    def send(self, id: str, text: str) -> None:
        line = self.sockets.get(id)
        if line is not None:
            self._process.turns.step()
            self._process.installation.arrived(line, text)


class _HeldBack(HeldBack):
    """What is told later is still told as by the process that published it."""

    def __init__(self, process: "Process") -> None:
        super().__init__(lambda tell: process.run(tell))
        self._turns = process.turns

    def pass_on(self, tell: Tell) -> None:
        def as_now() -> None:
            assert self._turns.at is not None
            self._turns.at.source = source
            tell()

        assert self._turns.at is not None
        source = self._turns.at.source
        super().pass_on(as_now)


class Process:
    """A server process: all of its realtime side, with a network and a clock of its own."""

    def __init__(self, installation: "Installation", name: str) -> None:
        self.installation = installation
        self.turns = installation.turns
        self.life = Life(name)
        self.ends = False
        """It has been told to end, and does so soon."""
        self.listeners: tuple[list[Any], list[Any]] = ([], [])
        installation.by_life[self.life] = self
        manager = managers._Redis("redis://127.0.0.1:1", "channel", Sealed("of tests"))
        manager.redis, manager.connected = Client(installation.broker, self.life), True
        manager.held_back = _HeldBack(self)
        self.host_id = manager.host_id
        self.io = SocketIO()
        self.io.init_app(
            None,
            client_manager=manager,
            async_mode="threading",
            namespaces=[NAMESPACE],
            async_handlers=False,
            manage_session=False,
        )
        self.wires = self.io.server.eio = Wires(self)
        self.realtime = Realtime(installation.app, self.io, installation.settings)
        self.serves = False
        self.run(self._start)

    def _start(self) -> None:
        self.realtime.start()
        self.serves = True

    def run(self, do: Any) -> Any:
        return self.turns.start(self.life, do)

    def serve(self, request: Any, refuse: Any = lambda: None) -> None:
        """Answer a request or a client: from when the process has started until it is to end."""

        def answer() -> None:
            self.turns.wait(lambda: self.serves, NEVER)
            (refuse if self.ends else request)()

        self.run(answer)

    # --- what clients do, as Engine.IO tells it

    def join(self, line: Line) -> None:
        server, token = self.io.server, line.who.token

        def connect() -> None:
            self.wires.sockets[line.id] = line
            server._handle_eio_connect(line.id, {"HTTP_AUTHORIZATION": f"Bearer {token}"})
            line.opened = True
            server._handle_eio_message(line.id, f"0{NAMESPACE},")
            if line.who.name in NODES and not line.closed:
                self.tell_restrictions(line)

        self.serve(connect, lambda: self.installation.hang_up(line))

    def tell_restrictions(self, line: Line) -> None:
        said = json.dumps(["node_info_update", {"allowed_users": [line.who.name], "e": 1}])
        self.io.server._handle_eio_message(line.id, f"2{NAMESPACE},{said}")
        seat = self.realtime.seats.get(self.io.server.manager.sid_from_eio_sid(line.id, NAMESPACE))
        if seat is not None and seat.shared and not seat.unsaved:
            line.who.told = True

    def ping(self, line: Line) -> None:
        said = f'2{NAMESPACE},["ping"]'
        self.run(lambda: self.io.server._handle_eio_message(line.id, said))

    def end(self, line: Line) -> None:
        def disconnect() -> None:
            self.turns.wait(lambda: line.opened, NEVER)
            self.wires.sockets.pop(line.id, None)
            self.io.server._handle_eio_disconnect(line.id, "transport close")

        self.wires.sockets.pop(line.id, None)
        self.run(disconnect)
