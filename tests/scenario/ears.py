"""Actors of the scenario: their REST calls, their socket, and what they heard."""

import time
from dataclasses import dataclass, field
from typing import Any

import requests
import socketio

WITHIN_S = 5.0
SETTLE_S = 0.4
"""How long nothing must arrive to say that nothing does."""

JsonObject = dict[str, Any]


class Ears:
    """A socket in namespace /tasks that remembers all events."""

    def __init__(self, url: str, token: str, transports: list[str] | None = None) -> None:
        self.events: list[tuple[str, Any]] = []
        self.refused: list[Any] = []
        self._client = socketio.Client(reconnection=False)
        self._client.on("*", self._heard, namespace="/tasks")
        self._client.on("connect_error", self.refused.append, namespace="/tasks")
        self._client.connect(
            url,
            headers={"Authorization": f"Bearer {token}"},
            namespaces=["/tasks"],
            transports=transports,
            wait=False,
        )

    def _heard(self, event: str, *data: Any) -> None:
        self.events.append((event, data[0] if data else None))

    @property
    def connected(self) -> bool:
        """The namespace was confirmed."""
        return "/tasks" in self._client.namespaces

    def wait_until_connected(self) -> None:
        """Wait for the namespace."""
        _until(lambda: self.connected or bool(self.refused))
        assert self.connected, self.refused

    def emit(self, event: str, *data: Any) -> None:
        """Send an event."""
        self._client.emit(event, *data, namespace="/tasks")

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()

    def take(self, step: str, event: str, payload: Any) -> None:
        """Wait for an event with this payload and take it out of what was heard."""
        wanted = (event, payload)
        _until(lambda: wanted in self.events)
        assert wanted in self.events, f"{step}: {wanted} did not arrive, but {self.events}"
        self.events.remove(wanted)

    def hears(self, step: str, *wanted: tuple[str, Any]) -> None:
        """Wait for these events: they came in this order, and nothing else."""
        _until(lambda: len(self.events) >= len(wanted))
        assert self.events == [*wanted], f"{step}: heard {self.events}, not {[*wanted]}"
        del self.events[: len(wanted)]

    def nothing_left(self, step: str, *besides: str) -> None:
        """Nothing was heard that was not taken, besides events of these names."""
        left = [event for event in self.events if event[0] not in besides]
        assert left == [], f"{step}: unexpected {left}"
        self.events.clear()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@dataclass
class Actor:
    """Somebody with a token."""

    api: str
    token: str = ""
    ears: Ears | None = None
    claims: JsonObject = field(default_factory=dict)
    agent: str | None = None
    """What it says it is, where its HTTP library would say something else."""

    def send(self, method: str, path: str, body: Any = None) -> requests.Response:
        """The answer to a request."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.agent:
            headers["User-Agent"] = self.agent
        return requests.request(method, self.api + path, json=body, headers=headers, timeout=20)

    def call(
        self, step: str, status: int | set[int], method: str, path: str, body: Any = None
    ) -> Any:
        """The JSON answer to a request; the status must be `status`, or one of them."""
        answer = self.send(method, path, body)
        wanted = status if isinstance(status, set) else {status}
        said = f"{step}: {method} {path} -> {answer.status_code} {answer.text[:500]}"
        assert answer.status_code in wanted, said
        content = answer.json()
        if answer.status_code >= 400:
            assert isinstance(content["msg"], str), said
        return content


def shows(step: str, answer: Any, expected: Any, where: str = "", *, exactly: bool = False) -> None:
    """`answer` has at least the keys of `expected`, with these values; lists match as a whole.

    With `exactly` it has no other keys. A function in `expected` says whether a value is right.
    """
    if isinstance(expected, dict):
        assert isinstance(answer, dict), f"{step}: {where} is {answer!r}"
        for key, value in expected.items():
            assert key in answer, f"{step}: {where}.{key} is missing"
            shows(step, answer[key], value, f"{where}.{key}", exactly=exactly)
        more = answer.keys() - expected.keys() if exactly else set()
        assert not more, f"{step}: {where} has {more}, too"
    elif isinstance(expected, list):
        assert isinstance(answer, list), f"{step}: {where} is {answer!r}"
        assert len(answer) == len(expected), f"{step}: {where} is {answer!r}"
        for index, (one, value) in enumerate(zip(answer, expected, strict=True)):
            shows(step, one, value, f"{where}[{index}]", exactly=exactly)
    elif callable(expected):
        assert expected(answer), f"{step}: {where} is {answer!r}"
    else:
        assert answer == expected, f"{step}: {where} is {answer!r}, not {expected!r}"
