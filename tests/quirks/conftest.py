"""What the tests of quirks share."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask

from tests.api.conftest import sent
from tests.api.test_token import Outbox
from tests.realtime.conftest import listen, stored, url
from v6srv import db

__all__ = ["listen", "sent", "stored", "url"]


@pytest.fixture
def mails(app: Flask) -> Sequence[Any]:
    """The mails the application wants to send: kind, address and values."""
    return Outbox(app)


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
