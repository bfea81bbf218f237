"""Servers whose process has imported everything already: two thirds of a start are imports.

They are copies (fork) of one process that did the imports of `python -m v6srv start` and of the
server that it turns into, in their order. Everything else is as in a real start: settings, port,
database, master and workers. What tests say of a start itself is said of a real one (tests/live.py).
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

_one_at_a_time = Lock()


@dataclass
class WarmProcess:
    """What tests ask of a `subprocess.Popen`, of a server that is no child of this process."""

    pid: int
    ended: Path
    """Where its exit code will stand."""

    def poll(self) -> int | None:
        """Its exit code once it has ended."""
        return int(self.ended.read_text()) if self.ended.exists() else None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code. Raises subprocess.TimeoutExpired."""
        until = time.monotonic() + (timeout or float("inf"))
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("v6srv start", timeout or 0)
            time.sleep(0.02)
        return code

    def send_signal(self, sign: int) -> None:
        """Nothing if it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sign)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start(
    log: Path, environment: dict[str, str], cwd: Path | None, *, begins_with_nothing: bool
) -> WarmProcess:
    """`v6srv start` with these variables in this folder, which writes to `log`.

    One that begins with nothing in its instance, and with the settings of tests/live.py, is given
    what such a server has made there.
    """
    ended = log.with_suffix(".ended")
    asked = {
        "log": str(log),
        "ended": str(ended),
        "environment": environment,
        "folder": str(cwd or Path.cwd()),
        "begins_with_nothing": begins_with_nothing,
    }
    with _one_at_a_time:
        copied = _original()
        assert copied.stdin
        assert copied.stdout
        copied.stdin.write(json.dumps(asked).encode() + b"\n")
        copied.stdin.flush()
        return WarmProcess(int(copied.stdout.readline()), ended)


@cache
def _original() -> subprocess.Popen[bytes]:
    """The process that is copied: one for each process of the tests; it ends with its input."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("V6SRV_")}
    program = Path(__file__).with_name("warm_original.py")
    folder = tempfile.TemporaryDirectory(prefix="v6srv-test-")
    atexit.register(folder.cleanup)
    made = subprocess.Popen(
        [sys.executable, "-P", str(program), folder.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=inherited,
    )
    atexit.register(_end, made)
    return made


def _end(original: subprocess.Popen[bytes]) -> None:
    assert original.stdin
    original.stdin.close()
    original.wait(30)
