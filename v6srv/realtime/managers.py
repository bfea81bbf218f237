"""Who is connected, shared between processes through Redis or an AMQP broker when there is one.

While the queue cannot be reached the sockets of this process are served, and what is meant for
those of others is kept in its order. The outbox keeps it as well (`Manager.behind`), so it is not
lost with the process.
"""

import hmac
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from socketio import KombuManager, Manager, PubSubManager, RedisManager

log = logging.getLogger(__name__)

RETRY_S = 1.0
"""How often a lost queue is tried again, to publish and to listen."""
GRACE_S = 3 * RETRY_S
"""How long what was kept waits once the queue is back: until all others listen again."""
MOST_KEPT = 100_000


class _Locked(Manager):
    """The library keeps rooms in plain dicts, made and dropped as sockets come and go.

    With real threads a join could get lost between two of these steps.
    """

    behind = False
    """Whether something is still to be told to other processes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._lock = threading.RLock()
        super().__init__(*args, **kwargs)

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        with self._lock:
            return iter(list(super().get_participants(namespace, room)))

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
            super().basic_disconnect(sid, namespace, **kwargs)


class _Alone(_Locked):
    """One process, no queue."""


class _Patient(_Locked, PubSubManager):
    """Keeps events that cannot be published, and publishes them in their order later."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._kept: deque[Any] = deque(maxlen=MOST_KEPT)
        self._publishing = threading.RLock()
        super().__init__(*args, **kwargs)

    @property
    def behind(self) -> bool:  # type: ignore[override]
        """Whether something is still to be told to other processes."""
        return bool(self._kept)

    def _publish(self, data: Any) -> None:
        with self._publishing:
            if data.get("method") != "emit":
                self._try_publish(data)  # about single sockets: of no use later
                return
            if not self._kept and self._try_publish(data):
                return
            self._kept.append(data)
            if len(self._kept) == 1:
                log.error("the message queue cannot be reached: events for others are kept")
                self.server.start_background_task(self._catch_up)

    def _catch_up(self) -> None:
        while True:
            self.server.sleep(RETRY_S)
            if not self._is_reachable():
                continue
            self.server.sleep(GRACE_S)
            with self._publishing:
                count = len(self._kept)
                while self._kept and self._try_publish(self._kept[0]):
                    self._kept.popleft()
                if not self._kept:
                    log.warning("the message queue is back: %d events were published", count)
                    return

    def _try_publish(self, data: Any) -> bool:
        raise NotImplementedError

    def _is_reachable(self) -> bool:
        raise NotImplementedError


class _Redis(_Patient, RedisManager):
    """Several processes over Redis."""

    def __init__(self, url: str, channel: str) -> None:
        options = {"socket_connect_timeout": 3}
        super().__init__(url, channel=channel, redis_options=options)

    def _try_publish(self, data: Any) -> bool:
        for _ in range(2):  # a connection that was idle may have been closed meanwhile
            try:
                if not self.connected:
                    self._redis_connect()
                self.redis.publish(self.channel, self.json.dumps(data))
            except Exception as error:
                log.info("cannot publish to Redis: %s", error)
                self.connected = False
            else:
                return True
        return False

    def _is_reachable(self) -> bool:
        try:
            self._redis_connect()
            return bool(self.redis.ping())
        except Exception as error:
            log.debug("Redis cannot be reached: %s", error)
            self.connected = False
            return False

    def _redis_listen_with_retries(self) -> Iterator[Any]:
        """As the library's, but never waiting longer than others expect (`GRACE_S`)."""
        while True:
            try:
                self._redis_connect()
                listening = self.pubsub
                listening.subscribe(self.channel)
                yield from listening.listen()
            except Exception as error:
                log.error("cannot listen to Redis: %s", error)
                time.sleep(RETRY_S)


class _Kombu(_Patient, KombuManager):
    """Several processes over RabbitMQ or another broker that kombu speaks to."""

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel=channel, connection_options=_IMPATIENT)

    def _try_publish(self, data: Any) -> bool:
        for _ in range(2):
            try:
                connection = self.publisher_connection
                producer = connection.Producer(exchange=self._exchange())
                publish = connection.ensure(producer, producer.publish, **_RETRY)
                publish(self.json.dumps(data))
            except Exception as error:
                log.info("cannot publish to the broker: %s", error)
                self.publisher_connection = self._connection()
            else:
                return True
        return False

    def _is_reachable(self) -> bool:
        try:
            with self._connection() as connection:
                connection.ensure_connection(max_retries=1)
        except Exception as error:
            log.debug("the broker cannot be reached: %s", error)
            return False
        return True

    def _listen(self) -> Iterator[Any]:
        """As the library's, but never waiting longer than others expect (`GRACE_S`)."""
        while True:
            try:
                with (
                    self._connection() as connection,
                    connection.SimpleQueue(self._queue()) as queue,
                ):
                    while True:
                        message = queue.get(block=True)
                        message.ack()
                        yield message.payload
            except Exception as error:
                log.error("cannot listen to the broker: %s", error)
                time.sleep(RETRY_S)


_RETRY = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2}
_IMPATIENT = {"connect_timeout": 3, "transport_options": _RETRY}
"""Without the broker the sockets of this process are still served; kombu would wait for ever."""


def make(message_queue: str | None, secret: str) -> Manager:
    """The client manager for a queue URL (`redis://`, `amqp://` ...); None is a single process.

    The channel follows from `secret`, which the processes of an installation share: two that use
    the same broker do not hear each other.
    """
    if not message_queue:
        return _Alone()
    channel = f"v6srv-{hmac.new(secret.encode(), b'channel', 'sha256').hexdigest()[:20]}"
    if message_queue.startswith(("redis://", "rediss://", "redis+sentinel://")):
        return _Redis(message_queue, channel=channel)
    return _Kombu(message_queue, channel=channel)
