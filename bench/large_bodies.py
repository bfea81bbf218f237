"""What large inputs and results cost: see README.md in this folder.

python bench/large_bodies.py [--mb N] [--at-once N] [--postgresql]

One server of its own (`v6srv start`, one process), on loopback: everything is done once, and so
many times at once.
"""

import argparse
import http.client
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests
from beside import beside, workers

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import postgres
from tests.live import LiveServer, live_server

PIECE = 1 << 20
LONGEST_S = 300


class Study:
    """A collaboration with one node, and a task for each result that is to be."""

    def __init__(self, server: LiveServer, tasks: int) -> None:
        self.server = server
        self.user = server.login()
        [mine] = requests.get(f"{server.api}/organization", headers=self.user, timeout=60).json()
        org = mine["id"]
        study = {"name": "study", "organization_ids": [org], "encrypted": 0}
        self.collaboration = self.post("/collaboration", study)["id"]
        self.organization = org
        node = {"organization_id": org, "collaboration_id": self.collaboration}
        key = self.post("/node", node)["api_key"]
        answer = requests.post(f"{server.api}/token/node", json={"api_key": key}, timeout=60)
        self.node = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        for _ in range(tasks):
            self.post("/task", self.task("e30="))
        found = requests.get(f"{server.api}/result?per_page=100", headers=self.user, timeout=60)
        self.results = [one["id"] for one in found.json()]

    def post(self, path: str, body: Any) -> Any:
        url = f"{self.server.api}{path}"
        answer = requests.post(url, json=body, headers=self.user, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def task(self, input: str) -> dict[str, Any]:
        return {
            "name": "large",
            "image": "registry.example/large:1",
            "collaboration_id": self.collaboration,
            "organizations": [{"id": self.organization, "input": input}],
        }

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> str:
        """Status and size of the answer; a body that is shared between threads."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=LONGEST_S)
        try:
            sent = {**headers, "Content-Type": "application/json"} if body else headers
            connection.request(method, f"/api{path}", body or None, sent)
            answer, size = connection.getresponse(), 0
            while piece := answer.read(PIECE):
                size += len(piece)
        finally:
            connection.close()
        return f"{answer.status}{' whole' if size > PIECE else ''}"


class Memory:
    """Resident memory of the process that answers, in MB."""

    def __init__(self, server: LiveServer) -> None:
        [pid] = workers(server).split()
        self._proc = Path("/proc") / pid
        self.reset()
        self.before = self._read("VmRSS")

    def reset(self) -> None:
        """Forget the peak."""
        (self._proc / "clear_refs").write_text("5")

    @property
    def peak(self) -> float:
        return self._read("VmHWM")

    def _read(self, name: str) -> float:
        lines = (self._proc / "status").read_text().splitlines()
        [line] = [line for line in lines if line.startswith(f"{name}:")]
        return int(line.split()[1]) / 1024


def measured(name: str, study: Study, at_once: int, do: Callable[[int], str]) -> None:
    """One line: peak of memory, and the longest cheap request meanwhile."""
    memory = Memory(study.server)
    began = time.monotonic()
    with beside(study.server, {}, "/version") as took, ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(do, range(at_once)))
    said = ", ".join(f"{answers.count(one)} x {one}" for one in sorted(set(answers)))
    print(
        f"{name:16} x{at_once:<3} {time.monotonic() - began:6.1f} s |"
        f" memory {memory.before:6.0f} -> {memory.peak:6.0f} MB |"
        f" GET /version {len(took):4} times, longest {1000 * max(took):6.0f} ms | {said}",
        flush=True,
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=100)
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--postgresql", action="store_true")
    given = parser.parse_args()
    text = b"QUJD" * (given.mb * 1024 * 1024 // 4 - 256)
    with ExitStack() as stack:
        url = stack.enter_context(postgres.private_cluster())[0] if given.postgresql else ""
        server = stack.enter_context(live_server(V6SRV_DATABASE_URL=url))
        study = Study(server, 2 * given.at_once)
        result = b'{"result": "' + text + b'"}'
        task = study.task("?")
        head, tail = json.dumps(task).encode().split(b"?")
        ids = iter(study.results)
        jobs = {
            "PATCH /result": lambda _: study.send(
                "PATCH", f"/result/{next(ids)}", study.node, result
            ),
            "GET /result/id": lambda one: study.send(
                "GET", f"/result/{study.results[one]}", study.user
            ),
            "POST /task": lambda _: study.send("POST", "/task", study.user, head + text + tail),
        }
        for name, do in jobs.items():
            for at_once in (1, given.at_once):
                measured(name, study, at_once, do)


if __name__ == "__main__":
    main()
