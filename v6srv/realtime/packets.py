"""What comes over a socket before it is an event: the library raises whatever happens to go wrong.

Anybody can send it, before saying who they are. It is one line of the log, and the socket ends.
"""

import logging
from typing import Any

from socketio import Server

log = logging.getLogger(__name__)

MOST_ATTACHMENTS = 10
"""Of one event, each as large as a message: they are kept until the last one is there."""


def use(server: Server) -> None:
    """Let a Socket.IO server read no more than that, and end a socket that sends no packets."""
    read = server.eio.handlers["message"]

    def read_or_end(eio_sid: str, data: str | bytes) -> None:
        try:
            read(eio_sid, data)
            begun = server._binary_packet.get(eio_sid)
            if begun is not None and begun.attachment_count > MOST_ATTACHMENTS:
                raise ValueError("too many attachments")
        except Exception as error:  # of the library: those of events are caught where they are
            log.warning("a socket is ended, for what it sent is no packet: %s", _line(error))
            _end(server, eio_sid)

    server.eio.on("message", read_or_end)


def _line(error: Exception) -> str:
    return f"{type(error).__name__} {error}"[:200].encode("unicode_escape").decode()


def _end(server: Server, eio_sid: str) -> None:
    server._binary_packet.pop(eio_sid, None)
    found: Any = server.eio.sockets.get(eio_sid)
    if found is not None:
        found.close(wait=False, abort=True, reason=server.eio.reason.SERVER_DISCONNECT)
