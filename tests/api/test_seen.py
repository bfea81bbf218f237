"""`last_seen`: noted by requests, written beside them (Q-43)."""

from datetime import timedelta

import pytest
from flask import Flask

from tests.support import Caller, counting, database_away
from tests.world import World
from v6srv import db
from v6srv.db import utcnow
from v6srv.errors import DatabaseUnavailable
from v6srv.identity import seen
from v6srv.model import User

PATHS = ("/organization", "/user", "/task", "/node", "/role", "/collaboration", "/result")


def last_seen(app: Flask, world: World) -> object:
    with app.app_context():
        return db.session.get(User, world.user.viewer).last_seen


@pytest.fixture
def get(app: Flask, call: Caller):
    """The status of a GET as `viewer`; what was seen stays unwritten."""
    headers = {"Authorization": f"Bearer {call.token('viewer')}"}
    return lambda path: app.test_client().get(f"/api{path}", headers=headers).status_code


def test_no_request_that_reads_writes(get, world):
    with counting() as statements:
        assert [get(path) for path in PATHS] == [200] * len(PATHS)
    assert statements
    assert [text for text in statements if not text.lstrip().startswith(("SELECT", "WITH"))] == []


def test_what_was_seen_is_written_once_however_many_requests_there_were(app, get, world):
    for path in PATHS:
        get(path)
    assert last_seen(app, world) is None
    with app.app_context(), counting() as statements:
        app.extensions["seen"].write()
        app.extensions["seen"].write()
    assert len(statements) == 1
    assert utcnow() - last_seen(app, world) < timedelta(minutes=1)


def test_what_was_seen_while_the_database_was_away_is_written_when_it_is_back(app, get, world):
    get("/task")
    with database_away(), app.app_context():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                app.extensions["seen"].write()
            db.session.rollback()
    with app.app_context():
        app.extensions["seen"].write()
    assert last_seen(app, world) is not None


def test_what_was_seen_too_long_ago_is_not_said_to_be_now(app, get, world, monkeypatch):
    get("/task")
    monkeypatch.setattr(seen, "AT_MOST_EVERY_S", -1.0)
    with app.app_context():
        app.extensions["seen"].write()
    assert last_seen(app, world) is None
