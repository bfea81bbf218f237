"""Bodies of requests: what is large waits on disk for its turn, so that memory is bounded.

A body that is worked on is in memory several times: as it came, parsed, on its way to the
database, read again to be decided, and in the answer. So only some megabytes of bodies are worked
on at once. Who sends slowly keeps nobody waiting: a turn begins when all of a body is there.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from flask import current_app, g, request

from v6srv.api import caller
from v6srv.errors import Unavailable
from v6srv.wire.json import LARGE, PIECE

log = logging.getLogger(__name__)

WAIT_S = 600.0
"""A node that is refused does not report its result again: it waits for long, on disk."""


class Turns:
    """So many bytes of bodies are worked on at once; the others follow in their order."""

    def __init__(self, most: int) -> None:
        self._most = self._free = most
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Wait for a turn; what is larger than all there is has it alone. Raises Unavailable."""
        size = min(size, self._most)
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                if not self._changed.wait_for(
                    lambda: self._waiting[0] is me and self._free >= size, WAIT_S
                ):
                    raise Unavailable("Too many large requests at this moment", int(WAIT_S))
                self._free -= size
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


@contextmanager
def taken_in() -> Iterator[None]:
    """Take in all of the body. Inside, it is its turn to be worked on."""
    size = request.content_length
    if size is not None and size <= LARGE:
        request.get_data()
        yield
        return
    turns: Turns = current_app.extensions["turns"]
    with _temporary() as spooled:
        size = _spool(spooled)
        request.stream = spooled
        if size <= LARGE:
            yield
            return
        g.has_large_body = True
        with turns.of(size):
            if caller.has_gone():
                raise Unavailable("The caller did not wait for this")
            yield


@contextmanager
def _temporary() -> Iterator[IO[bytes]]:
    spooled = SpooledTemporaryFile(max_size=LARGE)  # noqa: SIM115 - see below
    try:
        yield spooled
    finally:
        with suppress(OSError):  # what did not fit on a full disk is tried once more
            spooled.close()


def is_large(answer: Any) -> bool:
    """Whether this request, or the answer to it, is large."""
    return "has_large_body" in g or (getattr(answer, "content_length", None) or 0) > LARGE


def only_small() -> None:
    """From here on the body of this request is refused if it is large."""
    request.max_content_length = min(LARGE, current_app.config["MAX_CONTENT_LENGTH"])


def _spool(file: IO[bytes]) -> int:
    """Read the body into a file; its size. Raises Unavailable when the disk has no room."""
    while piece := request.stream.read(PIECE):
        with _room():
            file.write(piece)
    with _room():
        size = file.tell()
        file.seek(0)
    return size


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("a body of a request cannot be kept on disk: %s", error)
        raise Unavailable("There is no room for a body of this size now") from error
