"""Visitors of pages, without a browser: `visit("viewer").get("/organization")`.

Pages work without scripts, and are tested so; what scripts do is tested in a real browser
(tests/browser.py), in few tests that share a server.
"""

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.support import Caller
from v6srv.identity import page_session, tokens

OWN = {"Sec-Fetch-Site": "same-origin"}


class Visitor:
    """A browser in which somebody has logged in; None: nobody has."""

    def __init__(self, app: Flask, who: str | None) -> None:
        self.client = app.test_client()
        if who is not None:
            bearer = f"Bearer {Caller(app).token(who)}"
            with app.app_context():
                cookie = tokens.issue_for_pages(tokens.read_bearer(bearer))
            self.client.set_cookie(page_session.COOKIE, cookie)

    def get(self, path: str, status: int = 200, **query: Any) -> str:
        """The page at this path, below the console's own."""
        answer = self.client.get(f"/console{path}", query_string=query or None)
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, path: str, form: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """The answer to a form."""
        return self.client.post(f"/console{path}", data=form or {}, headers=OWN, **more)

    def sent(self, path: str, form: dict[str, Any] | None = None, status: int = 200) -> str:
        """The page that follows a form."""
        answer = self.post(path, form, follow_redirects=True)
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture
def visit(app: Flask) -> Callable[[str | None], Visitor]:
    return lambda who: Visitor(app, who)
