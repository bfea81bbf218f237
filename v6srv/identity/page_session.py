"""Who looks at pages: a cookie that no script reads, and that no page of others can use.

It holds a token of the same session as a login's, so that whatever ends that session ends it, too.
It is no bearer token: what is found in a browser opens no API.
"""

from collections.abc import Mapping

from flask import request
from werkzeug import Response

from v6srv.errors import BadToken, Unauthenticated
from v6srv.identity import current, sessions, tokens
from v6srv.identity.claims import Claims
from v6srv.identity.login import Tokens

COOKIE = "v6srv_session"


def begin_request(cookies: Mapping[str, str]) -> None:
    """This request is that of whoever has logged in with this browser, if anybody has."""
    text = cookies.get(COOKIE)
    if text is not None and (claims := read(text)) is not None:
        current.known_by(claims)


def read(text: str) -> Claims | None:
    """What the cookie says; None when it is good no more. The session is looked at later."""
    try:
        return tokens.read_for_pages(text)
    except (Unauthenticated, BadToken):
        return None


def begin(answer: Response, pair: Tokens) -> Response:
    """With this answer a browser is logged in."""
    claims = tokens.read_bearer(f"Bearer {pair.access_token}")
    answer.set_cookie(
        COOKIE,
        tokens.issue_for_pages(claims),
        expires=claims.expires_at,
        httponly=True,
        samesite="Lax",  # links in mails lead to pages; nothing is changed by following one
        secure=request.is_secure,
    )
    return answer


def end(answer: Response) -> Response:
    """With this answer it is not any more, and its session has ended."""
    claims = read(request.cookies.get(COOKIE, ""))
    if claims is not None and claims.session_id is not None:
        sessions.end(claims)
    return forget(answer)


def forget(answer: Response) -> Response:
    """The browser shows its cookie no more."""
    answer.delete_cookie(COOKIE, httponly=True, samesite="Lax", secure=request.is_secure)
    return answer
