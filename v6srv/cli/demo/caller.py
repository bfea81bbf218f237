"""Calls of the endpoints, and what users and algorithms do with them: order tasks, and wait."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import requests

from v6srv.cli.demo.generations import Generation
from v6srv.errors import V6srvError

WAIT_S = 30.0
ASK_EVERY_S = 0.5


class Refusal(V6srvError):
    """The server does not do what was asked for, in its words."""


class Ended(Exception):
    """Nobody waits for this any longer."""


class Cryptor(Protocol):
    """Seals for an organization, and opens what was sealed for another one."""

    public_key: str

    def seal(self, content: bytes, public_key: str, /) -> str:
        """For the organization with this key."""

    def open(self, text: str, /) -> bytes:
        """What was sealed for the own organization."""


class Caller:
    """Somebody with a token."""

    def __init__(self, url: str, generation: Generation, token: str = "") -> None:
        self.url, self.generation, self._token = url, generation, token
        self._credentials: tuple[str, dict[str, str]] | None = None

    def log_in(self, kind: str, **credentials: str) -> int:
        """Get a token as a `user` or `node`, a new one whenever it has run out; the own id."""
        self._credentials = kind, credentials
        login = self._send("POST", f"token/{kind}", credentials, {})
        self._token = login["access_token"]
        return int(login[f"{kind}_url"].rpartition("/")[2])

    def header(self) -> dict[str, str]:
        """What says who calls."""
        return {"Authorization": f"Bearer {self._token}"}

    def __call__(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer of an endpoint. Raises Refusal."""
        try:
            return self._send(method, path, body, query)
        except Refusal as refusal:
            if refusal.args[1:] != (401,) or self._credentials is None:
                raise
            kind, credentials = self._credentials
            self.log_in(kind, **credentials)
            return self._send(method, path, body, query)

    def _send(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> Any:
        answer = requests.request(
            method,
            f"{self.url}{self.generation.base}/{path}",
            json=body,
            params=query,
            headers=self.header() if self._token else {},
            timeout=WAIT_S,
        )
        if not answer.ok:
            raise Refusal(answer.json()["msg"], answer.status_code)
        return answer.json()

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The row of a resource that has this name. Raises StopIteration when there is none."""
        rows = self.generation.rows(self("GET", kind))
        return next(one for one in rows if one["name"] == name)

    # --- tasks

    def order(
        self,
        cryptor: Cryptor,
        message: Any,
        organizations: Sequence[Mapping[str, Any]],
        **fields: Any,
    ) -> int:
        """Start a task, with a message to each of these organizations; its id."""
        content = self.generation.write(message)
        targets = [
            {"id": one["id"], "input": cryptor.seal(content, one["public_key"])}
            for one in organizations
        ]
        made = self("POST", "task", self.generation.order(organizations=targets, **fields))
        return int(made["id"])

    def answers(self, cryptor: Cryptor, task_id: int, stop: threading.Event) -> list[Any]:
        """What came of a task, once it is over. Raises Ended when `stop` is set before, or Refusal
        when one of the organizations has nothing to say."""
        while not self.generation.is_over(self("GET", f"task/{task_id}")):
            if stop.wait(ASK_EVERY_S):
                raise Ended
        path, query = self.generation.results_of(task_id)
        texts = [row["result"] for row in self.generation.rows(self("GET", path, **query))]
        if not all(texts):
            raise Refusal(f"task {task_id} has failed")
        return [self.generation.read(cryptor.open(text)) for text in texts]
