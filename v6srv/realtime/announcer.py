"""Sends committed events: at least once, and those of one process in the order of their ids.

The sockets of this process hear an event at once, from memory. Other processes hear it through
the message queue; while that is away, or slow, the rows of the outbox are all there is for them,
and they are read again, in their order, when it is back.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask_socketio import SocketIO

from v6srv.db import LARGEST_ID
from v6srv.realtime import broadcast
from v6srv.realtime.background import Background
from v6srv.realtime.managers import MARGIN_S, RETRY_S, Others
from v6srv.service import events, past_events
from v6srv.service.events import Event
from v6srv.settings import KeptEvents

log = logging.getLogger(__name__)

CLEAN_EVERY_S = 0.25
SWEEP_EVERY_S = 3.0
DROP_EVERY_S = 60.0
NOTE_AT_ONCE = 500
PUBLISH_AT_ONCE = 100
MOST_WAITING = 5000
"""Messages for other processes that are kept in memory."""
LOOK_AGAIN_S = 5.0
"""What was published is noted later: so often it is looked for again, until all of it is noted."""
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class _Message:
    """Something for other processes; `event_id` is None for what is not in the outbox."""

    data: Any
    event_id: int | None = None


class Announcer:
    """Sends what this process commits, and what others left behind."""

    def __init__(
        self,
        socketio: SocketIO,
        background: Background,
        begin_anew: Callable[[], None],
        keep: KeptEvents,
    ) -> None:
        """`begin_anew` ends all sockets of this process in a way that clients come back."""
        self._keep = keep
        self._socketio = socketio
        self._begin_anew = begin_anew
        self._others: Others | None = socketio.server.manager.others
        self._background = background
        self._wake = background.event()
        self._wake_publisher = background.event()
        self._committed: deque[Event] = deque()
        """For the sockets of this process."""
        self._waiting: deque[_Message] = deque()
        """For other processes."""
        self._telling: set[int] = set()
        """Events that the sockets of this process are being told."""
        self._untold: dict[int, tuple[Event, float]] = {}
        """What the sockets of this process could not be told, and since when (monotonic)."""
        self._sent: deque[int] = deque()
        self._in_hand: set[int] = set()
        """Events that are in one of these."""
        self._lock = threading.Lock()
        """Held for changes of `_waiting` and the next five."""
        self._behind = False
        """What other processes must hear is in the outbox and not in `_waiting`."""
        self._skipped = 0
        """Events that were left to the outbox since the start."""
        self._deaf_since = _NEVER
        """Since when (monotonic, as the next two) what others published is to be made up for."""
        self._again_since = _NEVER
        self._again_at = _NEVER
        """When to look again, and since when."""
        self._under_way = 0
        """What has this id or a lower one may have been published before this process heard."""
        self._wake_ear = background.event()
        self._publishing, self._cleaning = threading.Lock(), threading.Lock()

    def start(self) -> None:
        """Start the loops."""
        repeat = self._background.repeat
        if self._others is not None:
            self._others.hand_over = self._hand_over
            self._others.hears_again = self._hears_again
            repeat(self._catch_up, every_s=RETRY_S, wake=self._wake_ear)
            repeat(self._tell_others, every_s=RETRY_S, wake=self._wake_publisher)
        repeat(self._tell_sockets, every_s=1.0, wake=self._wake)
        repeat(self._clean, every_s=CLEAN_EVERY_S)
        repeat(self._sweep, every_s=SWEEP_EVERY_S)
        repeat(self._drop, every_s=DROP_EVERY_S)

    def committed(self, batch: list[Event]) -> None:
        """Queue a batch of committed events."""
        self._in_hand.update(event.id for event in batch)
        self._committed.extend(batch)
        self._wake.set()

    def flush(self) -> None:
        """Send what is queued and note that in its rows. For after the loops have ended."""
        attempt = self._background.attempt
        attempt(self._tell_sockets)
        if self._others is not None:
            # Not if the loop still waits for the queue: what is in the outbox is not lost.
            if not self._others.away and self._publishing.acquire(blocking=False):
                attempt(self._publish_waiting)
            self._others.close()
        attempt(self._clean)

    # --- the sockets of this process

    def _tell_sockets(self) -> None:
        while self._committed:
            batch = [self._committed.popleft() for _ in range(len(self._committed))]
            for event in sorted(batch, key=lambda event: event.id):
                self._tell(event)

    def _tell(self, event: Event) -> None:
        """Tell the sockets of this process, unless they were told.

        Others hear of it first: they tell their sockets meanwhile.
        """
        self._telling.add(event.id)
        try:
            if self._others is not None:
                self._pass_on(event)
            if self._reach(event):
                self._told_here(event)
            else:
                self._untold[event.id] = (event, time.monotonic())
        finally:
            self._telling.discard(event.id)

    def _told_here(self, event: Event) -> None:
        if self._others is None:
            self._sent.append(event.id)

    def _tell_again(self) -> None:
        """Try what failed."""
        for event, since in list(self._untold.values()):
            late = time.monotonic() - since > events.DROP_AFTER_S
            if late:
                log.error("event %d (%s) is given up", event.id, event.name)
            if late or self._reach(event):
                del self._untold[event.id]
                self._told_here(event)

    def _reach(self, event: Event) -> bool:
        """Whether the sockets of this process have been told, now or before. False: it failed."""
        return not self._is_news(event) or self._send_here(event)

    def _is_news(self, event: Event) -> bool:
        return self._others is None or self._others.is_news(event.id)

    def _send_here(self, event: Event) -> bool:
        try:
            broadcast.send_here(self._socketio, event.name, event.payload, event.rooms)
        except Exception as error:  # other events must not wait
            log.error("event %d (%s) was not sent: %r", event.id, event.name, error)
            if self._others is not None:
                self._others.forget(event.id)
            return False
        return True

    def _pass_on(self, event: Event) -> None:
        """Others must hear of it, now or when there is room."""
        data = self._message(event)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._fall_behind()
            if self._behind:
                self._skipped += 1
                self._in_hand.discard(event.id)
            else:
                self._waiting.append(_Message(data, event.id))
        self._wake_publisher.set()

    # --- other processes

    def _hand_over(self, data: Any) -> None:
        """Others must hear something that is not in the outbox: who comes and goes."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._fall_behind()
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()  # old news
            self._waiting.append(_Message(data))
        self._wake_publisher.set()

    def _message(self, event: Event) -> Any:
        assert self._others is not None
        name, payload, rooms = event.name, event.payload, event.rooms
        return self._others.message(name, payload, broadcast.NAMESPACE, rooms, event.id)

    # --- what this process could not hear

    def _hears_again(self, since: float) -> None:
        with self._lock:
            self._deaf_since = min(self._deaf_since, since)
        self._wake_ear.set()

    def _catch_up(self) -> None:
        """Tell the sockets of this process what others published while it did not hear them."""
        began = time.monotonic()
        with self._lock:
            is_first = self._deaf_since < _NEVER
            if not is_first and began < self._again_at:
                return
            since = min(self._deaf_since, self._again_since)
            self._deaf_since = self._again_since = self._again_at = _NEVER
        try:
            # Asked first: what is noted in between is read.
            under_way = events.under_way(LARGEST_ID if is_first else self._under_way)
            self._make_up_for(since)
        except Exception:
            with self._lock:  # it may have been deaf again meanwhile
                self._deaf_since = min(self._deaf_since, since)
            raise
        if under_way:
            with self._lock:
                self._under_way = under_way
                self._again_since = began - MARGIN_S
                self._again_at = time.monotonic() + LOOK_AGAIN_S

    def _make_up_for(self, since: float) -> None:
        moment = events.by_the_database(since)
        if events.is_forgotten(moment):
            deaf_s = time.monotonic() - since
            log.warning("the message queue was not heard for %.0f s: sockets begin anew", deaf_s)
            self._begin_anew()
            return
        sent = [self._send_here(one) for one in events.missed(moment) if self._is_news(one)]
        if sent:
            log.warning("%d events of other processes were not heard in time", len(sent))
        if failed := sent.count(False):
            raise ConnectionError(f"{failed} events of other processes could not be told yet")

    def _fall_behind(self) -> None:
        """Forget the events that wait: their rows are there. Needs the lock."""
        if not self._behind:
            log.warning("events for other processes wait in the database")
        self._behind = True
        self._in_hand.difference_update(one.event_id for one in self._waiting if one.event_id)
        self._waiting = deque(one for one in self._waiting if one.event_id is None)

    def _tell_others(self) -> None:
        assert self._others is not None
        with self._publishing:
            while self._others.ready() and self._publish_waiting():
                if not self._behind or not self._publish_rows():
                    break

    def _publish_waiting(self) -> bool:
        """False: the queue is away."""
        assert self._others is not None
        while True:
            with self._lock:
                count = min(len(self._waiting), PUBLISH_AT_ONCE)
                batch = [self._waiting.popleft() for _ in range(count)]
            if not batch:
                return True
            if not self._others.publish([one.data for one in batch]):
                with self._lock:
                    self._waiting.extendleft(reversed(batch))
                    self._fall_behind()
                return False
            self._sent.extend(one.event_id for one in batch if one.event_id is not None)

    def _publish_rows(self) -> bool:
        """Publish the oldest events of the outbox. False: the queue is away, or nothing is left."""
        assert self._others is not None
        self._clean()  # what was published must not be read again
        skipped = self._skipped
        rows = events.unsent(PUBLISH_AT_ONCE)
        if not rows:
            with self._lock:
                self._behind = self._skipped != skipped
            return self._behind
        if not self._others.publish([self._message(one) for one in rows]):
            return False
        self._sent.extend(one.id for one in rows)
        return True

    # --- the outbox

    def _clean(self) -> None:
        """Note what has been sent: if this process dies before, another one sends it again."""
        with self._cleaning:
            done: list[int] = []
            for _ in range(len(self._sent)):
                id = self._sent.popleft()
                (self._sent if id in self._telling else done).append(id)
            try:
                while ids := done[:NOTE_AT_ONCE]:
                    events.note_sent(ids)
                    self._in_hand.difference_update(ids)
                    del done[:NOTE_AT_ONCE]
            finally:
                self._sent.extend(done)

    def _drop(self) -> None:
        """Delete what nobody waits for any more."""
        events.drop_unsent()
        past_events.drop(self._keep)

    def _sweep(self) -> None:
        """Take over what was left behind, as much as there is room for."""
        self._tell_again()
        while not self._behind and len(self._in_hand) < MOST_WAITING // 2:
            left = events.take_over(self._in_hand)
            self.committed(left)
            if len(left) < events.CLAIM_AT_MOST:
                break
