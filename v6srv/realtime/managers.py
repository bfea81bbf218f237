"""Who is connected, shared between processes through Redis or an AMQP broker when there is one.

The library publishes in the thread of who emits. Here it only notes what others must hear
(`others.hand_over`); one loop, the announcer's, publishes it. So a queue that is away or hangs
makes nobody wait, and each process serves its own sockets meanwhile.
"""

import hmac
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from socketio import KombuManager, Manager, PubSubManager, RedisManager

from v6srv import problems
from v6srv.realtime.background import GIVE_WAY_S
from v6srv.realtime.held_back import HeldBack
from v6srv.realtime.log_readers import Only, Participants
from v6srv.realtime.render import render
from v6srv.realtime.sealed import Sealed

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""How often a lost queue is tried again, to publish and to listen."""
GRACE_S = 3 * RETRY_S
"""How long publishing waits once the queue is back: until all others listen again."""
TIMEOUT_S = 3.0
"""How long the queue may take to answer."""
MARGIN_S = 15.0
"""What was published so long before the queue was lost may not have come: a connection that is
dead is noticed late, and what is published is noted a moment later."""
HELD_POLL_S = 0.01
TOLD_IN_A_TURN = 100
"""Sockets that are told something before others get a turn."""
MOST_REMEMBERED = 100_000
"""Events of which it is known that they were told here: more than come while what was missed is
looked for, at some thousands in a second."""

_PROBLEM = "queue"
_AWAY = "message queue: cannot be reached; other processes hear of events later"


class Others(Protocol):
    """How other processes are told. All but `hand_over` is for the one loop that publishes."""

    hand_over: Callable[[Any], None]
    """Called, in any thread, with a message that others must hear; must not wait."""

    hears_again: Callable[[float], None]
    """Called, in any thread, when the queue is heard again, with the time (monotonic) since which
    something may not have come; must not wait. Also when it is heard for the first time."""

    @property
    def away(self) -> bool:
        """Whether the queue cannot be reached, to publish or to listen."""

    def message(
        self, event: str, payload: Any, namespace: str, rooms: Sequence[str], id: int
    ) -> Any:
        """What makes other processes send an event to their sockets in any of the rooms, in their
        dialects."""

    def is_news(self, id: int) -> bool:
        """Whether the event with this id was not told here yet; it counts as told from now on."""

    def forget(self, id: int) -> None:
        """The event with this id could not be told: it is news again."""

    def ready(self) -> bool:
        """Whether to publish now: not while the queue is away, and until all others listen again
        when it is back."""

    def publish(self, messages: Sequence[Any]) -> bool:
        """Publish in this order. False: the queue did not take them, or not all of them."""

    def close(self) -> None:
        """This process ends: say no more about the queue."""


class _Some(list[str]):
    """Rooms, of which only some of the sockets are told something."""

    def __init__(self, rooms: Iterable[str], only: Only) -> None:
        super().__init__(rooms)
        self.only = only


class _Locked(Manager):
    """The library keeps rooms in plain dicts, made and dropped as sockets come and go.

    With real threads a join could get lost between two of these steps.
    """

    others: Others | None = None
    """The other processes; None: there are none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock = threading.RLock()
        self.confirmed: Callable[[str], None] = lambda sid: None
        """Called when a client has been sent that its namespace is open."""
        self.left: Callable[[str], None] = lambda transport: None
        """Called with the session whose client is no longer in a namespace, or was refused."""
        self.held_back = HeldBack(lambda tell: self.server.start_background_task(tell))
        """What rooms are told in this process goes through it."""
        self.readers: Callable[[str, Any], Only | None] = lambda event, payload: None
        """What leaves those of the sockets in a room who may hear an event; None: all may."""
        super().__init__(*args, **kwargs)

    def connect(self, sid: str, namespace: str) -> str:
        with self._lock:
            connected: str = super().connect(sid, namespace)
        self.confirmed(connected)
        return connected

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        to: Any = None,
        **kwargs: Any,
    ) -> None:
        """As the library's, to sockets of this process. One socket by itself is told at once."""
        room = to or room
        tell = partial(super().emit, event, data, namespace, **kwargs)
        if isinstance(room, str):
            tell(room=room)
            return
        only = self.readers(event, data)
        self.held_back.pass_on(partial(tell, room=room if only is None else _Some(room, only)))

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Others get a turn after each few; who has left the room meanwhile is left out.

        What is under way when it begins to be held back goes on afterwards.
        """
        first = now = self._participants(namespace, room)
        for count, (sid, transport) in enumerate(first.items(), 1):
            if sid in now:
                yield sid, transport
            if count % TOLD_IN_A_TURN == 0:
                self.server.sleep(GIVE_WAY_S)
                while self.held_back.holds:
                    self.server.sleep(HELD_POLL_S)
                now = self._participants(namespace, room)

    def _participants(self, namespace: str, room: Any) -> Participants:
        with self._lock:
            found = dict(super().get_participants(namespace, room))
        return room.only(found) if isinstance(room, _Some) else found

    def size(self, namespace: str, room: str) -> int:
        """How many sockets of this process are in a room."""
        return len(self.rooms.get(namespace, {}).get(room, ()))

    def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        with self._lock:
            return super().pre_connect(eio_sid, namespace)

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        with self._lock:
            super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        with self._lock:
            super().basic_leave_room(sid, namespace, room)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        with self._lock:
            transport = self.eio_sid_from_sid(sid, namespace)
            super().basic_disconnect(sid, namespace, **kwargs)
        if transport is not None:
            self.left(transport)


class _Alone(_Locked):
    """One process, no queue."""


class _Patient(PubSubManager, _Locked):
    """Knows whether the queue answers, and says so; see `Others` for the public methods."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.hand_over: Callable[[Any], None] = lambda message: None  # nobody is connected yet
        self.others = self
        self._broken: set[str] = set()
        self._closed = False
        self._checked_at = float("-inf")
        self._back_at: float | None = None
        self.hears_again: Callable[[float], None] = lambda since: None
        self._deaf = True
        self._heard_at = time.monotonic()
        self._told: dict[int, None] = {}
        super().__init__(*args, **kwargs)

    @property
    def away(self) -> bool:
        return bool(self._broken)

    def message(
        self, event: str, payload: Any, namespace: str, rooms: Sequence[str], id: int
    ) -> Any:
        return {  # as the library's `emit` says it
            "event_id": id,
            "method": "emit",
            "event": event,
            "data": [payload],
            "binary": False,
            "namespace": namespace,
            "room": list(rooms),
            "skip_sid": None,
            "callback": None,
            "host_id": self.host_id,
        }

    def is_news(self, id: int) -> bool:
        with self._lock:
            if id in self._told:
                return False
            self._told[id] = None
            if len(self._told) > MOST_REMEMBERED:
                del self._told[next(iter(self._told))]
            return True

    def forget(self, id: int) -> None:
        with self._lock:
            self._told.pop(id, None)

    def _handle_emit(self, message: Any) -> None:
        id = message.get("event_id")
        if id is not None and not self.is_news(id):
            return
        if id is None:
            super()._handle_emit(message)
            return
        try:
            [payload] = message["data"]
            for form, rooms in render(message["event"], payload, message["room"]):
                super()._handle_emit({**message, "data": [form], "room": rooms})
        except Exception:  # its row is there
            self.forget(id)
            self.hears_again(time.monotonic() - MARGIN_S)
            raise

    def publish(self, messages: Sequence[Any]) -> bool:
        try:
            self._send([self.json.dumps(message) for message in messages])
        except Exception as error:  # whatever a broker's library raises
            self._lost("publish", error)
            self._checked_at, self._back_at = time.monotonic(), None
            return False
        self._found("publish")
        return True

    def close(self) -> None:
        self._closed = True
        problems.end(_PROBLEM)

    def _publish(self, data: Any) -> None:
        self.hand_over(data)

    def ready(self) -> bool:
        if "publish" not in self._broken:
            return True
        if time.monotonic() - self._checked_at >= RETRY_S:
            answers = self._answers()
            now = self._checked_at = time.monotonic()
            if not answers:
                self._back_at = None
            elif self._back_at is None:  # now, not when it was asked: it may have hung until now
                self._back_at = now
        return self._back_at is not None and time.monotonic() - self._back_at >= GRACE_S

    def _answers(self) -> bool:
        try:
            self._ask()
        except Exception as error:  # as above
            log.debug("the message queue: %s", error)
            return False
        return True

    def _listen(self) -> Iterator[Any]:
        """As the library's, but never waiting longer than others expect (`GRACE_S`)."""
        while True:
            try:
                # What a broker has decoded itself was never sealed.
                yield from (one for one in self._hear() if isinstance(one, (str, bytes)))
            except Exception as error:  # as above
                self._lost("listen", error)
                time.sleep(RETRY_S)

    def _hears(self) -> None:
        """There is a sign of life: what is published now is heard."""
        self._found("listen")
        now = time.monotonic()
        if self._deaf:
            self._deaf = False
            self.hears_again(self._heard_at - MARGIN_S)
        self._heard_at = now

    def _lost(self, side: str, error: Exception) -> None:
        self._deaf = self._deaf or side == "listen"
        if not self._closed:
            self._broken.add(side)
            problems.begin(_PROBLEM, _AWAY, f"{side}: {error or type(error).__name__}")

    def _found(self, side: str) -> None:
        if side in self._broken:
            self._broken.discard(side)
            if not self._broken:
                problems.end(_PROBLEM)

    def _send(self, messages: list[str]) -> None:
        """Publish; raises when that failed, or nothing answered in time."""
        raise NotImplementedError

    def _ask(self) -> None:
        """Raises unless the queue answers."""
        raise NotImplementedError

    def _hear(self) -> Iterator[Any]:
        """What others publish, as long as there is a sign of life at all (`_hears`)."""
        raise NotImplementedError


