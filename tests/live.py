"""A server process of its own for tests that talk to it as users do."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests import warm
from tests.warm import WarmProcess

READY_WITHIN_S = 180.0
ROOT_PASSWORD = "root"
OF_WHAT_IS_MADE = {
    "V6SRV_DATABASE_URL",
    "V6SRV_URI",
    "V6SRV_POLICIES",
    "V6SRV_ROOT_PASSWORD",
    "V6SRV_PASSWORD_ROUNDS",
}
"""Variables on which depends what a server makes when it starts with nothing."""

FLASK_RUN = """
import os, sys
from flask.cli import main
sys.argv = ["flask", "--app", "v6srv", "run", "-p", os.environ["PORT"]]
main()
"""
"""A program for Python: the form for development, with threads."""


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class LiveServer:
    """A running server."""

    url: str
    port: int
    instance: Path
    process: subprocess.Popen[bytes] | WarmProcess
    log: Path

    @property
    def api(self) -> str:
        """Base of all REST paths."""
        return f"{self.url}/api"

    def login(
        self, username: str = "root", password: str = ROOT_PASSWORD, base: str = "/api"
    ) -> dict[str, str]:
        """Headers of a user who logs in below a base path."""
        answer = requests.post(
            f"{self.url}{base}/token/user",
            json={"username": username, "password": password},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def tail(self) -> str:
        """The end of what the process printed."""
        return self.log.read_text(errors="replace")[-4000:]

    @property
    def workers(self) -> list[int]:
        """The processes that serve, by their ids; the one that was started watches them."""
        master = self.process.pid
        children = Path(f"/proc/{master}/task/{master}/children").read_text()
        return [int(child) for child in children.split()]

    def die(self) -> None:
        """Kill all of it at once, as a power cut does."""
        for process in (*self.workers, self.process.pid):
            os.kill(process, signal.SIGKILL)
        self.process.wait(timeout=20)

    def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Ask the process to stop, as Ctrl-C does, and return its exit code."""
        self.process.send_signal(sign)
        return self.process.wait(timeout=20)


@contextmanager
def live_server(
    *command: str,
    instance: Path | None = None,
    port: int | None = None,
    cwd: Path | None = None,
    ready: str | None = None,
    **environment: str,
) -> Iterator[LiveServer]:
    """Start a server and stop it at the end, on a free port and in this folder unless told.

    `command` is what Python is started with; without one it is `v6srv start` in a copy of a process
    that has imported it (tests/warm.py): a third of the processor time. Without `instance` it gets a
    fresh folder. It is waited for until it answers, or until it has printed `ready`. Keyword arguments are environment variables.
    """
    with tempfile.TemporaryDirectory(prefix="v6srv-test-") as fresh:
        folder = instance or Path(fresh)
        port = port or free_port()
        begins_with_nothing = instance is None and not OF_WHAT_IS_MADE & environment.keys()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("V6SRV_")}
        variables = {
            **inherited,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "V6SRV_INSTANCE": str(folder),
            "V6SRV_ROOT_PASSWORD": ROOT_PASSWORD,
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_PASSWORD_ROUNDS": "4",
            "V6SRV_POLICY_TESTS": "off",  # as tests.databases has it
            **environment,
        }
        variables = {name: value for name, value in variables.items() if value}
        log = Path(fresh) / "server.log"
        process = (
            _cold(command, log, variables, cwd)
            if command
            else warm.start(log, variables, cwd, begins_with_nothing=begins_with_nothing)
        )
        server = LiveServer(f"http://127.0.0.1:{port}", port, folder, process, log)
        try:
            _wait_until_ready(server, ready)
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _cold(
    command: Sequence[str], log: Path, environment: dict[str, str], cwd: Path | None
) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _wait_until_ready(server: LiveServer, printed: str | None) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        assert server.process.poll() is None, f"the server stopped:\n{server.tail()}"
        if printed and printed in server.tail():
            return
        try:
            if not printed and requests.get(f"{server.api}/health", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(f"the server is not ready:\n{server.tail()}")
