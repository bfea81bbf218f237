"""Who is connected, shared between processes through Redis or an AMQP broker when there is one."""

import hmac
import threading
from collections.abc import Iterator
from typing import Any

from socketio import KombuManager, Manager, RedisManager


class _Locked(Manager):
    """The library keeps rooms in plain dicts, made and dropped as sockets come and go.

    With real threads a join could get lost between two of these steps.
    """

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


class _Redis(_Locked, RedisManager):
    """Several processes over Redis."""


class _Kombu(_Locked, KombuManager):
    """Several processes over RabbitMQ or another broker that kombu speaks to."""

    def __init__(self, url: str, channel: str) -> None:
        self._publishing = threading.Lock()
        super().__init__(url, channel=channel, connection_options=_IMPATIENT)

    def _publish(self, data: Any) -> None:
        with self._publishing:  # the connection is shared, and not made for two at once
            super()._publish(data)

    def _producer_publish(self, connection: Any) -> Any:
        producer = connection.Producer(exchange=self._exchange())
        return connection.ensure(producer, producer.publish, **_RETRY)


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
