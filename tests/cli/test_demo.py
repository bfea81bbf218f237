"""`demo`: what a newcomer sees and does, with real clients; and that nothing of it is left."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.live import free_port
from tests.wire.station import V3, V4
from v6srv.cli.demo import algorithm
from v6srv.cli.demo.caller import Caller
from v6srv.cli.demo.command import ROOT_PASSWORD
from v6srv.cli.demo.generations import GENERATIONS
from v6srv.cli.demo.sealing import Plain

HOSPITALS = ("Harbour Hospital", "Valley Clinic", "Hilltop Medical Centre")
_WITHIN_S = 240.0
_READY = "Look around"


class Demo(NamedTuple):
    """A demo that is running."""

    process: subprocess.Popen
    port: int
    folder: Path
    """Where temporary files go."""
    printed: Path

    def wait(self, is_so) -> None:
        deadline = time.monotonic() + _WITHIN_S
        while not is_so():
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    @property
    def text(self) -> str:
        return self.printed.read_text()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def started(folder: Path, *arguments: str, port: int | None = None) -> Iterator[Demo]:
    temporary = folder / "tmp"
    temporary.mkdir()
    port = port or free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("V6SRV_")}
    with (folder / "printed.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "v6srv", "demo", "--port", str(port), *arguments],
            env={**environment, "TMPDIR": str(temporary)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Demo(process, port, temporary, folder / "printed.txt")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


def _is_gone(demo: Demo) -> None:
    """Neither files nor processes are left, nor somebody at the port."""
    assert list(demo.folder.iterdir()) == []
    with pytest.raises(requests.ConnectionError):
        requests.get(demo.url, timeout=5)
    assert not _processes_with(f"TMPDIR={demo.folder}")


def _processes_with(variable: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has ended, or is none of ours
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Iterator[Demo]:
    with started(tmp_path_factory.mktemp("demo")) as running:
        running.wait(lambda: _READY in running.text)
        yield running


def test_it_says_what_it_has_computed_where_to_look_and_who_may_log_in(demo):
    assert re.search(r"Diabetes Registry, task 1, nodes of 3.x: 600 patients", demo.text)
    assert re.search(r"Stroke Trial, task \d, nodes of 4.x: 400 patients", demo.text)
    links = re.findall(r"http://\S+", demo.text)
    tasks = [f"{demo.url}/console/task/{id}" for id in re.findall(r", task (\d)", demo.text)]
    assert links == [f"{demo.url}/console/", f"{demo.url}/apidocs", *tasks]
    assert [requests.get(link, timeout=60).status_code for link in links] == [200] * 4
    logins = re.findall(r"(\w+) +(Demo-\S+)  (.*), ", demo.text)
    roles = " and ".join(roles for *_, roles in logins)
    assert {*roles.split(" and ")} == {
        "Root",
        "Researcher",
        "Organization Admin",
        "Viewer",
        "Collaboration Admin",
    }
    for username, password, _ in logins:
        login = {"username": username, "password": password}
        answer = requests.post(f"{demo.url}/api/token/user", json=login, timeout=60)
        assert answer.status_code == 200, username


@pytest.mark.parametrize(
    ("programs", "members"),
    [(V3, HOSPITALS), (V4, (HOSPITALS[0], HOSPITALS[2]))],
    ids=["3.11.1", "4.15.2, encrypted"],
)
def test_the_first_task_of_ones_own_with_the_real_client(demo, tmp_path, programs, members):
    [key] = re.findall(r"Hilltop Medical Centre: (\S+)", demo.text)
    found = programs.errand(
        "newcomer.py",
        "first_task",
        {
            "host": "http://127.0.0.1",
            "port": demo.port,
            "password": ROOT_PASSWORD,
            "image": algorithm.IMAGE,
            "key": key,
        },
        tmp_path,
    )
    expected = algorithm.expected(members, "weight")
    assert found["average"] == pytest.approx(expected, abs=10**-algorithm.DIGITS)
    assert found["count"] == algorithm.PATIENTS * len(members)


def test_a_node_says_what_is_wrong_with_a_task(demo):
    """Of the collaboration without encryption: what anybody may send is read by no node as code."""
    caller = Caller(demo.url, GENERATIONS[3])
    caller.log_in("user", username="anna", password=ROOT_PASSWORD)
    about = {"name": "wrong", "description": "", "collaboration_id": 1}
    [own] = [one for one in caller("GET", "organization") if one["name"] == HOSPITALS[0]]

    def ends(message, image):
        task = caller.order(Plain(), message, [own], image=image, **about)
        demo.wait(lambda: caller("GET", f"task/{task}")["complete"])
        [result] = caller("GET", f"task/{task}/result")
        return result["status"], result["log"]

    status, log = ends({"method": "partial", "kwargs": {"column": "name"}}, algorithm.IMAGE)
    assert status == "crashed"
    assert "KeyError: 'name'" in log
    status, log = ends("no message", algorithm.IMAGE)
    assert (status, "the methods partial and average" in log) == ("crashed", True)
    status, log = ends({}, "registry.example/other:1")
    assert (status, algorithm.IMAGE in log) == ("non-existing Docker image", True)


def test_it_ends_on_sigterm_and_leaves_nothing(demo):
    """The last one: it ends what the others have looked at."""
    assert list(demo.folder.iterdir()) != []
    demo.process.send_signal(signal.SIGTERM)
    assert demo.process.wait(60) == 0
    assert "nothing of it is left" in demo.text
    assert "Traceback" not in demo.text
    _is_gone(demo)


def _has_said(text):
    """Whether the server of a demo has."""
    return lambda demo: any(text in log.read_text() for log in demo.folder.glob("*/server.log"))


@pytest.mark.parametrize(
    ("moment", "sign"),
    [
        (lambda demo: list(demo.folder.iterdir()), signal.SIGINT),
        (_has_said("Adding entities"), signal.SIGHUP),  # the terminal is closed
        (_has_said("port:"), signal.SIGINT),
    ],
    ids=["has a folder", "has a database", "starts the server"],
)
def test_it_leaves_nothing_at_whatever_moment_it_is_ended(tmp_path, moment, sign):
    with started(tmp_path, "--once") as demo:
        demo.wait(lambda: moment(demo))
        demo.process.send_signal(sign)
        assert demo.process.wait(60) == 130
        assert "Traceback" not in demo.text
        _is_gone(demo)


def test_a_port_that_is_taken_is_told(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with started(tmp_path, port=taken.getsockname()[1]) as demo:
            assert demo.process.wait(_WITHIN_S) == 1
    [said] = [line for line in demo.text.splitlines() if "in use" in line]
    assert str(demo.port) in said
    assert list(demo.folder.iterdir()) == []
