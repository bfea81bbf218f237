"""Who takes part in a scenario, and what each of them may be shown."""

import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import jwt
import requests

from tests.live import LiveServer
from tests.scenario.ears import SETTLE_S, Actor, Ears, JsonObject, shows

IMAGE = "harbor.example/algo:1"
SECRET = "a secret of this scenario, long enough for its algorithm"


def a_time(value: Any) -> bool:
    return datetime.fromisoformat(value).utcoffset() is not None


def a_naive_time(value: Any) -> bool:
    return datetime.fromisoformat(value).utcoffset() is None


def a_jwt(value: Any) -> bool:
    return len(value.split(".")) == 3


def a_uuid(value: Any) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value))


def claims(token: str) -> JsonObject:
    decoded: JsonObject = jwt.decode(
        token, options={"verify_signature": False, "verify_sub": False}
    )
    return decoded


def a_link(base: str, resource: str, id: int, methods: set[str]) -> Callable[[Any], bool]:
    """A check for the link `@resource/id`; the order of its methods is undefined."""

    def is_link(value: Any) -> bool:
        return bool(
            value["id"] == id
            and value["link"] == f"{base}/{resource}/{id}"
            and set(value["methods"]) == methods
            and set(value) == {"id", "link", "methods"}
        )

    return is_link


def eventually(check: Callable[[], None]) -> None:
    """Socket events have no answer: their effect is there a moment later."""
    deadline = time.monotonic() + 5
    while True:
        try:
            check()
            return
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Scenario:
    """The server at one base path, the actors and what they have learnt.

    `agent` is what all programs say they are; without one, what the tests' HTTP library says.
    """

    concerned: tuple[str, ...] = ("task_created", "status_update", "algorithm_status_change")
    """S24: users of an organization may hear of its tasks."""

    def __init__(self, server: LiveServer, base: str = "/api", agent: str | None = None) -> None:
        self.server, self.base = server, base
        self.root, self.rita, self.cody, self.node1, self.node2, self.container, self.anybody = (
            Actor(server.url + base, agent=agent) for _ in range(7)
        )
        self.key1 = self.key2 = ""

    def log_in(self, step: str, actor: Actor, username: str, password: str) -> JsonObject:
        body = {"username": username, "password": password}
        return self._token(step, actor, "user", body)

    def log_in_node(self, step: str, actor: Actor, key: str, number: int) -> JsonObject:
        body = self._token(step, actor, "node", {"api_key": key})
        shows(
            step,
            body,
            {
                "access_token": a_jwt,
                "refresh_token": a_jwt,
                "refresh_url": f"{self.base}/token/refresh",
                "node_url": f"{self.base}/node/{number}",
            },
        )
        shows(step, actor.claims, {"sub": number, "client_type": "node", "roles": []})
        return body

    def _token(self, step: str, actor: Actor, kind: str, body: JsonObject) -> JsonObject:
        answer: requests.Response = self.anybody.send("POST", f"/token/{kind}", body)
        assert answer.status_code == 200, f"{step}: {answer.text}"
        content: JsonObject = answer.json()
        actor.token = content["access_token"]
        assert answer.headers["jwt-token"] == actor.token, step
        actor.claims = claims(actor.token)
        return content

    def listen(self, actor: Actor, transports: list[str] | None = None) -> Ears:
        actor.ears = Ears(self.server.url, actor.token, transports)
        actor.ears.wait_until_connected()
        return actor.ears

    def everybody(self) -> list[Ears]:
        actors = (self.root, self.rita, self.cody, self.node1, self.node2)
        return [actor.ears for actor in actors if actor.ears is not None]

    def hear(self, step: str, event: str, payload: Any, *actors: Actor) -> None:
        """These actors hear the event, the others do not (rita may, where she is concerned)."""
        for actor in actors:
            assert actor.ears is not None
            actor.ears.take(step, event, payload)

    def silence(self, step: str) -> None:
        """Nobody heard anything else."""
        time.sleep(SETTLE_S)
        for ears in self.everybody():
            ears.nothing_left(step, *(self.concerned if self.rita.ears is ears else ()))

    def hear_all(self, step: str, event: str, payload: Any) -> None:
        self.hear(step, event, payload, self.root, self.cody, self.node1, self.node2)

    def close(self) -> None:
        """Everybody leaves."""
        for ears in self.everybody():
            ears.close()
