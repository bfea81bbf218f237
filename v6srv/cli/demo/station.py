"""A node, as real ones are seen from outside: it logs in, hears of tasks, computes and reports.

Data and algorithm are those of the demo, in this process instead of a container.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import requests
import socketio

from v6srv.cli.demo import algorithm
from v6srv.cli.demo.caller import Caller, Cryptor, Ended, Refusal
from v6srv.cli.demo.generations import Generation
from v6srv.vocabulary import ResultStatus

log = logging.getLogger(__name__)

_NAMESPACE = "/tasks"


class Station:
    """A node at work."""

    def __init__(
        self, url: str, generation: Generation, api_key: str, cryptor: Cryptor, pace_s: float
    ) -> None:
        """`pace_s`: how long an algorithm seems to compute."""
        self._call = Caller(url, generation)
        self._generation, self._cryptor, self._pace_s = generation, cryptor, pace_s
        self._key = api_key
        self._runs: dict[int, threading.Event] = {}
        """What is being computed, and whether it is to end."""
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._socket = socketio.Client(logger=False, engineio_logger=False)

    def start(self) -> None:
        """Log in, tell the public key, and listen. Raises Refusal."""
        call = self._call
        self.id = call.log_in("node", api_key=self._key)
        me = call("GET", f"node/{self.id}")
        self.name = me["name"]
        self.collaboration_id = me["collaboration"]["id"]
        self.organization = call("GET", f"organization/{me['organization']['id']}")
        if self._cryptor.public_key:
            body = {"public_key": self._cryptor.public_key}
            call("PATCH", f"organization/{self.organization['id']}", body)
        self._data = algorithm.data_of(self.organization["name"])
        on = self._socket.on
        on("connect", self._connected, namespace=_NAMESPACE)
        on("new_task", self._called, namespace=_NAMESPACE)
        on("kill_containers", self._kill, namespace=_NAMESPACE)
        self._socket.connect(call.url, call.header, transports=["polling"], namespaces=[_NAMESPACE])

    def stop(self) -> None:
        """Leave, and compute nothing more."""
        self._gone.set()
        for ended in list(self._runs.values()):
            ended.set()
        self._socket.disconnect()

    # --- what it hears

    def _connected(self) -> None:
        labels = {"database_labels": ["default"]}
        about = {
            "encryption": bool(self._cryptor.public_key),
            "allowed_algorithms": [algorithm.IMAGE],
        }
        with self._quiet():
            self._socket.emit("node_info_update", about | labels, namespace=_NAMESPACE)
            self._take()

    def _called(self, event: Any) -> None:
        with self._quiet():
            self._take(task_id=self._generation.task_of(event))

    def _kill(self, event: Mapping[str, Any]) -> None:
        if event.get("collaboration_id") != self.collaboration_id:
            return
        if event.get("node_id", self.id) != self.id:
            return
        listed = event.get("kill_list")
        named = {one[f"{self._generation.run}_id"] for one in listed or ()}
        for id, ended in list(self._runs.items()):
            if not listed or id in named:
                ended.set()

    def _take(self, **query: Any) -> None:
        """Begin with the open runs."""
        query |= {"state": "open", "include": "task", "node_id": self.id}
        for run in self._generation.rows(self._call("GET", self._generation.run, **query)):
            with self._lock:
                if run["id"] in self._runs or self._gone.is_set():
                    continue
                self._runs[run["id"]] = threading.Event()
            threading.Thread(target=self._run, args=(run,), daemon=True).start()

    # --- what it does

    def _run(self, run: dict[str, Any]) -> None:
        with self._quiet():
            try:
                self._begin(run)
            except Ended:
                self._tell(run, ResultStatus.KILLED)
            finally:
                self._runs.pop(run["id"], None)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """What goes wrong between a node and its server is a line of its log."""
        try:
            yield
        except (Refusal, requests.RequestException, socketio.exceptions.SocketIOError) as fault:
            log.info("%s: %s", self.name, fault)

    def _begin(self, run: dict[str, Any]) -> None:
        task = run["task"]
        self._report(run, started_at=_now())
        asked = {"task_id": task["id"], "image": task["image"]}
        token = self._call("POST", "token/container", asked)["container_token"]
        if task["image"] != algorithm.IMAGE:
            why = f"This node has the image {algorithm.IMAGE} only"
            self._report(run, status=ResultStatus.NO_IMAGE, finished_at=_now(), result="", log=why)
            return
        self._tell(run, ResultStatus.ACTIVE)
        self._report(run, status=ResultStatus.ACTIVE)
        status, result, printed = self._compute(
            run, Caller(self._call.url, self._generation, token)
        )
        reader = self._call("GET", f"organization/{self._generation.initiator(task)}")
        sealed = self._cryptor.seal(result, reader["public_key"]) if result else ""
        self._tell(run, status)
        self._report(run, result=sealed, log=printed, status=status, finished_at=_now())

    def _compute(self, run: dict[str, Any], container: Caller) -> tuple[ResultStatus, bytes, str]:
        """How it ended, what came of it, and what it printed."""
        ended = self._runs[run["id"]]
        if ended.wait(self._pace_s):
            raise Ended
        try:
            message = self._generation.read(self._cryptor.open(run["input"]))
            arguments = message.get("kwargs") or {}
            if message["method"] == "average":
                found = algorithm.average(
                    partial(self._ask_all, run, container, ended), **arguments
                )
            else:
                found = algorithm.METHODS[message["method"]](self._data, **arguments)
        except (AttributeError, LookupError, TypeError, ValueError, Refusal) as fault:
            told = f"{type(fault).__name__}: {fault}"
            return ResultStatus.CRASHED, b"", f"{told}\nThis node understands {algorithm.USAGE}\n"
        return ResultStatus.COMPLETED, self._generation.write(found), f"{found}\n"

    def _ask_all(
        self,
        run: Mapping[str, Any],
        container: Caller,
        ended: threading.Event,
        method: str,
        arguments: Mapping[str, Any],
    ) -> list[Any]:
        """As an algorithm does it: a subtask for all members. The node seals and opens for it."""
        here = {"collaboration_id": self.collaboration_id}
        members = self._generation.rows(container("GET", "organization", **here))
        name = f"{method} of {run['task']['name']}"
        about = {"name": name, "description": "", "image": algorithm.IMAGE, **here}
        message = {"method": method, "kwargs": arguments}
        return container.answers(
            self._cryptor, container.order(self._cryptor, message, members, **about), ended
        )

    def _report(self, run: Mapping[str, Any], **changes: Any) -> None:
        self._call("PATCH", f"{self._generation.run}/{run['id']}", changes)

    def _tell(self, run: Mapping[str, Any], status: ResultStatus) -> None:
        parent = run["task"]["parent"]
        about = {
            "node_id": self.id,
            "status": status,
            f"{self._generation.run}_id": run["id"],
            "task_id": run["task"]["id"],
            "collaboration_id": self.collaboration_id,
            "organization_id": self.organization["id"],
            "parent_id": parent and parent["id"],
        }
        self._socket.emit("algorithm_status_change", about, namespace=_NAMESPACE)


def _now() -> str:
    return datetime.now(UTC).isoformat()
