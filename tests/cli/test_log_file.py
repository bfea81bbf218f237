"""Several processes write one log file: no line is lost, torn or waited for, and nothing fails."""

import fcntl
import json
import logging
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.live import live_server
from v6srv.cli.log_file import SharedFile

PROCESSES, LINES = 3, 400


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[SharedFile]:
    """A handler whose file is full after a few lines."""
    made = SharedFile(str(tmp_path / "server.log"), 200, 3)
    yield made
    made.close()


def _say(handler: SharedFile, text: str) -> None:
    handler.handle(logging.LogRecord("here", logging.INFO, "f.py", 1, text, (), None))


def _files(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().splitlines() for path in sorted(folder.iterdir())}


_WRITER = """
import logging, os, sys
from v6srv.cli.log_file import SharedFile
handler = SharedFile(sys.argv[1], 2000, 200)
os.fork()  # a child writes with what its parent has opened
for number in range(int(sys.argv[2])):
    handler.handle(logging.LogRecord("x", 20, "f", 1, f"{os.getpid()} {number} " + "y" * 30, (), None))
"""


def test_lines_of_several_processes_are_all_there_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(LINES)])
        for _ in range(PROCESSES)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * PROCESSES
    for _ in range(200):  # forked children are nobody's to wait for
        found = [line for lines in _files(tmp_path).values() for line in lines]
        if len(found) == 2 * PROCESSES * LINES:
            break
        subprocess.run(["sleep", "0.05"], check=True)
    words = [line.split() for line in found]
    assert all(len(one) == 3 and one[2] == "y" * 30 for one in words)
    by_process: dict[str, set[int]] = {}
    for process, number, _ in words:
        by_process.setdefault(process, set()).add(int(number))
    assert len(by_process) == 2 * PROCESSES
    assert all(numbers == set(range(LINES)) for numbers in by_process.values())
    assert len(words) == 2 * PROCESSES * LINES
    # How often depends on the machine: while one process does it, the others go on writing.
    assert len(_files(tmp_path)) > 2, "it was turned over"


def test_only_so_many_files_stay(handler: SharedFile, tmp_path: Path) -> None:
    for number in range(40):
        _say(handler, f"{number:02} {'y' * 36}")
    assert {name: len(lines) for name, lines in _files(tmp_path).items()} == {
        "server.log": 5,
        "server.log.1": 5,
        "server.log.2": 5,
        "server.log.3": 5,
    }
    assert _files(tmp_path)["server.log"][-1].startswith("39")
    assert _files(tmp_path)["server.log.3"][0].startswith("20")


def test_a_process_that_stopped_while_it_turned_the_file_over_holds_up_nobody(
    handler: SharedFile, tmp_path: Path
) -> None:
    with (tmp_path / "server.log").open() as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        for number in range(20):
            _say(handler, f"{number} {'y' * 36}")
        assert {name: len(lines) for name, lines in _files(tmp_path).items()} == {"server.log": 20}
    _say(handler, "after")
    assert _files(tmp_path)["server.log"] == ["after"]


def test_a_file_that_somebody_else_moved_is_made_again(handler: SharedFile, tmp_path: Path) -> None:
    _say(handler, "before")
    (tmp_path / "server.log").rename(tmp_path / "moved")
    _say(handler, "after")
    assert _files(tmp_path) == {"moved": ["before"], "server.log": ["after"]}


def test_a_line_that_is_longer_than_a_file_is_whole(handler: SharedFile, tmp_path: Path) -> None:
    for text in ("a" * 500, "b" * 500):
        _say(handler, text)
    assert _files(tmp_path) == {"server.log": ["b" * 500], "server.log.1": ["a" * 500]}


