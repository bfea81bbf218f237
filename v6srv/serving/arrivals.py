"""How long a request may take to come in, and how many of one address may be on their way.

Nobody is known before the request is there, so what it may cost until then is bounded: time for
the head, time and a least rate for the body (as Apache's mod_reqtimeout does), and a number for
each address. Only waiting for the client counts, not what the server does meanwhile.
"""

import contextlib
import logging
import socket
import termios
import time
from enum import Enum
from fcntl import ioctl
from typing import Any

from gevent import get_hub, sleep
from gevent.event import Event
from gevent.socket import wait_read
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData, ParseException
from gunicorn.http.unreader import SocketUnreader
from werkzeug.exceptions import (
    BadRequest,
    ClientDisconnected,
    RequestEntityTooLarge,
    RequestTimeout,
)

from v6srv import addresses
from v6srv.settings.groups import Http

log = logging.getLogger(__name__)

GRACE_S = 1.0
"""So long nobody gives way: many that come at once, as after a restart, are no attack."""
ONE_FOR_ONE = 2
"""How many give way to one that comes."""
AT_ONCE, PAUSE_S = 20, 0.01
"""How many are closed before others get their turn: each costs an answer that nobody reads."""
COMPLAIN_EVERY_S = 60.0
SHARE = 256 * 1024
"""Bytes of a body after which others get their turn, however fast more of it arrives."""
LARGEST_HEAD = 64 * 1024
"""Bytes of a request before its body: each session of a socket keeps them."""
TOO_SLOW = "The request did not arrive in time"

EVERYBODY = ""


class State(Enum):
    """What a connection is there for now."""

    IDLE = "idle"
    """Nothing of a further request has come."""
    HEAD = "head"
    """The head of a request is on its way in."""
    REQUEST = "request"
    """A request is served; its body may still be on its way in."""
    ANSWERED = "answered"
    """What is left of a body that nobody wanted to read is on its way in."""
    SOCKET = "socket"
    """A WebSocket, or a request of Socket.IO's long polling."""


