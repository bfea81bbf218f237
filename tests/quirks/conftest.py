"""What the tests of quirks share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.api.test_token import Outbox
from tests.realtime.conftest import listen, stored, url
from v6srv import db
from v6srv.service import events
from v6srv.service.events import Event

__all__ = ["listen", "stored", "url"]


@pytest.fixture
def sent() -> Iterator[list[Event]]:
    """The events of every transaction that was committed, in their order."""
    heard: list[Event] = []

    def nothing() -> None:
        """Policy changes are not looked at."""

    events.subscribe(heard.extend, nothing)
    yield heard
    events.unsubscribe(heard.extend, nothing)


@pytest.fixture
def mails(app: Flask) -> list[Any]:
    """The mails the application wants to send: kind, address and values."""
    app.extensions["mailer"] = Outbox()
    found: list[Any] = app.extensions["mailer"].sent
    return found


@pytest.fixture
def store(app: Flask) -> Callable[..., None]:
    """Change columns of a row behind the server's back: `store(User, id, email=None)`."""

    def change(model: Any, id: int, **changes: Any) -> None:
        with app.app_context(), db.writing():
            row = db.session.get_one(model, id)
            for name, value in changes.items():
                setattr(row, name, value)
            db.session.commit()

    return change
