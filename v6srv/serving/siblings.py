"""Several processes behind one port: who gets a connection passes it on to whom it is for.

The processes accept from one socket, so a connection comes to any of them. That is right for all
requests but those of a session of Socket.IO, which lives in one process: its long polling, and its
upgrade to a WebSocket. The id of a session begins with the number of its process, and the process
that has read the head of such a request hands over the connection itself, with what was read.
"""

import logging
from collections.abc import Callable
from mmap import mmap
from urllib.parse import parse_qs

from gevent import socket
from gevent.lock import RLock
from werkzeug.exceptions import NotFound, RequestHeaderFieldsTooLarge, ServiceUnavailable

log = logging.getLogger(__name__)

LONGEST = 128 * 1024
"""Bytes of a request that can be handed over: the head, and what came with it."""

Serve = Callable[[socket.socket, bytes], object]


class Siblings:
    """The processes behind one port, with numbers from 1 on.

    Made before they are: they inherit the channels, so nobody else can hand over anything. A
    process that takes the place of one that died gets its number and finds what waits for it.
    Until it serves nothing is handed over: its clients are told at once that their session is gone.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.me = 1
        """The number of this process."""
        self._serving = mmap(-1, count)  # which all of them share
        self._inboxes, self._outboxes = [], []
        for _ in range(count if count > 1 else 0):
            ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._inboxes.append(ends[0].detach())
            self._outboxes.append(ends[1].detach())

    @property
    def prefix(self) -> str:
        """What the ids of sessions of this process begin with; nothing when it is alone."""
        return f"{self.me}." if self.count > 1 else ""

    def start(self, me: int) -> None:
        """Become one of them, in the process itself."""
        self.me = me
        self._channels = [
            (RLock(), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=outbox))
            for outbox in self._outboxes
        ]

    def serves(self, number: int, now: bool) -> None:
        """A process serves, or has died."""
        self._serving[number - 1] = now

    def of_session(self, query: str) -> int | None:
        """Another process, if the session of a request with this query is there."""
        number = self._known(parse_qs(query).get("sid", [""])[0].partition(".")[0])
        return number if number not in (None, self.me) and self._serving[number - 1] else None

    def asked_for(self, query: str) -> int | None:
        """Another process, if a query names it by `process=`. Raises HTTPException."""
        number = self._known(parse_qs(query).get("process", [str(self.me)])[0])
        if number is None:
            raise NotFound(f"There is no such process here: there are {self.count}, from 1 on")
        if number != self.me and not self._serving[number - 1]:
            raise ServiceUnavailable("This process does not serve now: another one is on its way")
        return number if number != self.me else None

    def _known(self, text: str) -> int | None:
        return next((one for one in range(1, self.count + 1) if text == str(one)), None)

    def hand_over(self, number: int, client: socket.socket, begun: bytes) -> None:
        """Let a process serve a connection, of which so much was read.

        The caller only closes its own descriptor then. Waits while too much waits there already.
        """
        if len(begun) > LONGEST:
            raise RequestHeaderFieldsTooLarge("The head is too large")
        lock, channel = self._channels[number - 1]
        with lock:
            socket.send_fds(channel, [begun], [client.fileno()])

    def take(self, serve: Serve) -> None:
        """Serve whatever others hand over, for ever; `serve` must not wait."""
        inbox = socket.socket(
            socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=self._inboxes[self.me - 1]
        )
        while True:
            begun, descriptors, _, _ = socket.recv_fds(inbox, LONGEST, 1)
            if not descriptors:
                log.error("too many open files: a connection that was handed over is closed")
            for descriptor in descriptors:
                serve(socket.socket(fileno=descriptor), begun)
