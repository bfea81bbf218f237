"""What Engine.IO is given to work with: WebSockets that one client cannot use against all others,
and queues that give out no more than a client takes.

What the library makes of a WebSocket reads as fast as a client sends, without letting others run,
keeps whatever is not handled yet, and sends only what the network takes at once. And it answers a
poll with all that waits, of which its own clients refuse more than a few packets.
"""

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from queue import Empty
from typing import TYPE_CHECKING, Any

from engineio import Server
from engineio.socket import Socket
from simple_websocket import ConnectionClosed
from simple_websocket import ConnectionError as NotConnected
from simple_websocket import Server as Protocol
from wsproto.utilities import ProtocolError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MOST_UNHANDLED = 100
"""Messages of one client that wait; further ones wait in the network."""
AT_ONCE = 1024
"""Bytes that are read before others get their turn: more than a hundred pings fit in."""
PAUSE_S = 0.01
MOST_AT_ONCE = 16
"""Packets in the answer to a poll: clients hang up on more."""
NO_HANDSHAKE = "This is no handshake of a WebSocket"

Sleep = Callable[[float], object]
_CONNECTIONS = ("gunicorn.socket", "werkzeug.socket")


def use(server: Server, longest: int) -> None:
    """Let an Engine.IO server take these; `longest` is the size of a message in bytes."""

    def make(handler: Callable[[Any], Any], _server: Server) -> _WebSocket:
        return _WebSocket(handler, server.sleep, longest)

    queue = _in_portions(server._async["queue"])
    server._async = {**server._async, "websocket": make, "queue": queue}


def _in_portions(base: type[Any]) -> type[Any]:
    """A queue that seems empty once so many have been taken since somebody waited for one."""

    class Portions(base):  # type: ignore[misc]
        """Packets for one client."""

        taken = 0

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            """The next packet; the library does not wait for the rest of a portion."""
            self.taken = 1 if block else self.taken + 1
            if self.taken > MOST_AT_ONCE:
                raise Empty
            return super().get(block, timeout)

    return Portions


class _WebSocket:
    """One WebSocket, with the methods that Engine.IO calls."""

    def __init__(self, handler: Callable[[Any], Any], sleep: Sleep, longest: int) -> None:
        self._handler = handler
        self._sleep = sleep
        self._longest = longest
        self._protocol: Protocol | None = None

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve it to its end."""
        name = next(name for name in _CONNECTIONS if name in environ)
        shared = _Shared(environ[name], self._sleep, self._unhandled, self._wake)
        try:
            self._protocol = Protocol(
                environ | {name: shared}, receive_bytes=AT_ONCE, max_message_size=self._longest
            )
        except (ProtocolError, NotConnected, ValueError):
            return self._refuse(start_response)
        self._handler(self)
        if self._protocol.mode == "gunicorn":
            raise StopIteration  # nothing of HTTP may follow
        raise ConnectionError

    def wait(self) -> Any:
        """The next message; None when there will be none."""
        assert self._protocol is not None
        self._sleep(0)
        try:
            return self._protocol.receive()
        except ConnectionClosed:
            return None

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError when the client has gone."""
        assert self._protocol is not None
        try:
            self._protocol.send(message)
        except ConnectionClosed as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Say good-bye."""
        if self._protocol is not None and self._protocol.connected:
            self._protocol.close()

    def _unhandled(self) -> int:
        return len(self._protocol.input_buffer) if self._protocol else 0

    def _wake(self) -> None:
        """Let `wait` see that the connection has ended: the library says so too early."""
        if self._protocol:
            self._protocol.event.set()

    def _refuse(self, start_response: "StartResponse") -> Iterable[bytes]:
        socket: Socket = self._handler.__self__  # type: ignore[attr-defined]
        socket.close(wait=False, abort=True)  # Engine.IO would wait for its first word
        body = json.dumps({"msg": NO_HANDSHAKE}).encode()
        status = HTTPStatus.BAD_REQUEST
        start_response(
            f"{status.value} {status.phrase}",
            [("Content-Type", "application/json"), ("Content-Length", str(len(body)))],
        )
        return [body]


class _Shared:
    """A connection whose reader gives way, and on which one sends after the other, all or fails."""

    def __init__(
        self,
        connection: Any,
        sleep: Sleep,
        unhandled: Callable[[], int],
        ended: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._sleep = sleep
        self._unhandled = unhandled
        self._ended = ended
        self._sending = threading.Lock()

    def recv(self, size: int) -> bytes:
        """As of a socket, when others have had their turn and there is room for what came."""
        data: bytes = self._connection.recv(size)
        self._sleep(0)
        while self._unhandled() > MOST_UNHANDLED and self._connection.fileno() >= 0:
            self._sleep(PAUSE_S)
        return data

    def send(self, data: bytes) -> int:
        """As of a socket, but all of it."""
        with self._sending:
            self._connection.sendall(data)
        return len(data)

    def close(self) -> None:
        """As of a socket. The reader calls it when it is through."""
        self._connection.close()
        self._ended()
