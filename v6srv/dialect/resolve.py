"""The dialect of a request at a path that both generations use (mixed.md 2)."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from v6srv.dialect import markers

DEFAULT = 3
"""Of whom nothing is known."""

CLAIM = "dialect"
"""The claim of bearer tokens that says for which dialect they were issued."""

_LIBRARY = re.compile(r"python-requests/(\d+)\.(\d+)", re.ASCII)
_FIRST_OF_4 = (2, 32)
"""The HTTP library of 4.x programs is of this version or a later one, that of 3.x is older."""


def dialect_of(environ: Mapping[str, Any], path: str) -> int:
    """3 or 4; `path` is below the base path. What is wrong with the token is for others to say.

    What only one generation sends decides for its request; then the token, which remembers the
    login; then, for who has no token yet, the library of the program.
    """
    return (
        markers.of(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""))
        or _of_token(environ.get("HTTP_AUTHORIZATION"))
        or _of_library(environ.get("HTTP_USER_AGENT"))
        or DEFAULT
    )


def _of_token(header: str | None) -> int | None:
    if not header:
        return None
    try:
        body = header.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, binascii.Error, RecursionError):
        return DEFAULT
    found = claims.get(CLAIM) if isinstance(claims, dict) else None
    return 4 if found == 4 else DEFAULT


def _of_library(agent: str | None) -> int | None:
    found = _LIBRARY.match(agent or "")
    if found is None:
        return None
    return 4 if (int(found[1]), int(found[2])) >= _FIRST_OF_4 else 3