class _Redis(_Patient, RedisManager):
    """Several processes over Redis."""

    def __init__(self, url: str, channel: str, sealed: Sealed) -> None:
        options = {
            "socket_connect_timeout": TIMEOUT_S,
            "socket_timeout": TIMEOUT_S,
            # A connection that was idle may have been closed meanwhile.
            "retry": Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
        }
        super().__init__(url, channel=channel, json=sealed, redis_options=options)

    def _client(self) -> Any:
        if not self.connected:
            self._redis_connect()
        return self.redis

    def _send(self, messages: list[str]) -> None:
        pipeline = self._client().pipeline(transaction=False)
        for message in messages:
            pipeline.publish(self.channel, message)
        pipeline.execute()

    def _ask(self) -> None:
        self._client().ping()

    def _hear(self) -> Iterator[Any]:
        with self._client().pubsub() as ear:
            ear.subscribe(self.channel)
            asked = True
            while True:
                heard = ear.get_message(timeout=TIMEOUT_S)
                if heard is None and asked:
                    raise TimeoutError("no answer")
                asked = heard is None
                if asked:
                    ear.ping()
                    continue
                # The library connects anew without a word; but it subscribes anew.
                self._deaf = self._deaf or heard["type"] == "subscribe"
                self._hears()
                if heard["type"] == "message":
                    yield heard["data"]


