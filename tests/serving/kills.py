"""Tasks are made and results come in while processes of the server are killed, again and again.

People and nodes behave as those of 3.11.1: a node asks for its open results whenever it connects,
and for those of a task when it hears of it. What was acknowledged is counted.
"""

import contextlib
import logging
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import requests
from sqlalchemy import text

from tests import world as small_world
from tests.live import LiveServer
from tests.realtime.ears import Ear
from tests.realtime.test_processes import Pair
from tests.wire.station import eventually
from v6srv.db import make_engine

log = logging.getLogger(__name__)

NODES = ("north_registry", "south_registry")
WRITERS = 2
PAUSE_S = 0.2
"""Between two tasks of a writer: the nodes keep up with it, more or less."""
PATIENCE_S = 120.0
"""For the next step of those who are behind. What a dead process did not send any more is sent by
another one, which must miss it first."""
ALIVE_WITHIN_S = 120.0


class Node:
    """A node that answers each of its results at once, and notes what was acknowledged."""

    def __init__(self, pair: Pair, name: str, transports: list[str] | None) -> None:
        self.heard_of: set[int] = set()
        self.acknowledged: dict[int, str] = {}
        self._id = getattr(pair.world.node, name)
        self._api = pair.first.api
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {pair.token(name)}"
        self._over = threading.Event()
        self._ear = Ear(
            pair.first.url,
            name,
            transports,
            reconnection=True,
            reconnection_delay=0.1,
            reconnection_delay_max=1,
        )
        self._ear.connect(pair.token(name))
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more of it."""
        self._over.set()
        self._thread.join()
        self._ear.client.shutdown()

    def _work(self) -> None:
        seen = 0
        while not self._over.wait(0.02):
            for heard in self._ear.heard[seen:]:
                seen += 1
                if heard[0] == "connect":
                    self._answer({})
                elif heard[0] == "new_task":
                    self.heard_of.add(heard[1])
                    self._answer({"task_id": heard[1]})

    def _answer(self, more: dict[str, int]) -> None:
        asked = {"state": "open", "node_id": self._id, "include": "task", **more}
        for result in self._insist("GET", "/result", params=asked).json():
            self.heard_of.add(result["task"]["id"])
            value = f"result {result['id']} of node {self._id}"
            done = {"status": "completed", "result": value, "finished_at": "2024-03-01T12:00:00"}
            path = f"/result/{result['id']}"
            self._insist("PATCH", path, json={"status": "active"})
            if self._insist("PATCH", path, json=done).ok:
                self.acknowledged[result["id"]] = value

    def _insist(self, method: str, path: str, **more: Any) -> requests.Response:
        """Until there is an answer; a refusal is one."""
        while True:
            with contextlib.suppress(requests.RequestException):
                answer = self._session.request(method, self._api + path, timeout=30, **more)
                if answer.status_code < 500:
                    return answer
            time.sleep(0.05)


class Writer:
    """A researcher who makes tasks, and notes which of them were acknowledged."""

    def __init__(self, pair: Pair, number: int) -> None:
        self.acknowledged: dict[int, str] = {}
        self.failed: Counter[str] = Counter()
        self._url = f"{pair.first.api}/task"
        self._headers = {"Authorization": f"Bearer {pair.token('researcher')}"}
        self._body = {
            "image": small_world.IMAGE,
            "collaboration_id": pair.world.collab.registry,
            "organizations": [
                {"id": each, "input": ""} for each in (pair.world.org.north, pair.world.org.south)
            ],
        }
        self._number = number
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No more of it."""
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        session, count = requests.Session(), 0
        while not self._over.wait(PAUSE_S):
            count += 1
            body = {**self._body, "name": f"task {count} of writer {self._number}"}
            try:
                answer = session.post(self._url, json=body, headers=self._headers, timeout=30)
            except requests.RequestException as error:
                self.failed[type(error).__name__] += 1
                continue
            if answer.status_code == 201:
                self.acknowledged[answer.json()["id"]] = body["name"]
            else:
                self.failed[f"{answer.status_code} {answer.text[:80]}"] += 1


