"""JSON as fast as it gets: lists of thousands of tasks are ordinary answers here."""

import logging
from contextlib import suppress
from tempfile import TemporaryFile
from typing import Any

import orjson
from flask.json.provider import JSONProvider
from werkzeug.wsgi import FileWrapper

from v6srv.wire.links import Links

log = logging.getLogger(__name__)

LARGE = 1024 * 1024
"""Bytes of a body beyond which it waits on disk: for its turn, or for the reader of an answer."""
PIECE = 256 * 1024
"""Bytes of it that are moved at once."""


def _rendered(obj: Any) -> orjson.Fragment:
    """What orjson does not know: links write themselves."""
    if isinstance(obj, Links):
        return orjson.Fragment(obj.json())
    raise TypeError(f"{type(obj).__name__} has no form in JSON")


class OrjsonProvider(JSONProvider):
    """Reads and writes JSON with orjson: strict, and bounded in depth."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Text of an object."""
        return orjson.dumps(obj, _rendered).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Object of a text; raises ValueError for what is not JSON."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Any:
        """An answer of one object, with its length and never chunked (H16)."""
        body = orjson.dumps(self._prepare_response_obj(args, kwargs), _rendered)
        content = body if len(body) <= LARGE else _on_disk(body)
        answer = self._app.response_class(content, mimetype="application/json")
        answer.content_length = len(body)
        return answer


def _on_disk(body: bytes) -> bytes | FileWrapper:
    """An answer, without memory for as long as its reader takes. Itself, if there is no room."""
    file = None
    try:
        file = TemporaryFile()  # noqa: SIM115 - whoever sends the answer closes it
        file.write(body)  # at once: what else is in memory for it goes right after
        file.seek(0)
    except OSError as error:
        log.warning("an answer of %d bytes stays in memory: %s", len(body), error)
        with suppress(OSError):  # what did not fit is tried once more
            if file:
                file.close()
        return body
    return FileWrapper(file, PIECE)
