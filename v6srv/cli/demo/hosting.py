"""A server of one's own for a while: its processes, and the folder that it has."""

import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from v6srv.cli.demo.caller import Ended
from v6srv.errors import Unavailable

_ASK_EVERY_S = 0.1
_END_WITHIN_S = 20.0
_LOG = "server.log"
_WRONG = "[error] - "
_SHOWN = 20
"""Lines of the log where none says what is wrong."""


@contextmanager
def served(
    folder: Path, port: int, document: Path, password: str, stop: threading.Event
) -> Iterator[str]:
    """The URL of a server for this machine, with what the import file says in its database.

    `password`: that of root. Raises Ended when `stop` is set, and Unavailable when it cannot start.
    """
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("V6SRV_")},
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "V6SRV_INSTANCE": str(folder / "instance"),
        "V6SRV_DATABASE_URL": f"sqlite:///{folder / 'demo.sqlite'}",
        "V6SRV_ROOT_PASSWORD": password,
        "V6SRV_JWT_SECRET": secrets.token_hex(32),
        "V6SRV_PASSWORD_ROUNDS": "4",  # it lasts no longer than the demo
        "V6SRV_POLICY_TESTS": "off",
        "V6SRV_CONSOLE": "true",
    }
    with _process(folder, environment, "import", str(document)) as importing:
        while importing.poll() is None:
            _wait(stop)
        _require(importing.returncode == 0, folder)
    url = f"http://127.0.0.1:{port}"
    with _process(folder, environment, "start") as server:
        while not _answers(url):
            _require(server.poll() is None, folder)
            _wait(stop)
        yield url


@contextmanager
def _process(
    folder: Path, environment: dict[str, str], *arguments: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of this program, which ends with the block; Ctrl-C is for us alone."""
    with (folder / _LOG).open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", "v6srv", *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/api/health/ready", timeout=5).ok
    except requests.RequestException:
        return False


def _wait(stop: threading.Event) -> None:
    if stop.wait(_ASK_EVERY_S):
        raise Ended


def _require(goes_on: bool, folder: Path) -> None:
    if not goes_on:
        lines = (folder / _LOG).read_text(errors="replace").splitlines()
        wrong = [line.removeprefix(_WRONG) for line in lines if line.startswith(_WRONG)]
        raise Unavailable(
            "\n".join(["The server could not be started", *(wrong or lines[-_SHOWN:])])
        )
