"""Notices nodes that fell silent and sockets whose server process died (S18, S30)."""

import logging
import time

from flask_socketio import SocketIO

from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.departures import Departures
from v6srv.realtime.seats import Seat, Seats
from v6srv.service import presence
from v6srv.service.presence import Live

log = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
UNCONFIRMED_S = 60.0
"""A socket whose process missed this many seconds of heartbeats is gone."""
OUT_OF_TOUCH_S = 30.0
"""Without a heartbeat for so long this process was cut off, and perhaps others with it."""


class Watchdog:
    """May run in every process: each finding is claimed in the database before it is announced.

    After the database was away nobody is judged until everybody had time to report.
    """

    def __init__(
        self,
        socketio: SocketIO,
        seats: Seats,
        departures: Departures,
        silent_s: float,
    ) -> None:
        self._socketio = socketio
        self._seats = seats
        self._departures = departures
        self._silent_s = silent_s
        self._beaten_at = time.monotonic()
        self._in_touch_since = float("-inf")

    def start(self, background: Background) -> None:
        """Start the loops. Nodes get one period to come back after a restart."""
        background.repeat(self.look_for_silent_nodes, self._silent_s, wait_first=True)
        background.repeat(self.heartbeat, HEARTBEAT_S, wait_first=True)

    def look_for_silent_nodes(self) -> None:
        """Nodes that are online and were not heard of for a whole period go offline."""
        if not self._in_touch_for(self._silent_s):
            return
        for card in presence.time_out_nodes(self._silent_s):
            log.warning("node %d is silent: marked offline", card.id)
            broadcast.node_offline(self._socketio, card)

    def heartbeat(self) -> None:
        """Confirm the sockets of this process; end what is dead, here and in other processes."""
        for seat in self._seats.all():
            if seat.settled and not self._alive(seat):
                self._end(seat)
        beat = presence.heartbeat(self._live, self._connecting)
        self._note_beat()
        for sid, told in beat.saved.items():
            seat = self._seats.get(sid)
            if seat is not None and seat.shared is told.shared:
                seat.unsaved -= told.unsaved
        for card in beat.back:
            broadcast.node_online(self._socketio, card)
        self._departures.add(beat.dead)
        if self._in_touch_for(OUT_OF_TOUCH_S):
            stale = presence.stale_sockets(UNCONFIRMED_S)
            self._departures.add(stale, unseen_s=UNCONFIRMED_S)

    def _note_beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten_at > OUT_OF_TOUCH_S:
            self._in_touch_since = now
        self._beaten_at = now

    def _in_touch_for(self, seconds: float) -> bool:
        return time.monotonic() - self._in_touch_since >= seconds

    def _live(self) -> dict[str, Live]:
        return {seat.sid: self._report(seat) for seat in self._seats.all() if seat.settled}

    def _report(self, seat: Seat) -> Live:
        heard_s = time.monotonic() - seat.heard_at
        silent = seat.is_node and heard_s >= self._silent_s
        return Live(seat.account_id, heard_s, silent, seat.shared, seat.unsaved)

    def _connecting(self) -> set[str]:
        return {seat.sid for seat in self._seats.all() if not seat.settled}

    def _alive(self, seat: Seat) -> bool:
        """Whether there still is a transport: one that breaks while it connects is not reported."""
        server = self._socketio.server
        transport = server.manager.eio_sid_from_sid(seat.sid, NAMESPACE)
        socket = server.eio.sockets.get(transport)
        return socket is not None and not socket.closed

    def _end(self, seat: Seat) -> None:
        log.info("socket %s of account %d is dead", seat.sid, seat.account_id)
        self._socketio.server.disconnect(seat.sid, namespace=NAMESPACE, ignore_queue=True)
        if self._seats.take(seat.sid) is not None:  # the library did not know it either
            self._departures.add([seat.sid])
