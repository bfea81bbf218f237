"""PostgreSQL plans a statement once for a connection, and again when its tables have changed."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.databases import Databases
from tests.support import Caller, open_app
from v6srv import db

ENOUGH = 8
"""The driver prepares what it has seen five times."""


@pytest.fixture
def app(databases: Databases) -> Iterator[Flask]:
    with open_app(databases, "postgresql", with_world=True) as (app, _world):
        yield app


def _prepared() -> list[str]:
    found = db.session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    db.session.remove()
    return list(found)


def test_what_is_asked_again_and_again_is_planned_once(app: Flask) -> None:
    call = Caller(app)
    assert call("viewer", "GET", "/organization").status_code == 200
    assert _prepared() == []
    for _ in range(ENOUGH):
        assert call("viewer", "GET", "/organization").status_code == 200
        assert call("viewer", "GET", "/task/99999").status_code == 403
    prepared = _prepared()
    for table in ('authenticatable JOIN "user"', "organization", "task"):
        assert any(f"FROM {table}" in statement for statement in prepared), table
    again = call("viewer", "GET", "/organization")
    assert again.status_code == 200
    assert _prepared() == prepared


def test_nothing_stays_prepared_that_nobody_knows_of(app: Flask) -> None:
    """A statement that fails when it is prepared is not the driver's, but still PostgreSQL's."""
    call = Caller(app)
    for number in range(ENOUGH):
        assert call("root", "POST", "/organization", {"name": f"new {number}"}).status_code == 201
    inserts = "INSERT INTO organization"
    assert sum(statement.startswith(inserts) for statement in _prepared()) == 1
    divided = text("SELECT 1 / CAST(:number AS INTEGER)")
    for _ in range(ENOUGH):
        for number in (1, 1, 1, 1, 1, 0):
            with suppress(DBAPIError):
                db.session.execute(divided, {"number": number})
            db.session.remove()
    assert not any(statement.startswith("SELECT 1 /") for statement in _prepared())
    assert call("root", "POST", "/organization", {"name": "one more"}).status_code == 201


def test_tables_that_change_below_a_server_cost_one_request(app: Flask) -> None:
    call = Caller(app)
    for _ in range(ENOUGH):
        before = call("viewer", "GET", "/organization")
        assert before.status_code == 200
    other = create_engine(db.session.get_bind().url)  # the driver sees what its own do
    with other.begin() as connection:
        connection.execute(text("ALTER TABLE organization ALTER COLUMN name TYPE VARCHAR(999)"))
    other.dispose()
    refused = call("viewer", "GET", "/organization")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
    for _ in range(ENOUGH):
        after = call("viewer", "GET", "/organization")
        assert (after.status_code, after.json) == (200, before.json)


def test_what_was_prepared_last_is_used_next(app: Flask) -> None:
    """Else each connection that a busy minute has opened would come to hold all statements."""
    engine = db.session.get_bind()
    assert isinstance(engine, Engine)

    def session_of(connection: Connection) -> int:
        return connection.scalars(text("SELECT pg_backend_pid()")).one()

    with engine.connect() as last, engine.connect() as first, engine.connect() as second:
        sessions = {session_of(one) for one in (first, second, last)}
        latest = session_of(last)
    assert len(sessions) == 3
    for _ in range(5):
        with engine.connect() as connection:
            assert session_of(connection) == latest
