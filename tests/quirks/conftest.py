"""What the tests of quirks share."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, update

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
            for name, value in changes.items():
                column = inspect(model).columns[name]
                table = column.table
                db.session.execute(update(table).where(table.c.id == id).values({column: value}))
            db.session.commit()

    return change
