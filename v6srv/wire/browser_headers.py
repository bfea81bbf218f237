"""What every answer tells browsers and caches, whoever makes it: Flask, Socket.IO, a static file.

An answer of the API is data: it is no page, loads nothing, is framed by nobody and kept by nobody.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from v6srv import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

EVERY: Headers = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
]
NOT_KEPT = ("Cache-Control", "no-store")
"""On all that does not say itself how long it may be kept: only static files do."""
_POLICY = "Content-Security-Policy"
DATA = (_POLICY, "default-src 'none'; frame-ancestors 'none'")
PAGE = (
    _POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
)
"""Of pages, the console's and the documentation: nothing from elsewhere, and nothing inline."""


EXPOSED = ["Link", "Retry-After", request_id.HEADER, "total-count"]
"""What pages of others may read of our own headers."""
OPEN_TO_ALL: Headers = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", ", ".join(EXPOSED)),
]
"""Where the pages of all others may call."""
KNOWN = frozenset((*EVERY, NOT_KEPT, DATA, PAGE, *OPEN_TO_ALL))
"""All that is the same in many answers."""


def refusing() -> Headers:
    """The headers of an answer that is made before the application is asked."""
    return [*EVERY, NOT_KEPT, DATA]


class BrowserHeaders:
    """WSGI: adds them."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer."""

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            told = dict(headers)
            is_page = told.get("Content-Type", "").startswith("text/html")
            added = [*EVERY, PAGE if is_page else DATA]
            if "Cache-Control" not in told:
                added.append(NOT_KEPT)
            return start_response(status, headers + added, exc_info)

        return self._app(environ, start)
