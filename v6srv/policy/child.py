"""What takes its time, in a process of its own: the server does not stall.

Such a process prints its answer as JSON, has a low priority, and ends when the process that began
it does. It is given one argument, and nothing of the settings in its environment.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, Any

WITHIN_S = 60.0
"""After so long it is given up."""
_KILLED_WITHIN_S = 1.0


class NotRunError(Exception):
    """Nobody knows the answer."""


class Child:
    """A process; `result` and `stop` end it."""

    def __init__(self, module: str, argument: str, within_s: float | None = None) -> None:
        """Start it; given up after a minute unless told. Raises OSError when there can be none."""
        self._within_s = WITHIN_S if within_s is None else within_s
        self._until = time.monotonic() + self._within_s
        self._printed, self._said = TemporaryFile(), TemporaryFile()  # noqa: SIM115 - till it ends
        theirs, self._alive = os.pipe()  # closed when this process ends, however it does
        try:
            streams = (theirs, self._printed.fileno(), self._said.fileno())
            self._pid = _spawn(module, argument, streams)
        except OSError:
            self._close()
            raise
        finally:
            os.close(theirs)

    def result(self) -> Any:
        """Its answer; None while it runs. Raises NotRunError."""
        try:
            code = self._ended()
        except ChildProcessError as error:
            self._close()
            raise NotRunError("how their process ended is not told") from error
        if code is None:
            if time.monotonic() < self._until:
                return None
            self.stop()
            raise NotRunError(f"they did not come to an end within {self._within_s:g} s")
        printed, said = _text(self._printed), _text(self._said).split("\n")
        self._close()
        if code:
            raise NotRunError(f"their process ended with {code} {said[-2:][0]}".strip())
        try:
            return json.loads(printed)
        except ValueError as error:
            raise NotRunError("their process printed something else, too") from error

    def stop(self) -> None:
        """End it: nobody waits for the result any more."""
        self._close()
        until = time.monotonic() + _KILLED_WITHIN_S
        with suppress(ChildProcessError):  # it is gone, and its number may be another's by now
            code = self._ended()
            if code is None:
                os.kill(self._pid, signal.SIGKILL)
            while code is None and time.monotonic() < until:
                time.sleep(0.005)
                code = self._ended()

    def _ended(self) -> int | None:
        """The exit code; None while it runs.

        Raises ChildProcessError when it is gone without one: a server that was started with SIGCHLD
        ignored has such children.
        """
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None

    def _close(self) -> None:
        os.close(self._alive)
        self._printed.close()
        self._said.close()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _spawn(module: str, argument: str, streams: tuple[int, int, int]) -> int:
    """Not by forking: a server is large, and has greenlets and threads."""
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", module, argument],
        {name: value for name, value in os.environ.items() if not name.startswith("V6SRV_")},
        file_actions=[(os.POSIX_SPAWN_DUP2, stream, at) for at, stream in enumerate(streams)],
        setsigmask=(),
        setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGPIPE),
    )


def begin() -> str:
    """Inside such a process, before anything else: its argument."""
    os.nice(10)  # less than what serves, and on a full machine still within the time
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    return sys.argv[1]


def _end_with_the_server() -> None:
    os.read(0, 1)  # nobody writes: it is at its end when the other end is closed
    os._exit(1)
