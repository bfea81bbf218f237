"""Notices nodes that fell silent and sockets whose server process died (S18, S30)."""

import logging

from flask_socketio import SocketIO

from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.departures import Departures
from v6srv.realtime.seats import Seat, Seats
from v6srv.service import presence

log = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
UNCONFIRMED_S = 60.0
"""A socket whose process missed this many seconds of heartbeats is gone."""


class Watchdog:
    """May run in every process: each finding is claimed in the database before it is announced."""

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

    def start(self, background: Background) -> None:
        """Start the loops. Nodes get one period to come back after a restart."""
        background.repeat(self.look_for_silent_nodes, self._silent_s, wait_first=True)
        background.repeat(self.heartbeat, HEARTBEAT_S, wait_first=True)

    def look_for_silent_nodes(self) -> None:
        """Nodes that are online and were not heard of for a whole period go offline."""
        for card in presence.time_out_nodes(self._silent_s):
            log.warning("node %d is silent: marked offline", card.id)
            broadcast.node_offline(self._socketio, card)

    def heartbeat(self) -> None:
        """Confirm the sockets of this process; end what is dead, here and in other processes."""
        for seat in self._seats.all():
            if seat.settled and not self._alive(seat):
                self._end(seat)
        for sid in presence.heartbeat(self._live, self._connecting):
            self._departures.add(sid)
        for sid in presence.stale_sockets(UNCONFIRMED_S):
            self._departures.add(sid)

    def _live(self) -> dict[str, int]:
        return {seat.sid: seat.account_id for seat in self._seats.all() if seat.settled}

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
            self._departures.add(seat.sid)
