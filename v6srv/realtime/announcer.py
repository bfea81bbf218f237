"""Sends committed events: at least once, and those of one process in the order of their ids."""

import logging
from collections import deque

from flask_socketio import SocketIO

from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.service import events
from v6srv.service.events import Event

log = logging.getLogger(__name__)

CLEAN_EVERY_S = 0.25
SWEEP_EVERY_S = 3.0
DELETE_AT_ONCE = 500


class Announcer:
    """Sends what this process commits, and what others left behind.

    Sending never waits for the database: rows are deleted by a second loop, in batches.
    """

    def __init__(self, socketio: SocketIO, background: Background) -> None:
        self._socketio = socketio
        self._background = background
        self._queue: deque[Event] = deque()
        self._wake = background.event()
        self._in_hand: set[int] = set()
        """Queued, or sent and not yet deleted."""
        self._sent: deque[int] = deque()

    def start(self) -> None:
        """Start the loops."""
        self._background.repeat(self._send_queued, every_s=1.0, wake=self._wake)
        self._background.repeat(self._clean, every_s=CLEAN_EVERY_S)
        self._background.repeat(self._sweep, every_s=SWEEP_EVERY_S)

    def committed(self, batch: list[Event]) -> None:
        """Queue a batch of committed events."""
        self._in_hand.update(event.id for event in batch)
        self._queue.extend(batch)
        self._wake.set()

    def flush(self) -> None:
        """Send what is queued and delete its rows. For after the loops have ended."""
        self._background.attempt(self._send_queued)
        self._background.attempt(self._clean)

    def _send_queued(self) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(len(self._queue))]
            for event in sorted(batch, key=lambda event: event.id):
                try:
                    self._send(event)
                except Exception:  # the others must not wait; the sweep tries this one again
                    log.exception("event %d (%s) was not sent", event.id, event.name)
                    self._in_hand.discard(event.id)
                else:
                    self._sent.append(event.id)

    def _send(self, event: Event) -> None:
        broadcast.send(self._socketio, event.name, event.payload, event.rooms)

    def _clean(self) -> None:
        """Delete what has been sent; not while other processes could not be told."""
        while self._sent and not self._socketio.server.manager.behind:
            ids = [self._sent[i] for i in range(min(len(self._sent), DELETE_AT_ONCE))]
            events.delete_sent(ids)
            for id in ids:
                self._sent.popleft()
                self._in_hand.discard(id)

    def _sweep(self) -> None:
        gone = events.CLAIM_AT_MOST
        while gone >= events.CLAIM_AT_MOST:
            gone = events.take_over(self._send, self._in_hand)
