"""Real Socket.IO clients that remember what they hear."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import socketio

NAMESPACE = "/tasks"
PATIENCE_S = 20.0
GOODBYE_S = 5.0
QUIET_S = 0.4
"""How long to listen before saying that nothing came."""

Heard = tuple[Any, ...]
"""Name of an event and its arguments."""


class Ear:
    """One socket. `heard` grows in a thread of its own."""

    def __init__(
        self, url: str, name: str = "", transports: list[str] | None = None, **options: Any
    ) -> None:
        """`options` are those of the library's client."""
        self.name = name
        self.heard: list[Heard] = []
        self.refusal: Any = None
        self.client = socketio.Client(**{"reconnection": False, **options})
        self._url = url
        self._transports = transports
        self._changed = threading.Condition()
        self.client.on("*", self._on_event, namespace=NAMESPACE)
        self.client.on("connect", lambda: self._note("connect"), namespace=NAMESPACE)
        self.client.on("disconnect", lambda *_: self._note("disconnect"), namespace=NAMESPACE)
        self.client.on("connect_error", self._on_refusal, namespace=NAMESPACE)

    def connect(self, token: str | None = None, auth: Any = None, header: str = "") -> "Ear":
        """Connect as a node does: token in the header, not waiting for the namespace."""
        header = header or (f"Bearer {token}" if token else "")
        self.client.connect(
            self._url,
            headers={"Authorization": header} if header else {},
            auth=auth,
            namespaces=[NAMESPACE],
            transports=self._transports,
            wait=False,
        )
        return self

    def say(self, event: str, *payload: Any) -> None:
        """Send an event; several arguments are sent as several."""
        data = payload if len(payload) > 1 else (payload[0] if payload else None)
        self.client.emit(event, data, namespace=NAMESPACE)

    def wait(self, event: str, *args: Any, patience_s: float = PATIENCE_S) -> Heard:
        """The first event that was heard with this name, and these arguments if any are given."""

        def matches(heard: Heard) -> bool:
            return heard[0] == event and (not args or heard[1:] == args)

        return self.wait_for(matches, f"{event} {args}", patience_s)

    def wait_for(
        self, matches: Callable[[Heard], bool], what: str, patience_s: float = PATIENCE_S
    ) -> Heard:
        """The first event that `matches`; fails after `patience_s`."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(matches, self.heard)), patience_s)
            for heard in self.heard:
                if matches(heard):
                    return heard
            raise AssertionError(f"{self.name} did not hear {what}, but {self.heard}")

    def wait_refused(self) -> Any:
        """What the server says when it refuses the namespace."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.refusal is not None, PATIENCE_S)
            return self.refusal

    def named(self, event: str) -> list[Any]:
        """The first arguments of all events heard with this name (None without arguments)."""
        return [heard[1] if len(heard) > 1 else None for heard in self.heard if heard[0] == event]

    def quiet(self) -> list[Heard]:
        """What is heard from now on, for a little while."""
        before = len(self.heard)
        time.sleep(QUIET_S)
        return self.heard[before:]

    def close(self) -> None:
        """Hang up, when all that was said has been sent: the library leaves its goodbye unsent if
        it is asked to go while an earlier message is on its way."""
        until = time.monotonic() + GOODBYE_S
        while self._has_something_to_say() and time.monotonic() < until:
            time.sleep(0.01)
        websocket = getattr(self.client.eio, "ws", None)
        if websocket is not None:  # it would wait for an answer that another thread has read
            websocket.close = partial(websocket.close, timeout=0.01)
        self.client.disconnect()

    def _has_something_to_say(self) -> bool:
        transport = self.client.eio
        return transport.state == "connected" and bool(transport.queue.unfinished_tasks)

    def _on_event(self, event: str, *args: Any) -> None:
        self._note(event, *args)

    def _on_refusal(self, data: Any) -> None:
        with self._changed:
            self.refusal = data
            self._changed.notify_all()

    def _note(self, *heard: Any) -> None:
        with self._changed:
            self.heard.append(heard)
            self._changed.notify_all()
