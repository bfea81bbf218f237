"""A result holds the collaboration of its task, whoever writes either, and whatever happens to it."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select, text, update

from tests.world import World
from v6srv.db import session, transaction
from v6srv.errors import Conflict
from v6srv.model import Collaboration, Result, Task


@pytest.fixture(autouse=True)
def _in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def _task(collaboration_id: int | None) -> int:
    """A task with a result."""
    with transaction() as sess:
        task = Task(collaboration_id=collaboration_id, results=[Result(status="pending")])
        sess.add(task)
        sess.flush()
        return task.id


def _run(statement: Any, *values: Any) -> None:
    with transaction() as sess:
        sess.execute(statement, *values)


def _held(task_id: int | None) -> set[int | None]:
    query = select(Result.collaboration_id).where(Result.task_id.is_not_distinct_from(task_id))
    found = set(session.scalars(query))
    session.rollback()
    return found


def test_all_that_there_are_hold_it(world: World) -> None:
    """However the world was made."""
    other = Result.collaboration_id.is_distinct_from(Task.collaboration_id)
    query = select(Result.id).outerjoin(Task, Task.id == Result.task_id)
    assert session.scalars(query.where(Result.collaboration_id.is_not(None))).first()
    assert not session.scalars(query.where(other)).all()


@pytest.mark.parametrize("table", [Result, Result.__table__], ids=["rows", "statement"])
def test_nobody_needs_to_say_it(world: World, table: Any) -> None:
    """Several tasks at once, and none."""
    there = [_task(world.collab.registry), _task(world.collab.trial), _task(None)]
    _run(insert(table), [{"task_id": id, "status": "new"} for id in (*there, None)])
    query = select(Result.collaboration_id).where(Result.status == "new").order_by(Result.id)
    assert [*session.scalars(query)] == [world.collab.registry, world.collab.trial, None, None]


def test_the_database_takes_no_other(world: World) -> None:
    id = _task(world.collab.registry)
    wrong = {"collaboration_id": world.collab.trial}
    with pytest.raises(Conflict):
        _run(insert(Result), [{"task_id": id, **wrong}])
    with pytest.raises(Conflict):
        _run(update(Result).where(Result.task_id == id).values(wrong))
    assert _held(id) == {world.collab.registry}


def test_it_follows_the_task(world: World) -> None:
    """By statements, whoever gives them; out of all collaborations, too."""
    id = _task(world.collab.registry)
    for other in (world.collab.trial, None):
        _run(text("UPDATE task SET collaboration_id = :to WHERE id = :id"), {"to": other, "id": id})
        assert _held(id) == {other}


def test_it_follows_a_task_into_its_first_collaboration(world: World) -> None:
    """Nulls refer to nothing, so this the database does not do."""
    id = _task(None)
    assert _held(id) == {None}
    with transaction() as sess:
        task = sess.get_one(Task, id)
        task.collaboration = sess.get_one(Collaboration, world.collab.trial)
    assert _held(id) == {world.collab.trial}


@pytest.mark.parametrize("first", ["registry", None])
def test_it_follows_to_another_task(world: World, first: str | None) -> None:
    one = _task(getattr(world.collab, first) if first else None)
    other = _task(world.collab.trial)
    with transaction() as sess:
        [result] = sess.get_one(Task, one).results
        result.task = sess.get_one(Task, other)
    assert _held(one) == set()
    assert _held(other) == {world.collab.trial}


def test_a_collaboration_that_is_removed_leaves_results_without(world: World) -> None:
    with transaction() as sess:
        collaboration = Collaboration(name="for a day")
        sess.add(collaboration)
        sess.flush()
        gone = collaboration.id
    id = _task(gone)
    with transaction() as sess:
        sess.delete(sess.get_one(Collaboration, gone))
    assert _held(id) == {None}


@pytest.mark.parametrize("name", ["registry", None])
def test_results_go_with_their_task(world: World, name: str | None) -> None:
    """That of no collaboration, too."""
    id = _task(getattr(world.collab, name) if name else None)
    assert _held(id)
    _run(delete(Task).where(Task.id == id))
    assert not _held(id)
