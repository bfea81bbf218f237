"""What Engine.IO is given to work with: WebSockets that one client cannot use against all others,
and queues that give out no more than a client takes.

What the library makes of a WebSocket reads as fast as a client sends, without letting others run,
keeps whatever is not handled yet, and sends only what the network takes at once. It answers a
poll with all that waits, of which its own clients refuse more than a few packets. And each packet
for each socket wakes a greenlet, which makes a frame of it: here what the network takes at once is
written by whoever sends it, and the frame is made once for all sockets.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from queue import Empty
from typing import TYPE_CHECKING, Any

from engineio import Server
from engineio.packet import Packet
from engineio.socket import Socket
from simple_websocket import ConnectionClosed
from simple_websocket import ConnectionError as NotConnected
from simple_websocket import Server as Protocol
from wsproto.frame_protocol import FrameProtocol
from wsproto.utilities import ProtocolError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

MOST_UNHANDLED = 100
"""Messages of one client that wait; further ones wait in the network."""
AT_ONCE = 1024
"""Bytes that are read before others get their turn: more than a hundred pings fit in."""
PAUSE_S = 0.01
MOST_AT_ONCE = 16
"""Packets in the answer to a poll: clients hang up on more."""
NO_HANDSHAKE = "This is no handshake of a WebSocket"

_GEVENT = "gunicorn.socket"
_CONNECTIONS = (_GEVENT, "werkzeug.socket")


def use(server: Server, longest: int) -> None:
    """Let an Engine.IO server take these; `longest` is the size of a message in bytes."""

    frames = _Frames()

    def make(handler: Callable[[Any], Any], _server: Server) -> _WebSocket:
        return _WebSocket(handler, server, longest, frames)

    queue = _in_portions(server._async["queue"])
    server._async = {**server._async, "websocket": make, "queue": queue}


def _in_portions(base: type[Any]) -> type[Any]:
    """A queue that seems empty once so many have been taken since somebody waited for one.

    While it is empty and its client waits, what is put goes past it if the network takes it.
    """

    class Portions(base):  # type: ignore[misc]
        """Packets for one client."""

        taken = 0
        waits = False
        passed = False
        """Something went past it since its client began to wait."""
        at_once: Callable[[Packet], bool] | None = None
        """Sends a packet now; False: it must wait."""

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            """The next packet; the library does not wait for the rest of a portion.

            It takes a client for lost that was sent nothing, not even a ping, in so long.
            """
            self.taken = 1 if block else self.taken + 1
            if self.taken > MOST_AT_ONCE:
                raise Empty
            self.waits = block
            try:
                while True:
                    self.passed = False
                    try:
                        return super().get(block, timeout)
                    except Empty:
                        if not self.passed:
                            raise
            finally:
                self.waits = False

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            """Send it at once, or keep it. None is the end."""
            if self.at_once and self.waits and item and self.empty() and self.at_once(item):
                self.passed = True
                return
            super().put(item, block, timeout)

    return Portions


class _Frames:
    """The packet that was sent last, as a frame: all sockets in a room get the same one."""

    def __init__(self) -> None:
        self._last: tuple[Packet | None, bytes] = (None, b"")

    def of(self, packet: Packet) -> bytes:
        """For a WebSocket without extensions."""
        last, frame = self._last
        if last is not packet:
            frame = FrameProtocol(client=False, extensions=[]).send_data(packet.encode(), True)
            self._last = (packet, frame)
        return frame


class _WebSocket:
    """One WebSocket, with the methods that Engine.IO calls."""

    def __init__(
        self, handler: Callable[[Any], Any], server: Server, longest: int, frames: _Frames
    ) -> None:
        self._handler = handler
        self._socket: Socket = handler.__self__  # type: ignore[attr-defined]
        self._server = server
        self._longest = longest
        self._frames = frames
        self._is_plain = False
        """Whether frames are not compressed, and can be sent without waiting."""
        self._protocol: Protocol | None = None

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve it to its end."""
        name = next(name for name in _CONNECTIONS if name in environ)
        shared = self._shared = _Shared(environ[name], self._server, self._unhandled, self._wake)
        try:
            self._protocol = Protocol(
                environ | {name: shared}, receive_bytes=AT_ONCE, max_message_size=self._longest
            )
        except (ProtocolError, NotConnected, ValueError):
            return self._refuse(start_response)
        self._is_plain = name == _GEVENT and "HTTP_SEC_WEBSOCKET_EXTENSIONS" not in environ
        self._handler(self)
        if self._protocol.mode == "gunicorn":
            raise StopIteration  # nothing of HTTP may follow
        raise ConnectionError

    def wait(self) -> Any:
        """The next message; None when there will be none."""
        assert self._protocol is not None
        self._server.sleep(0)
        try:
            return self._protocol.receive()
        except ConnectionClosed:
            return None

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError when the client has gone."""
        assert self._protocol is not None
        if self._is_plain and self._socket.upgraded:  # of several, the one that became the socket
            self._socket.queue.at_once = self._send_at_once
        try:
            self._protocol.send(message)
        except ConnectionClosed as error:
            raise OSError(str(error)) from error

    def _send_at_once(self, packet: Packet) -> bool:
        assert self._protocol is not None
        if not self._protocol.connected:
            return False
        return self._shared.send_at_once(self._frames.of(packet))

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
        self._socket.close(wait=False, abort=True)  # Engine.IO would wait for its first word
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
        server: Server,
        unhandled: Callable[[], int],
        ended: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._server = server
        self._unhandled = unhandled
        self._ended = ended
        self._sending = threading.Lock()

    def recv(self, size: int) -> bytes:
        """As of a socket, when others have had their turn and there is room for what came."""
        data: bytes = self._connection.recv(size)
        self._server.sleep(0)
        while self._unhandled() > MOST_UNHANDLED and self._connection.fileno() >= 0:
            self._server.sleep(PAUSE_S)
        return data

    def send(self, data: bytes) -> int:
        """As of a socket, but all of it."""
        with self._sending:
            self._connection.sendall(data)
        return len(data)

    def send_at_once(self, data: bytes) -> bool:
        """Send without waiting for the network or for somebody who sends. False: not a byte of it.

        For a socket of gevent.
        """
        # Of gevent a lock that cannot be taken gives the turn away, and another packet overtakes.
        if self._sending.locked() or not self._sending.acquire(blocking=False):
            return False
        try:
            sent = self._connection.send(data, timeout=0.0)
        except OSError:  # there is no room, or it has ended, which will be found
            sent = 0
        if 0 < sent < len(data):
            self._server.start_background_task(self._send_rest, data[sent:])
        else:
            self._sending.release()
        return bool(sent)

    def _send_rest(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            log.debug("a socket ended while something was sent: %s", error)
        finally:
            self._sending.release()

    def close(self) -> None:
        """As of a socket. The reader calls it when it is through."""
        self._connection.close()
        self._ended()
