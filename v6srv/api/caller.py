"""Whether somebody still waits for the answer to the current request."""

import socket

from flask import request

_SOCKETS = ("gunicorn.socket", "werkzeug.socket")
_ENDED = (7, 8)
"""TCP_CLOSE and TCP_CLOSE_WAIT: the caller has closed its end, or the connection broke."""


def has_gone() -> bool:
    """Whether the caller has hung up. False when that cannot be known."""
    for name in _SOCKETS:
        connection = request.environ.get(name)
        if connection is not None:
            try:
                info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
            except (OSError, AttributeError):  # no TCP, or not on this system
                return False
            return info[0] in _ENDED
    return False
