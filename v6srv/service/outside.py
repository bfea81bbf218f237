"""HTTP to servers of others, which may be slow, gone or hostile.

A conversation is waited for as a whole, for so many seconds; then it is hung up on. No answer is
larger than `LARGEST_ANSWER`. No transaction is open meanwhile: what was read and decided before has
to be again.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter

from v6srv.authz.unit_of_work import time_has_passed
from v6srv.db import let_go

LARGEST_ANSWER = 1_000_000
_CONNECT_S = 5
_PIECE = 64 * 1024

Found = TypeVar("Found")
Client = TypeVar("Client", bound=requests.Session)


class Silent(Exception):
    """It is not reached, did not answer in time, or not with what can be read."""


def converse(client: Client, work: Callable[[Client], Found], within_s: float) -> Found:
    """What `work` makes of a conversation of this client, which is closed at the end.

    Raises Silent, and what else `work` raises.
    """
    let_go()
    lines = _Lines(within_s)
    for scheme in ("http://", "https://"):
        client.mount(scheme, lines)
    found: list[Found] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            with client:
                found.append(work(client))
        except Exception as error:
            failed.append(error)

    # A thread, for no timeout of the library bounds the whole: a server may send byte by byte.
    thread = Thread(target=run, daemon=True, name="conversation")
    thread.start()
    thread.join(within_s)
    time_has_passed()
    if found:
        return found[0]
    if not failed:
        lines.hang_up()
        raise Silent(f"no answer within {within_s:g} s")
    if isinstance(failed[0], (requests.RequestException, ValueError, RecursionError)):
        raise Silent(str(failed[0])) from failed[0]
    raise failed[0]


def as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """`auth` of a request that says nothing of who asks beyond its headers: a file of passwords
    (`.netrc`) is for who runs this server."""
    return request


class _Lines(HTTPAdapter):
    """Connections that can be hung up on while somebody waits for what comes."""

    def __init__(self, within_s: float) -> None:
        super().__init__()
        self._within_s = within_s
        self._open: list[socket.socket] = []
        self._is_over = False

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        """The whole answer, unless it is too large."""
        options.update(stream=True, timeout=(_CONNECT_S, self._within_s))
        answer = super().send(request, **options)
        body = bytearray()
        for piece in answer.iter_content(_PIECE):
            body += piece
            if len(body) > LARGEST_ANSWER:
                answer.close()
                raise requests.exceptions.ContentDecodingError("the answer is too large")
        answer._content = bytes(body)
        return answer

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """A pool whose connections are noted."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        note = self._note

        class Noted(pool.ConnectionCls):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                note(self.sock)

        pool.ConnectionCls = Noted
        return pool

    def hang_up(self) -> None:
        """Whoever reads finds the end."""
        self._is_over = True
        for line in self._open:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _note(self, line: socket.socket) -> None:
        self._open.append(line)
        if self._is_over:
            self.hang_up()
