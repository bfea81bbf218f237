"""The loops of a serving process."""

import logging
import re
import time
from collections.abc import Callable
from typing import Any

from flask import Flask
from flask_socketio import SocketIO
from sqlalchemy.exc import SQLAlchemyError

from v6srv import problems
from v6srv.authz.unit_of_work import acting
from v6srv.errors import DatabaseUnavailable, V6srvError

log = logging.getLogger(__name__)

CAUSES = (V6srvError, SQLAlchemyError, OSError)
"""What is not a mistake of this program, so that its text says enough."""

GIVE_WAY_S = 1e-6
"""A sleep of nothing would not do: such sleepers take many turns before gevent looks at what has
come for others."""


def reason(error: Exception) -> str:
    """Its text in one line; of an error of the database what the driver said, without the SQL."""
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split()) or type(error).__name__


class Background:
    """Steps that are repeated until `stop`, each in a thread or greenlet of its own.

    A step that fails is tried again at its next turn, and is a standing problem until it succeeds.
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
        """Run `step` once in an application context; False, and a problem, when it fails.

        A mistake of this program leaves a traceback, once.
        """
        name = " ".join(re.findall("[A-Za-z]+", getattr(step, "__qualname__", "step")))
        key = f"background {name}"
        try:
            with self._app.app_context(), acting(self._app.extensions["authz"]):
                step()
        except DatabaseUnavailable:  # a problem already, once for all loops
            return False
        except Exception as error:  # the outermost handler of a loop: it must go on
            news = problems.begin(key, f"background work fails: {name}", reason(error))
            if news and not isinstance(error, CAUSES):
                log.exception("%s failed", name)
            return False
        problems.end(key)
        return True

    def stop(self, within_s: float = 2.0) -> None:
        """End all loops and wait for them, not longer than `within_s` for all together.

        What a loop is waiting for then, such as a mail server, ends with the process.
        """
        self._stopping.set()
        for wake in self._wakes:
            wake.set()
        end = time.monotonic() + within_s
        for task in self._tasks:
            task.join(timeout=max(0.0, end - time.monotonic()))
