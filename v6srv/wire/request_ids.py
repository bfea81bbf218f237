"""Every answer bears the id of its request, whoever makes it: endpoints, Flask, or Socket.IO."""

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from v6srv import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

access = logging.getLogger("v6srv.access")
"""A line for each request, at level DEBUG."""


class RequestIds:
    """The outermost WSGI middleware."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer, with the id as `request_id.current()` meanwhile."""
        id = request_id.accepted(environ.get("HTTP_X_REQUEST_ID"))
        begun, answered = time.monotonic(), "-"

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal answered
            answered = status[:3]
            if request_id.HEADER not in dict(headers):
                headers = [*headers, (request_id.HEADER, id)]
            return start_response(status, headers, exc_info)

        with request_id.using(id):
            try:
                return self._app(environ, start)
            finally:
                access.debug(
                    "%s %s %s %s %.0f ms",
                    environ.get("REMOTE_ADDR", "-"),
                    environ.get("REQUEST_METHOD"),
                    environ.get("PATH_INFO"),  # without the query: that of a socket is a secret
                    answered,
                    1000 * (time.monotonic() - begun),
                )
