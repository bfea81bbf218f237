"""The sockets of this process: who each one is, and the rooms it is in."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from flask_socketio import SocketIO

from v6srv import meters
from v6srv.identity.claims import Claims
from v6srv.realtime import broadcast
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.render import room_in
from v6srv.service.presence import Entries
from v6srv.service.rooms import MOST_TOLD, told
from v6srv.vocabulary import DIALECTS, V3, PrincipalKind


@dataclass(eq=False, slots=True)
class Seat:
    """One socket, from before its rooms are decided until it is gone."""

    sid: str
    claims: Claims
    name: str = ""
    """User name or node name."""
    dialect: int = V3
    generation: int | None = None
    """What was known of its program when that was last read: only news change the dialect, so that
    what a request has just shown is not undone by what was stored before."""
    rooms: frozenset[str] = frozenset()
    settled: bool = False
    """Its rooms have been decided once; until then its connect handler is at work."""
    gone: bool = False
    heard_at: float = field(default_factory=time.monotonic)
    """When it came, or last pinged; monotonic, as the next."""
    pinged_at: float = float("-inf")
    """When the last ping came that was written."""
    came_at: float = field(default_factory=time.monotonic)
    tells: bool = True
    """It may still tell what it shares."""
    shared: Entries | None = None
    """What its node shares, as it said last on this socket."""
    unsaved: frozenset[str] = frozenset()
    """What the database could not take when it was said: see `presence.Live`."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def saving(self, what: str) -> Iterator[None]:
        """While `what` is written; if that fails the next heartbeat does it."""
        self.unsaved |= {what}
        yield
        self.unsaved -= {what}

    @property
    def account_id(self) -> int:
        """The user or node."""
        return self.claims.account_id

    @property
    def says_nothing(self) -> bool:
        """Whether this is a node that may still tell what it shares, and did not yet."""
        return self.is_node and self.tells and self.shared is None

    @property
    def is_node(self) -> bool:
        """Whether a node sits here; otherwise a user."""
        return self.claims.kind is PrincipalKind.NODE


class Seats:
    """The table of seats. Only it moves sockets in and out of rooms."""

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio
        self._seats: dict[str, Seat] = {}

    def add(self, seat: Seat) -> None:
        """Somebody came."""
        self._seats[seat.sid] = seat

    def get(self, sid: str) -> Seat | None:
        """The seat of a socket, None when it is gone."""
        return self._seats.get(sid)

    def all(self) -> list[Seat]:
        """Everybody who is here now."""
        return list(self._seats.values())

    def number(self, of_nodes: bool) -> int:
        """How many nodes are here, or users."""
        return sum(seat.is_node == of_nodes for seat in self.all())

    def rooms(self) -> int:
        """How many rooms somebody is in."""
        return len(frozenset().union(*(seat.rooms for seat in self.all())))

    def move(self, seat: Seat, rooms: frozenset[str]) -> None:
        """Leave the rooms that are not in `rooms` and enter the others, announcing both."""
        with seat.lock:
            if seat.gone:
                return
            out, new = sorted(seat.rooms - rooms), sorted(rooms - seat.rooms)
            for room in out:
                self._leave(seat, room)
            try:
                for room in new:
                    self._enter(seat, room)
            except (KeyError, ValueError):  # the transport broke just now
                return
            seat.rooms = rooms
        meters.EVICTIONS.labels("room").inc(len(out))
        for room in out:
            broadcast.left(self._socketio, seat.name, room, seat.sid)
        kind = "Node" if seat.is_node else "User"
        for room in new:
            broadcast.joined(self._socketio, kind, seat.name, room, seat.sid)

    def follow(self, seat: Seat, generation: int | None) -> None:
        """What is stored of its program was read."""
        if seat.generation != generation:
            seat.generation = generation
            self.speak(seat, seat.claims.spoken(generation))

    def shown(self, node_id: int, generation: int) -> None:
        """The sockets of a node are those of a program of this generation."""
        for seat in self.all():
            if seat.is_node and seat.account_id == node_id:
                self.speak(seat, generation)

    def speak(self, seat: Seat, dialect: int) -> None:
        """Tell a seat all events in this dialect from now on. No room is told."""
        with seat.lock:
            before, seat.dialect = seat.dialect, dialect
            if seat.gone or before == dialect:
                return
            server = self._socketio.server
            with suppress(KeyError, ValueError):  # as above
                for room in seat.rooms:
                    server.enter_room(seat.sid, room_in(room, dialect), namespace=NAMESPACE)
                    server.leave_room(seat.sid, room_in(room, before), namespace=NAMESPACE)

    def _enter(self, seat: Seat, room: str) -> None:
        server = self._socketio.server
        server.enter_room(seat.sid, room_in(room, seat.dialect), namespace=NAMESPACE)
        if not seat.is_node or self._size(room) <= MOST_TOLD:
            server.enter_room(seat.sid, told(room), namespace=NAMESPACE)

    def _size(self, room: str) -> int:
        manager = self._socketio.server.manager
        return sum(manager.size(NAMESPACE, room_in(room, dialect)) for dialect in DIALECTS)

    def _leave(self, seat: Seat, room: str) -> None:
        for each in (room_in(room, seat.dialect), told(room)):
            self._socketio.server.leave_room(seat.sid, each, namespace=NAMESPACE)

    def take(self, sid: str) -> Seat | None:
        """Somebody goes: the seat that was there, None if it was empty; its rooms are told."""
        seat = self._seats.pop(sid, None)
        if seat is None:
            return None
        with seat.lock:
            seat.gone = True
        for room in sorted(seat.rooms):
            broadcast.left(self._socketio, seat.name, room, sid)
        return seat

    def take_all(self) -> list[Seat]:
        """Everybody goes: the seats that were there. No room is told."""
        taken = [self._seats.pop(sid) for sid in list(self._seats)]
        for seat in taken:
            with seat.lock:
                seat.gone = True
        return taken
