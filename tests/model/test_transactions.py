"""`db.transaction`: all or nothing, errors in our words, never one inside of another."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select, text, update

from tests.world import World
from v6srv.db import let_go, session, transaction
from v6srv.errors import Conflict, Invalid
from v6srv.model import Collaboration, Organization


@pytest.fixture(autouse=True)
def _in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def _named(name: str) -> int | None:
    found = session.scalar(select(Organization.id).where(Organization.name == name))
    session.rollback()
    return found


def _write(*rows: object, failing: bool = False) -> None:
    with transaction() as sess:
        sess.add_all(rows)
        sess.flush()
        if failing:
            raise ZeroDivisionError


def test_what_is_written_is_stored_at_the_end(world: World) -> None:
    with transaction() as sess:
        sess.add(Organization(name="stored"))
    assert _named("stored")


def test_an_error_takes_everything_back(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        _write(Organization(name="half"), failing=True)
    assert _named("half") is None


def test_what_is_not_to_be_kept_is_taken_back(world: World) -> None:
    with transaction(keep=False) as sess:
        sess.add(Organization(name="tried"))
    assert _named("tried") is None


def test_what_contradicts_stored_rows_is_a_conflict(world: World) -> None:
    name = session.scalar(select(Collaboration.name).limit(1))
    session.rollback()
    with pytest.raises(Conflict, match="contradicts"):
        _write(Organization(name="beside"), Collaboration(name=name))
    assert _named("beside") is None


def test_a_value_that_no_column_holds_is_invalid(world: World, backend: str) -> None:
    if backend == "sqlite":
        pytest.skip("SQLite stores numbers of any size")
    with pytest.raises(Invalid, match="too large"):
        _write(Organization(id=2**40, name="far"))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_postgresql_compiles_no_queries(world: World) -> None:
    """It takes hundreds of milliseconds for those that policies make, and they take one to run."""
    assert session.scalar(text("SHOW jit")) == "off"


def test_there_is_none_inside_of_another(world: World) -> None:
    with transaction(), pytest.raises(RuntimeError, match="inside"), transaction():
        pass
    with transaction():  # the one outside has ended as ever
        pass


def test_nothing_that_was_written_is_let_go(world: World) -> None:
    organization = session.get(Organization, world.org.north)
    assert organization is not None
    let_go()
    organization.name = "changed"
    with pytest.raises(RuntimeError, match="not stored"):
        let_go()
    session.flush()
    with pytest.raises(RuntimeError, match="not stored"):
        let_go()
    session.rollback()
    session.execute(update(Organization).values(name="all"))
    with pytest.raises(RuntimeError, match="not stored"):
        let_go()
    session.rollback()
    let_go()
