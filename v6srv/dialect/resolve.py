"""The dialect of a request at a path that both generations use (mixed.md 2)."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from v6srv.dialect import markers
from v6srv.vocabulary import V3, V4

DEFAULT = V3
"""Of whom nothing is known."""

CLAIM = "dialect"
"""The claim of bearer tokens that says for which dialect they were issued."""

MOST_SWITCHED = 10_000
LONGEST_SESSION = 64

_LIBRARY = re.compile(r"python-requests/(\d+)\.(\d+)", re.ASCII)
_FIRST_OF_4 = (2, 32)
"""The HTTP library of 4.x programs is of this version or a later one, that of 3.x is older."""


class Resolver:
    """Tells, and remembers which sessions were taken for the wrong generation at their login.

    What it remembers is of this process. Others learn it in the same way, and a refreshed token
    says it.
    """

    def __init__(self) -> None:
        self._switched: dict[str, int] = {}
        """Sessions that have shown another dialect than their token says; newest last."""

    def dialect_of(self, environ: Mapping[str, Any], path: str) -> int:
        """3 or 4; `path` is below the base path. What is wrong with the token is for others to say.

        What only one generation sends decides for its request, and for the rest of its session;
        then the token, which remembers the login; then, for who has no token yet, the library of
        the program.
        """
        shown = markers.of(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""))
        header = environ.get("HTTP_AUTHORIZATION")
        if not header:
            return shown or _of_library(environ.get("HTTP_USER_AGENT")) or DEFAULT
        session, claimed = _of_token(header)
        if shown is None:
            return self._switched.get(session, claimed)
        if session:
            self._note(session, shown, claimed)
        return shown

    def _note(self, session: str, shown: int, claimed: int) -> None:
        # The token is not verified here: whoever makes up a session must not fill the memory.
        if shown != claimed:
            self._switched[session] = shown
            while len(self._switched) > MOST_SWITCHED:
                self._switched.pop(next(iter(self._switched)), None)
        else:
            self._switched.pop(session, None)


@lru_cache(maxsize=512)
def _of_token(header: str) -> tuple[str, int]:
    """The session, empty if there is none, and the dialect that a bearer token claims."""
    try:
        body = header.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return "", DEFAULT
    if not isinstance(claims, dict):
        return "", DEFAULT
    session = claims.get("sid")
    dialect = V4 if claims.get(CLAIM) == V4 else DEFAULT
    if not isinstance(session, str) or len(session) > LONGEST_SESSION:
        return "", dialect
    return session, dialect


def _of_library(agent: str | None) -> int | None:
    found = _LIBRARY.match(agent or "")
    if found is None:
        return None
    return V4 if (int(found[1]), int(found[2])) >= _FIRST_OF_4 else V3
