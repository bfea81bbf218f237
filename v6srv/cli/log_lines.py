"""How a line of the log looks: as text for people, or as JSON for machines."""

import logging
import re
from datetime import UTC, datetime
from typing import Any

import orjson

from v6srv import request_id
from v6srv.authz.decision_log import stamp

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Text(logging.Formatter):
    """By the format of the settings, with the id of the request where there is one.

    A format says by `%(request_id)s` where the id stands (`-` for none); else it is at the end.
    What callers send cannot forge lines: a message is one line, with control characters escaped,
    and further lines (of a traceback) are indented.
    """

    def __init__(self, fmt: str, datefmt: str, several: bool = False) -> None:
        """`several` processes write: each line says which, at its end unless `fmt` places it."""
        super().__init__(fmt, datefmt)
        self._places_id = "%(request_id)" in fmt
        self._end = " process=%d" if several and "%(process)" not in fmt else ""

    def format(self, record: logging.LogRecord) -> str:
        """All lines of it."""
        if record.exc_info:
            record.exc_text = None  # as another handler has left it, perhaps not indented
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it
        """The first line."""
        id = request_id.current()
        record.request_id = id or "-"
        record.message = _CONTROL.sub(_escaped, record.message)
        line = super().formatMessage(record)
        line += self._end and self._end % record.process
        return line if self._places_id or id is None else f"{line} request_id={id}"

    def formatException(self, exc_info: Any) -> str:  # noqa: N802
        """The traceback."""
        return _indented(super().formatException(exc_info))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """The stack, if somebody asked for it."""
        return _indented(super().formatStack(stack_info))


class Json(logging.Formatter):
    """An object for each line; what there is not is absent."""

    def format(self, record: logging.LogRecord) -> str:
        """The fields that `logging.output` names; `time` is ISO 8601, in UTC."""
        fields = {
            "time": stamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.current(),
            "exception": self.formatException(record.exc_info) if record.exc_info else None,
        }
        texts = {name: _encodable(text) for name, text in fields.items() if text is not None}
        return orjson.dumps({**texts, "process": record.process}).decode()


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _encodable(text: str) -> str:
    """Lone surrogates, as undecodable names of files have them, are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
