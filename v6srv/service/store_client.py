"""Asking an algorithm store: a server of others, over HTTP.

A store knows this server by a URL, and asks there who has the token that comes with a request. It
may be slow, gone or hostile (`service.outside`); the token follows no redirection.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import requests

from v6srv import names
from v6srv.errors import Denied, Invalid, NotFound, Upstream, V6srvError
from v6srv.service.outside import Silent, as_it_is, converse

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 15.0
LONGEST_REASON = 300
"""Characters of what a store says for itself that are passed on."""
_PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Visitor:
    """For whom a store is asked."""

    authorization: str
    """A header that says at this server who it is, and is good for nothing else."""
    server_url: str
    """Where the store finds this server: address and base path."""
    hosts: Sequence[str] = ("*",)
    """Where stores may be: names, and patterns of names."""

    def require_open(self, store_url: str) -> None:
        """Raise NotFound for a store that is to be left alone."""
        host = (urlsplit(store_url).hostname or "").rstrip(".")
        if not any(fnmatchcase(host, pattern.lower()) for pattern in self.hosts):
            raise NotFound(
                f"The algorithm store at {store_url} cannot be reached: this server asks none at"
                " that host (setting algorithm_store_hosts)"
            )


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
        said = _text(self.body.get("msg")) if isinstance(self.body, dict) else None
        reason = (said or "no reason")[:LONGEST_REASON]
        text = f"The algorithm store refuses this (status {self.status}): {reason}"
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
            id = row.get("id")
            if not isinstance(id, int):
                raise _unexpected()
            _ask("DELETE", store_url, f"/vantage6-server/{id:d}", visitor).require()


def find(store_url: str, visitor: Visitor, image: str) -> Algorithm:
    """The algorithm with this image. Raises as `introduce` does, Invalid when there is none."""
    found = _rows(_ask("GET", store_url, "/algorithm", visitor, params={"image": image}).require())
    if not found:
        raise Invalid(f"The algorithm store has no algorithm with the image '{image}'")
    known, digest = found[0].get("image"), found[0].get("digest")
    if digest and _text(digest) is None:
        raise _unexpected()
    return Algorithm(_text(known) or image, digest or None)


def _is_public(store_url: str, visitor: Visitor) -> bool:
    answer = _ask("GET", store_url, "/policy/public", visitor)
    return isinstance(answer.body, dict) and answer.body.get("algorithm_view") == _PUBLIC


def _rows(body: Any) -> list[dict[str, Any]]:
    rows = body.get("data") if isinstance(body, dict) else body
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _unexpected()
    return rows


def _unexpected() -> Upstream:
    return Upstream("The algorithm store does not answer as expected")


def _text(said: object) -> str | None:
    """Text that can be stored and shown; None for anything else."""
    return said if isinstance(said, str) and not names.unstorable(said) else None


def _ask(method: str, store_url: str, path: str, visitor: Visitor, **sent: Any) -> Answer:
    visitor.require_open(store_url)
    url = store_url.rstrip("/") + path
    try:
        return converse(
            requests.Session(),
            lambda client: _answer(client, method, url, visitor, sent),
            ANSWER_WITHIN_S,
        )
    except Silent as error:
        log.warning("algorithm store %s does not answer: %s", store_url, error)
        text = f"The algorithm store at {store_url} cannot be reached, or does not answer"
        raise NotFound(text) from error


def _answer(
    client: requests.Session, method: str, url: str, visitor: Visitor, sent: dict[str, Any]
) -> Answer:
    headers = {"Authorization": visitor.authorization, "server_url": visitor.server_url}
    answer = client.request(
        method, url, headers=headers, auth=as_it_is, allow_redirects=False, **sent
    )
    try:
        return Answer(answer.status_code, answer.json())
    except (ValueError, RecursionError):
        return Answer(answer.status_code, None)
