"""What the database must learn when sockets go, off the thread in which they went."""

from collections import deque
from collections.abc import Iterable

from flask_socketio import SocketIO

from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.service import presence

AT_ONCE = 1000
"""Sockets that are taken off the books in one transaction."""


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

    def add(self, sids: Iterable[str], unseen_s: float | None = None) -> None:
        """These sockets are gone; with `unseen_s`, those that nobody confirmed for so long."""
        self._queue.extend((sid, unseen_s) for sid in sids)
        if self._wake is None:
            self.work_off()
        else:
            self._wake.set()

    def work_off(self) -> None:
        """Take everybody in the queue off the books and announce nodes that went offline.

        What fails here is found by the heartbeat.
        """
        while self._queue:
            count = min(len(self._queue), AT_ONCE)
            batch = [self._queue.popleft() for _ in range(count)]
            for unseen_s in {unseen_s for _, unseen_s in batch}:
                sids = [sid for sid, limit in batch if limit == unseen_s]
                for card in presence.disconnected(sids, unseen_s):
                    broadcast.node_offline(self._socketio, card)