def test_others_may_not_read_it(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    for before in (None, 0o666, 0o600):
        if before is not None:
            path.chmod(before)
        SharedFile(str(path), 200, 3).close()
        wanted = 0o600 if before == 0o600 else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == wanted & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


_FULL = """
import logging, resource, sys
from v6srv import problems
from v6srv.cli.log_file import SharedFile
logging.basicConfig(format="%(message)s")
log = logging.getLogger()
log.addHandler(SharedFile(sys.argv[1], 10**9, 3))
resource.setrlimit(resource.RLIMIT_FSIZE, (25, resource.RLIM_INFINITY))
for number in range(20):
    log.error("line %02d", number)
print(problems.standing(), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
log.error("again")
print(problems.standing(), flush=True)
"""


def test_a_full_disk_is_one_line_and_a_problem_until_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['the log file cannot be written']", "[]"]
    said = [line for line in done.stderr.splitlines() if not line.startswith("line ")]
    assert [line.partition(" (")[0] for line in said] == [
        "the log file cannot be written",
        "again",
        "over: the log file cannot be written",
    ]
    whole = path.read_text().splitlines()
    assert whole[:3] == ["line 00", "line 01", "line 02"]
    assert whole[-2:] == ["again", "over: the log file cannot be written"]


def test_the_lines_of_requests_that_run_beside_each_other_are_not_mixed_up(tmp_path: Path) -> None:
    """Each waits for its password to be hashed, and then says whose login failed."""
    logging_ = {"V6SRV_LOGGING__FILE": "x", "V6SRV_LOGGING__OUTPUT": "json"}
    with live_server(instance=tmp_path, **logging_) as server:

        def fail(number: int) -> str:
            answer = requests.post(
                f"{server.api}/token/user",
                json={"username": f"nobody-{number}", "password": "Wrong-1-password"},
                headers={"X-Request-ID": f"id-of-{number}"},
                timeout=20,
            )
            return str(answer.json()["request_id"])

        with ThreadPoolExecutor(12) as pool:
            ids = list(pool.map(fail, range(12)))
        [path] = tmp_path.rglob("*.log")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert ids == [f"id-of-{number}" for number in range(12)]
    failed = [line for line in lines if "nobody-" in line["message"]]
    assert len(failed) == 12
    for line in failed:
        number = line["request_id"].removeprefix("id-of-")
        assert re.search(rf"nobody-{number}\b", line["message"])


def test_a_request_that_cannot_be_read_is_told_in_a_line_like_all_others(tmp_path: Path) -> None:
    logging_ = {"V6SRV_LOGGING__FILE": "x", "V6SRV_LOGGING__OUTPUT": "json"}
    with live_server(instance=tmp_path, **logging_) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
            raw.sendall(b"NO SUCH\x1b[31m REQUEST\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        [path] = tmp_path.rglob("*.log")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    [mine] = [line for line in lines if "cannot be read" in line["message"]]
    assert (mine["logger"], mine["level"]) == ("v6srv.serving.worker", "INFO")
    assert mine["message"].startswith("a request of 127.0.0.1 cannot be read: Invalid HTTP method")


def test_so_is_what_the_process_says_that_keeps_the_one_that_serves(tmp_path: Path) -> None:
    logging_ = {"V6SRV_LOGGING__FILE": "x", "V6SRV_LOGGING__OUTPUT": "json"}
    with live_server(instance=tmp_path, **logging_) as server:
        keeper = server.process.pid
        [worker] = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        [path] = tmp_path.rglob("*.log")
        until = time.monotonic() + 20
        while f"pid:{worker}" not in path.read_text():
            assert time.monotonic() < until, server.tail()
            time.sleep(0.05)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    [mine] = [line for line in lines if f"pid:{worker}" in line["message"]]
    assert (mine["logger"], mine["level"]) == ("gunicorn.error", "ERROR")


def test_all_that_a_server_says_goes_there(tmp_path: Path) -> None:
    """As JSON, one object a line, with what its HTTP server says."""
    logs = "{file: x, output: json, loggers: [{name: v6srv.access, level: debug}]}"
    (tmp_path / "own.yaml").write_text(f"application: {{logging: {logs}}}\n")
    command = ("-m", "v6srv", "serve", "--config", str(tmp_path / "own.yaml"))
    with live_server(*command, instance=tmp_path) as server:
        answer = requests.get(
            f"{server.api}/nowhere", headers={"X-Request-ID": "of-this-test"}, timeout=5
        )
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "of-this-test"
        polled = requests.get(f"{server.url}/socket.io/?EIO=4&transport=polling", timeout=5)
        assert polled.headers["X-Request-ID"]
        [path] = tmp_path.rglob("*.log")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
    [mine] = [line for line in lines if line.get("request_id") == "of-this-test"]
    assert mine["logger"] == "v6srv.access"
    assert "GET /api/nowhere 404" in mine["message"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