def kill_again_and_again(pair: Pair, processes: int, rounds: int) -> None:
    """Kill one process in each round; fails when something is lost, half there or not heard of."""
    with _at_work(pair) as (nodes, writers):
        for _ in range(rounds):
            _wait_for_all(pair.first, processes)
            time.sleep(random.uniform(0.3, 1.2))
            os.kill(random.choice(pair.first.workers), signal.SIGKILL)
        _wait_for_all(pair.first, processes)
        for writer in writers:
            writer.stop()
        made = _tasks(pair.uri)
        for node in nodes:
            _none_left(lambda node=node: len(made.keys() - node.heard_of))
        _none_left(lambda: len(_open_results(pair.uri)))
    promised = {id: name for each in writers for id, name in each.acknowledged.items()}
    results = {id: value for node in nodes for id, value in node.acknowledged.items()}
    _nothing_is_lost_or_half(pair.uri, made, promised, results)
    failed = dict(sum((writer.failed for writer in writers), Counter[str]()))
    log.info(
        "acknowledged: %d tasks, %d results; all tasks: %d; without an answer: %s",
        *(len(promised), len(results), len(made), failed),
    )


@contextmanager
def _at_work(pair: Pair) -> Iterator[tuple[list[Node], list[Writer]]]:
    with ExitStack() as stack:
        nodes = [Node(pair, *each) for each in zip(NODES, (["polling"], None), strict=True)]
        writers = [Writer(pair, number) for number in range(WRITERS)]
        for each in (*nodes, *writers):
            stack.callback(each.stop)
        yield nodes, writers


def _wait_for_all(server: LiveServer, processes: int) -> None:
    def is_served(number: int) -> bool:
        with contextlib.suppress(requests.RequestException):
            url = f"{server.api}/health/ready"
            return requests.get(url, {"process": number}, timeout=30).status_code == 200
        return False

    for number in range(1, processes + 1):
        eventually(lambda number=number: is_served(number), ALIVE_WITHIN_S)
    assert len(server.workers) == processes


def _none_left(count: Callable[[], int]) -> None:
    """Wait until nothing is left, however long that takes as long as it goes on."""
    left = count()
    while before := left:
        eventually(lambda before=before: count() < before, PATIENCE_S)
        left = count()


def _nothing_is_lost_or_half(
    uri: str, made: dict[int, Any], promised: dict[int, str], results: dict[int, str]
) -> None:
    assert promised
    assert promised == {id: made[id].name for id in promised if id in made}
    assert {task.results for task in made.values()} == {len(NODES)}
    runs = [task.run_id for task in made.values()]
    assert None not in runs
    assert len(set(runs)) == len(runs)
    stored = {row.id: row for row in _rows(uri, "SELECT id, status, result, task_id FROM result")}
    assert results
    assert results == {id: stored[id].result for id in results if id in stored}
    assert {stored[id].status for id in results} == {"completed"}
    assert not [row.id for row in stored.values() if row.task_id is None]


def _tasks(uri: str) -> dict[int, Any]:
    """The tasks of the writers, also those that were not acknowledged."""
    query = (
        "SELECT task.id, task.name, task.run_id, count(result.id) AS results FROM task"
        " LEFT JOIN result ON result.task_id = task.id WHERE task.name LIKE 'task % of writer %'"
        " GROUP BY task.id, task.name, task.run_id"
    )
    return {row.id: row for row in _rows(uri, query)}


def _open_results(uri: str) -> list[Any]:
    return _rows(
        uri,
        "SELECT result.id FROM result JOIN task ON task.id = result.task_id"
        " WHERE task.name LIKE 'task % of writer %' AND result.finished_at IS NULL",
    )


def _rows(uri: str, query: str) -> list[Any]:
    engine = make_engine(uri)
    try:
        with engine.connect() as connection:
            return list(connection.execute(text(query)))
    finally:
        engine.dispose()
