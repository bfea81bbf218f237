"""What can prevent a start: nothing from the working folder, and all else is told in one line."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.live import free_port, live_server
from tests.wire.station import eventually

PROGRAM = Path(sys.executable).with_name("v6srv")
_DROP_CAPABILITY = 24  # of prctl(2)
_OVERRIDE, _READ_ALL, _LOW_PORTS = 1, 2, 10  # capabilities(7) that make root different
UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def _as_everybody() -> None:
    """In the new process: without what the user root may do beyond others."""
    libc = ctypes.CDLL(None)
    for capability in (_OVERRIDE, _READ_ALL, _LOW_PORTS):
        libc.prctl(_DROP_CAPABILITY, capability, 0, 0, 0)


def start(instance: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess":
    """`v6srv start`, until it ends; as a user without rights of root."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("V6SRV_")}
    return subprocess.run(
        [str(PROGRAM), "start", *arguments],
        env={
            **inherited,
            "PORT": str(free_port()),
            "V6SRV_INSTANCE": str(instance),
            "V6SRV_PASSWORD_ROUNDS": "4",
            "V6SRV_LOGGING__LEVEL": "WARNING",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=_as_everybody,
    )


def error_of(done: "subprocess.CompletedProcess") -> str:
    """The one line that a start which failed has to say."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "with the password" not in line]
    lines = [line for line in lines if "It is shown only now" not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path) -> None:
    """Whatever lies there: the parent of a clone, or what somebody else may write."""
    for name in ("v6srv", "gunicorn", "yaml", "gevent", "click"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not this one')\n")
    (tmp_path / "gunicorn.conf.py").write_text("raise SystemExit('nor this')\n")
    with live_server(str(PROGRAM), "start", cwd=tmp_path) as server:
        answer = requests.get(f"{server.api}/version", timeout=5)
        assert answer.status_code == 200
        [worker] = server.workers
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: _is_served(f"{server.api}/version"))
        assert server.stop(signal.SIGTERM) == 0
        assert "SIGKILL" in server.tail()  # gunicorn says so, in the log of the server
        assert "Warning" not in server.tail()


def _is_served(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.RequestException:
        return False


def test_a_worker_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    """Here with a library that is broken, which nothing but the worker uses."""
    (tmp_path / "flask_cors.py").write_text("raise ImportError('this installation is broken')\n")
    instance = tmp_path / "instance"
    done = start(instance, PYTHONPATH=str(tmp_path))
    assert "this installation is broken" in error_of(done)


@pytest.mark.parametrize("what", ["instance", "log", "database"])
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, what: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    instance = tmp_path / "instance"
    more = {}
    if what == "instance":
        instance = closed / "instance"
    elif what == "log":
        more = {"V6SRV_DIRECTORIES__LOG": str(closed / "log"), "V6SRV_LOGGING__FILE": "x"}
    else:
        more = {"V6SRV_DATABASE_URL": f"sqlite:///{closed}/v6srv.sqlite"}
    error = error_of(start(instance, **more))
    assert "the user with the id" in error
    assert what == "database" or str(closed) in error


def test_a_port_that_needs_rights_says_so(tmp_path: Path) -> None:
    if int(UNPRIVILEGED.read_text()) <= 80:
        pytest.skip("everybody may use port 80 here")
    error = error_of(start(tmp_path / "instance", "--port", "80"))
    assert "Port 80 of 127.0.0.1 needs rights" in error
    assert not (tmp_path / "instance").exists()


def test_a_port_that_is_taken_and_an_address_that_is_not_here_say_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = error_of(start(tmp_path / "instance", "--port", port))
    assert f"Port {port} of 127.0.0.1 is in use" in error
    error = error_of(start(tmp_path / "instance", "--ip", "192.0.2.1"))
    assert "of 192.0.2.1 is no address of this machine" in error
    error = error_of(start(tmp_path / "instance", "--ip", "no such name.invalid"))
    assert "of no such name.invalid is no address of this machine" in error
    assert not (tmp_path / "instance").exists()


def test_a_port_that_is_taken_while_it_starts_says_so(tmp_path: Path) -> None:
    """Of two that start at once both can bind; only one can listen."""
    with socket.socket() as other, ThreadPoolExecutor(1) as threads:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        started = threads.submit(start, tmp_path / "instance", "--port", port)
        while not (tmp_path / "instance").exists() and not started.done():
            time.sleep(0.01)
        other.listen()
        error = error_of(started.result())
    assert f"Port {port} of 127.0.0.1 is in use" in error


@pytest.mark.parametrize("said", ["Starting server.", "Documentation:"])
def test_stopping_while_it_starts_is_no_error(tmp_path: Path, said: str) -> None:
    with live_server(str(PROGRAM), "start", instance=tmp_path, ready=said) as server:
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        assert "Traceback" not in server.tail()
