"""Live sockets follow the policy: who loses a right hears nothing more, within a second (S25)."""

import logging
import time
from collections.abc import Callable, Sequence

from flask_socketio import SocketIO

from v6srv import meters
from v6srv.authz import clock
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.decision_log import together
from v6srv.authz.enforcer import Enforcer
from v6srv.identity import principals
from v6srv.identity.principals import Known
from v6srv.realtime.background import GIVE_WAY_S, Background
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.realtime.held_back import HeldBack
from v6srv.realtime.log_readers import LogReaders
from v6srv.realtime.seats import Seat, Seats
from v6srv.service import rooms

log = logging.getLogger(__name__)

POLL_S = 0.25
HOLD_AT_MOST_S = 60.0
"""Nobody could be decided for so long: all sockets begin anew."""
DECIDED_AT_MOST_S = 1.0
"""What was held back is told on decisions that began at most so long ago, or that nothing changed
since, or else on those of a second review: many sockets take their time, and processes stall. Not
of a third: where changes never end nobody would ever be told anything."""
BREATHE_EVERY = 100
"""Seats after which other greenlets get a turn."""
_NEVER = float("inf")


class Revocation:
    """Decides the rooms of this process's sockets again whenever policy or membership changes, or a
    time limit of a line begins or ends.

    A change is noticed at once when this process commits it, else at the next poll. From then on
    until all are decided no room of this process is told anything (`HeldBack`).
    """

    def __init__(
        self,
        socketio: SocketIO,
        seats: Seats,
        authz: Authorizer,
        readers: LogReaders,
        begin_anew: Callable[[], None],
    ) -> None:
        """`begin_anew` ends all sockets of this process in a way that clients come back."""
        self._socketio = socketio
        self._seats = seats
        self._authz = authz
        self._readers = readers
        self._begin_anew = begin_anew
        self._held_back: HeldBack = socketio.server.manager.held_back
        self._held_since = _NEVER
        self._is_second = False
        """The next review is of what the last one has missed."""
        self._seen: tuple[int, int] | None = None
        self._policy: Enforcer | None = None
        self._at = clock.now()
        self._wake = None
        self.generation = 0
        """Raised when a review begins, before it reads anything."""

    def start(self, background: Background) -> None:
        """Start the loop."""
        self._wake = background.event()
        background.repeat(self.look, every_s=POLL_S, wake=self._wake)

    def changed(self) -> None:
        """Look now, not at the next poll."""
        if self._wake is not None:
            self._wake.set()

    def again(self) -> None:
        """Review everybody at the next look, even if nothing changes until then."""
        self._seen = None
        self.changed()

    def look(self) -> None:
        """Review everybody if something may have changed since the last look."""
        if time.monotonic() - self._held_since > HOLD_AT_MOST_S:
            log.warning("rooms could not be decided for %.0f s: sockets begin anew", HOLD_AT_MOST_S)
            self._begin_anew()
            self._held_back.forget()
        if not self._seats.all():
            self._seen = None
            self._release()
            return
        began, now = time.monotonic(), rooms.revision()
        if now != self._seen:  # before the policy is made of it: that takes its time
            self._hold()
        policy = self._authz.store.follow(now[0])
        at, before = clock.now(), self._at
        if now == self._seen and policy is self._policy and not policy.turned_since(before):
            return
        self._hold()
        self._seen, self._policy, self._at = now, policy, at
        try:
            self.review()
        except BaseException:
            self._seen = None
            raise
        if not self._is_second and self._is_old(began, now):
            self._is_second = True
            self.changed()
        else:
            self._release()

    @staticmethod
    def _is_old(began: float, revision: tuple[int, int]) -> bool:
        """Whether decisions that began then are not to be told anything on."""
        took = time.monotonic() - began
        return took > DECIDED_AT_MOST_S and rooms.revision() != revision

    def _hold(self) -> None:
        self._held_since = min(self._held_since, time.monotonic())
        self._held_back.hold()

    def _release(self) -> None:
        self._held_since, self._is_second = _NEVER, False
        self._held_back.release()

    def review(self) -> None:
        """Put every socket into the rooms it may be in now, and out of the others.

        Sockets of accounts that are gone, or that honour the socket's token no more, are closed.
        """
        self.generation += 1
        self._readers.forget()
        seats = [seat for seat in self._seats.all() if seat.settled]
        candidates = rooms.collaborations()
        known = principals.load_all(seat.claims for seat in seats)
        for first in range(0, len(seats), BREATHE_EVERY):
            with together():
                for seat in seats[first : first + BREATHE_EVERY]:
                    self._decide(seat, known.get(seat.claims), candidates)
            self._socketio.sleep(GIVE_WAY_S)

    def _decide(self, seat: Seat, still: Known | None, candidates: Sequence[int]) -> None:
        """`still`: who sits there; None: nobody any more."""
        if still is None:
            log.info("socket of account %d is closed: its token was ended", seat.account_id)
            meters.EVICTIONS.labels("token").inc()
            self._socketio.server.disconnect(seat.sid, namespace=NAMESPACE, ignore_queue=True)
        else:
            seat.name = still.principal.name
            self._seats.follow(seat, still.generation)
            self._seats.move(seat, rooms.allowed(self._authz, still.principal, candidates))