class Arrival(SocketUnreader):
    """One connection, as gunicorn's parser reads it.

    Reading raises TimeoutError when the client was too slow, NoMoreData when a body breaks off.
    """

    def __init__(self, client: Any, address: Any, arrivals: "Arrivals") -> None:
        super().__init__(client)
        whose = (addresses.owner(address[0]),) if arrivals.by_address else ()
        self.groups = (EVERYBODY, *whose)
        self.state = State.HEAD
        self.received = 0
        """Bytes of the head or body that is on its way."""
        self.begun = b""
        """What was read since the request began, until its head is there and looked at."""
        self._request: Any = None
        self._arrivals = arrivals
        self._patience_s = arrivals.limits.header_timeout_s
        self._unshared = 0

    def resume(self, begun: bytes) -> None:
        """Go on after what somebody else has read."""
        self.unread(begun)
        self.begun, self.received = begun, len(begun)

    def expect_another(self, within_s: float) -> None:
        """The connection is kept: another request may begin."""
        self.state, self.received, self._patience_s = State.IDLE, 0, within_s
        self.begun = self.buf.getvalue()

    def expect_body(self, request: Any, state: State) -> None:
        """The head is there; `state` says what the request is about."""
        self.state, self.received, self._request = state, 0, request
        self.begun = b""
        self._patience_s = self._arrivals.limits.body_timeout_s
        request.body = _Body(request, self)
        if request.body.is_complete:
            self.complete()

    def complete(self) -> None:
        """The request is all there."""
        self._arrivals.forget(self)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """What arrived, at least one byte; none at all when the client has hung up."""
        if self.state is State.HEAD and self.received > LARGEST_HEAD:
            raise LimitRequestHeaders("the head is too large")
        if self.state is not State.IDLE:
            self._arrivals.wait_for(self)
        began = time.monotonic()
        patience_s = max(0.0, self._patience_s + self._earned_s())
        self.sock.settimeout(patience_s)
        try:
            if self.state is State.IDLE:
                self._wait_in_line(patience_s)
            data: bytes = super().chunk(size_hint)
        except BlockingIOError as error:  # no time was left, and nothing was there
            raise TimeoutError from error
        finally:
            self._patience_s -= time.monotonic() - began
            self.sock.settimeout(None)
        if self.state is State.IDLE:
            self.state, self._patience_s = State.HEAD, self._arrivals.limits.header_timeout_s
        elif not data and self.state is not State.HEAD:
            raise NoMoreData
        if self.state is State.HEAD:
            self.begun += data
        self.received += len(data)
        self._share(len(data))
        return data

    def is_silent(self) -> bool:
        """Whether no request has begun, not even in what was not read yet."""
        begun = self.state not in (State.IDLE, State.HEAD) or self.received
        return not begun and not self.has_come()

    def has_come(self) -> bool:
        """Whether something is there that was not read yet: then nobody waits for the client."""
        with contextlib.suppress(OSError):
            return any(ioctl(self.sock, termios.FIONREAD, bytes(4)))
        return False

    def hang_up(self) -> None:
        """Let whoever reads or writes here find the connection closed."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def answer_last(self) -> None:
        """The answer that is being made says that none will follow."""
        if self._request is not None:
            self._request.force_close()

    def _wait_in_line(self, within_s: float) -> None:
        """Wait for a further request, and let others have their turn also if it is there already.

        Reading at once would find it where a client is quick, again and again.
        """
        wait_read(self.sock.fileno(), within_s, TimeoutError())

    def _earned_s(self) -> float:
        """How much longer a body may take because of what has come of it."""
        if self.state in (State.IDLE, State.HEAD):
            return 0.0
        return self.received / self._arrivals.limits.body_min_rate

    def _share(self, received: int) -> None:
        self._unshared += received
        if self._unshared > SHARE:
            self._unshared = 0
            give_way()


class _Body(Body):  # type: ignore[misc]
    """A body whose faults are answered by the application like all others."""

    def __init__(self, request: Any, arrival: Arrival) -> None:
        super().__init__(request.body.reader)
        self._request = request
        self._arrival = arrival

    @property
    def is_complete(self) -> bool:
        """Whether everything has been read from the connection."""
        if isinstance(self.reader, LengthReader):
            return bool(self.reader.length == 0)
        return self.reader.parser is None

    @property
    def length(self) -> int | None:
        """How many bytes are still to come, if that is known."""
        return self.reader.length if isinstance(self.reader, LengthReader) else None

    def _read_reader(self, size: int) -> bytes:
        try:
            data: bytes = super()._read_reader(size)
        except (TimeoutError, ParseException, OSError) as error:
            self._request.force_close()  # where the next one begins is unknown
            if isinstance(error, TimeoutError):
                raise RequestTimeout(TOO_SLOW) from error
            if isinstance(error, ParseException):
                raise BadRequest(f"The body cannot be read: {error}") from error
            raise ClientDisconnected("The request broke off") from error
        if self.is_complete:
            self._arrival.complete()
        return data

    def take_in(self, most: int) -> None:
        """Read all of it now, at most so many bytes; whoever reads it later does not wait."""
        if (self.length or 0) > most:
            self._request.force_close()
            raise RequestEntityTooLarge("The message is too large")
        self.take_first(most)

    def take_first(self, size: int) -> None:
        """Wait for so many bytes, or the end, before somebody reads them."""
        data = self.read(size)  # which makes a new buffer
        self.buf.write(data)


class Arrivals:
    """The connections of a process, and which requests are still on their way in."""

    def __init__(self, limits: Http, by_address: bool, most: int) -> None:
        """`most` is for all addresses together; `by_address`: whether each has its own limit."""
        self.limits = limits
        self.by_address = by_address
        self._most = most
        self._open: set[Arrival] = set()
        self._unfinished: dict[str, dict[Arrival, float]] = {}
        """By group: since when each has been on its way (monotonic), the oldest first."""
        self._complained_at = float("-inf")
        self._left = Event()

    def enter(self, client: Any, address: Any) -> Arrival:
        """A connection was accepted."""
        arrival = Arrival(client, address, self)
        self._open.add(arrival)
        return arrival

    def leave(self, arrival: Arrival) -> None:
        """A connection is closed."""
        self.forget(arrival)
        self._open.discard(arrival)
        self._left.set()

    def wait_for(self, arrival: Arrival) -> None:
        """More of a request is expected. Others may have to give way to it."""
        now = time.monotonic()
        for group in arrival.groups:
            self._unfinished.setdefault(group, {}).setdefault(arrival, now)
            self._make_room(group, now, ONE_FOR_ONE)

    def forget(self, arrival: Arrival) -> None:
        """Nothing more is expected."""
        for group in arrival.groups:
            members = self._unfinished.get(group, {})
            members.pop(arrival, None)
            if not members:
                self._unfinished.pop(group, None)

    def make_room(self) -> None:
        """Close what is too much; to be called again and again, since `GRACE_S` passes silently."""
        for group in list(self._unfinished):
            while self._make_room(group, time.monotonic(), AT_ONCE):
                sleep(PAUSE_S)

    def _make_room(self, group: str, now: float, at_once: int) -> bool:
        """Close some of the oldest; whether there are more."""
        members = self._unfinished.get(group, {})
        most = self._most if group == EVERYBODY else self.limits.unfinished_per_address
        for _ in range(at_once):
            if len(members) <= most:
                return False
            oldest, since = next(iter(members.items()))
            if group != EVERYBODY and now - since < GRACE_S:
                return False
            if oldest.has_come():
                del members[oldest]
                members[oldest] = now  # the last again
                continue
            self._complain(group, most, now)
            self.forget(oldest)
            oldest.hang_up()
        return True

    def _complain(self, group: str, most: int, now: float) -> None:
        if now - self._complained_at > COMPLAIN_EVERY_S:
            self._complained_at = now
            log.warning(
                "%s has more than %d requests that do not arrive: the oldest are closed",
                group or "the world",
                most,
            )

    def hang_up(self) -> None:
        """Close sockets and what waits for a request to begin. Requests go on."""
        for arrival in list(self._open):
            if arrival.state in (State.SOCKET, State.ANSWERED) or arrival.is_silent():
                arrival.hang_up()
            else:
                arrival.answer_last()

    def wait_until_served(self, within_s: float) -> bool:
        """Wait for the requests that have begun; whether all were served."""
        until = time.monotonic() + within_s
        while self._is_busy():
            self._left.clear()
            if not self._left.wait(max(0.0, until - time.monotonic())):
                return False
        return True

    def _is_busy(self) -> bool:
        return any(arrival.state in (State.HEAD, State.REQUEST) for arrival in self._open)


def give_way() -> None:
    """Let everybody have a turn for whom something has come meanwhile.

    `sleep(0)` would not: those who sleep take up to fifty turns before gevent looks at connections.
    """
    hub = get_hub()
    hub.wait(hub.loop.timer(0))
