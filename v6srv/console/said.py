"""What the next page begins with: what has just been done, in a cookie that lives until then."""

from urllib.parse import quote, unquote

from flask import after_this_request, request
from werkzeug import Response

COOKIE = "v6srv_said"
_LIFE_S = 60
_LONGEST = 500


def leave(answer: Response, text: str) -> Response:
    """The next page says this."""
    answer.set_cookie(
        COOKIE,
        quote(text[:_LONGEST]),
        max_age=_LIFE_S,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return answer


def take() -> str:
    """What was left for this page; empty when nothing was."""
    text = request.cookies.get(COOKIE, "")
    if text:
        after_this_request(_forget)
    return unquote(text)[:_LONGEST]


def _forget(answer: Response) -> Response:
    answer.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return answer