class _Kombu(_Patient, KombuManager):
    """Several processes over RabbitMQ."""

    def __init__(self, url: str, channel: str, sealed: Sealed) -> None:
        options = {"connection_options": _IMPATIENT, "queue_options": _IN_ORDER}
        super().__init__(url, channel=channel, json=sealed, **options)
        self._inbox = self._queue()  # one for all connections: it keeps what comes in between

    def _send(self, messages: list[str]) -> None:
        for last in (False, True):  # a connection that was idle may have been closed meanwhile
            try:
                producer = self.publisher_connection.Producer(exchange=self._exchange())
                for message in messages:
                    producer.publish(message, timeout=TIMEOUT_S, confirm_timeout=TIMEOUT_S)
            except Exception as error:
                _hang_up(self.publisher_connection)
                self.publisher_connection = self._connection()
                if last or isinstance(error, TimeoutError):
                    raise
            else:
                return

    def _ask(self) -> None:
        with self._connection() as connection:
            connection.ensure_connection(max_retries=1)

    def _hear(self) -> Iterator[Any]:
        connection = self._connection().clone(heartbeat=HEARTBEAT_S)
        try:
            inbox = connection.SimpleQueue(self._inbox)
            while True:
                self._hears()
                with suppress(queue.Empty):
                    message = inbox.get(timeout=RETRY_S)
                    message.ack()
                    yield message.payload
                connection.heartbeat_check()  # raises after two without an answer
        finally:
            _hang_up(connection)


def _hang_up(connection: Any) -> None:
    """Without a word: the other end may not answer."""
    with suppress(Exception):
        connection.collect(socket_timeout=0.1)


HEARTBEAT_S = 5
"""Between signs of life on a connection to RabbitMQ that listens."""

_IN_ORDER = {"queue_arguments": {"x-expires": 300_000, "x-single-active-consumer": True}}
"""A connection that is dead, which the broker does not know yet, gets all it was sent first."""

_IMPATIENT = {
    "connect_timeout": TIMEOUT_S,
    "transport_options": {
        "max_retries": 1,
        "interval_start": 0.1,
        "interval_step": 0.1,
        "interval_max": 0.2,
        "confirm_publish": True,
    },
}
"""kombu would wait for ever for a broker that is away."""


def make(message_queue: str | None, secret: str) -> Manager:
    """The client manager for a queue URL (`redis://`, `amqp://` ...); None is a single process.

    The channel follows from `secret`, which the processes of an installation share: two that use
    the same broker do not hear each other.
    """
    if not message_queue:
        return _Alone()
    sealed = Sealed(secret)
    channel = f"v6srv-{hmac.new(secret.encode(), b'channel', 'sha256').hexdigest()[:20]}"
    if message_queue.startswith(("redis://", "rediss://", "redis+sentinel://")):
        return _Redis(message_queue, channel, sealed)
    return _Kombu(message_queue, channel, sealed)
