"""Asking an algorithm store: a server of others, over HTTP.

A store knows this server by a URL, and asks there who has the token that comes with a request. It
may be slow, gone or hostile: an answer is waited for `ANSWER_WITHIN_S` at most, is never larger
than `LARGEST_ANSWER`, and the token follows no redirection. No transaction is open meanwhile.
"""

import json
import logging
from dataclasses import dataclass
from threading import Thread
from typing import Any

import requests

from v6srv.db import let_go
from v6srv.errors import Denied, Invalid, NotFound, Upstream, V6srvError

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 15.0
LARGEST_ANSWER = 1_000_000
_CONNECT_S, _READ_S = 5, 10
_PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Visitor:
    """For whom a store is asked."""

    authorization: str
    """The header of the request that is served."""
    server_url: str
    """Where the store finds this server: address and base path."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store said."""

    status: int
    body: Any
    """None when it is no JSON."""

    def require(self) -> Any:
        """The body. Raises what fits when the store refuses."""
        if self.status in (200, 201, 208):
            return self.body
        said = self.body.get("msg") if isinstance(self.body, dict) else None
        text = f"The algorithm store refuses this (status {self.status}): {said or 'no reason'}"
        raise _REFUSALS.get(self.status, Upstream if self.status >= 500 else Invalid)(text)


_REFUSALS: dict[int, type[V6srvError]] = {403: Denied, 404: NotFound}


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What a store knows of an image."""

    image: str
    digest: str | None


def introduce(store_url: str, visitor: Visitor, *, force: bool) -> None:
    """Register this server at a store, unless it is there.

    A store that takes no server in may still show its algorithms to everybody: that will do.
    Raises NotFound when it is not reached, and what fits when it refuses.
    """
    body: dict[str, Any] = {"url": visitor.server_url, **({"force": True} if force else {})}
    answer = _ask("POST", store_url, "/vantage6-server", visitor, json=body)
    if answer.status == 403 and _is_public(store_url, visitor):
        return
    answer.require()


def forget(store_url: str, visitor: Visitor) -> None:
    """Take this server out of a store, if it is there. Raises as `introduce` does."""
    known = _rows(_ask("GET", store_url, "/vantage6-server", visitor).require())
    for row in known:
        if row.get("url") == visitor.server_url:
            _ask("DELETE", store_url, f"/vantage6-server/{int(row['id'])}", visitor).require()


def find(store_url: str, visitor: Visitor, image: str) -> Algorithm:
    """The algorithm with this image. Raises as `introduce` does, Invalid when there is none."""
    found = _rows(_ask("GET", store_url, "/algorithm", visitor, params={"image": image}).require())
    if not found:
        raise Invalid(f"The algorithm store has no algorithm with the image '{image}'")
    known, digest = found[0].get("image"), found[0].get("digest")
    return Algorithm(known if isinstance(known, str) else image, digest or None)


def _is_public(store_url: str, visitor: Visitor) -> bool:
    answer = _ask("GET", store_url, "/policy/public", visitor)
    return isinstance(answer.body, dict) and answer.body.get("algorithm_view") == _PUBLIC


def _rows(body: Any) -> list[dict[str, Any]]:
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Upstream("The algorithm store does not answer as expected")
    return rows


def _ask(method: str, store_url: str, path: str, visitor: Visitor, **sent: Any) -> Answer:
    let_go()
    found: list[Answer] = []

    def work() -> None:
        try:
            found.append(_answer(method, store_url.rstrip("/") + path, visitor, sent))
        except requests.RequestException as error:
            log.warning("algorithm store %s does not answer: %s", store_url, error)

    # A thread, for no timeout of the library bounds the whole: a store may send byte by byte.
    thread = Thread(target=work, daemon=True, name="algorithm-store")
    thread.start()
    thread.join(ANSWER_WITHIN_S)
    if not found:
        raise NotFound(f"The algorithm store at {store_url} cannot be reached, or does not answer")
    return found[0]


def _answer(method: str, url: str, visitor: Visitor, sent: dict[str, Any]) -> Answer:
    headers = {"Authorization": visitor.authorization, "server_url": visitor.server_url}
    with requests.request(
        method,
        url,
        headers=headers,
        timeout=(_CONNECT_S, _READ_S),
        allow_redirects=False,
        stream=True,
        **sent,
    ) as answer:
        text = next(answer.iter_content(LARGEST_ANSWER), b"")
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            body = None
        return Answer(answer.status_code, body)
