"""What the database must learn when sockets go, off the thread in which they went."""

from collections import deque

from flask_socketio import SocketIO

from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.service import presence


class Departures:
    """A socket can break while an event is being sent to it; the sender must not wait for a write.

    Until the loop is started, sockets are taken off the books at once.
    """

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio
        self._queue: deque[tuple[str, float | None]] = deque()
        self._wake = None

    def start(self, background: Background) -> None:
        """Start the loop."""
        self._wake = background.event()
        background.repeat(self.work_off, every_s=1.0, wake=self._wake)

    def add(self, sid: str, unseen_s: float | None = None) -> None:
        """The socket `sid` is gone; with `unseen_s`, if nobody confirmed it for so long."""
        self._queue.append((sid, unseen_s))
        if self._wake is None:
            self.work_off()
        else:
            self._wake.set()

    def work_off(self) -> None:
        """Take everybody in the queue off the books and announce nodes that went offline."""
        while self._queue:
            self.depart(*self._queue.popleft())

    def depart(self, sid: str, unseen_s: float | None = None) -> None:
        """Take one socket off the books. What fails here is found by the heartbeat."""
        broadcast.node_offline(self._socketio, presence.disconnected(sid, unseen_s))
