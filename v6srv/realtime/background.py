"""The loops of a serving process."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_socketio import SocketIO

log = logging.getLogger(__name__)


class Background:
    """Steps that are repeated until `stop`, each in a thread or greenlet of its own.

    An error in a step is logged and the step is tried again at its next turn.
    """

    def __init__(self, app: Flask, socketio: SocketIO) -> None:
        self._app = app
        self._socketio = socketio
        self._stopping = self.event()
        self._wakes: list[Any] = []
        self._tasks: list[Any] = []

    def event(self) -> Any:
        """An event object of the kind that fits this server's threads or greenlets."""
        return self._socketio.server.eio.create_event()

    @property
    def stopping(self) -> bool:
        """Whether loops must end."""
        return bool(self._stopping.is_set())

    def repeat(
        self,
        step: Callable[[], object],
        every_s: float,
        wake: Any = None,
        wait_first: bool = False,
    ) -> None:
        """Run `step`, in an application context, every `every_s` seconds or when `wake` is set."""
        wake = wake or self.event()
        self._wakes.append(wake)

        def loop() -> None:
            if wait_first:
                wake.wait(every_s)
            while not self.stopping:
                wake.clear()
                self.attempt(step)
                wake.wait(every_s)

        self._tasks.append(self._socketio.start_background_task(loop))

    def attempt(self, step: Callable[[], object]) -> bool:
        """Run `step` once in an application context; False, and a log entry, when it fails."""
        try:
            with self._app.app_context():
                step()
        except Exception:  # the outermost handler of a loop: it must go on
            log.exception("%s failed", getattr(step, "__qualname__", step))
            return False
        return True

    def stop(self, within_s: float = 5.0) -> None:
        """End all loops and wait for them."""
        self._stopping.set()
        for wake in self._wakes:
            wake.set()
        for task in self._tasks:
            task.join(timeout=within_s)
