"""Studies and algorithm stores: what goes with what, whoever deletes it."""

from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import delete, select, text

from tests.support import Caller
from tests.world import World
from v6srv.db import session, transaction
from v6srv.errors import Conflict, Invalid
from v6srv.model import AlgorithmStore, Collaboration, Organization, Study, StudyMember, Task


@pytest.fixture(autouse=True)
def _in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def _store(collaboration_id: int | None) -> AlgorithmStore:
    url = "https://store.example/api"
    return AlgorithmStore(name="store", url=url, collaboration_id=collaboration_id)


@pytest.fixture
def study(world: World) -> int:
    """Of `nothing`, with its one member."""
    with transaction() as sess:
        west = sess.get_one(Organization, world.org.west)
        made = Study(name="pilot", collaboration_id=world.collab.nothing, organizations=[west])
        sess.add(made)
    return made.id


def _members(study: int) -> list[int]:
    query = select(StudyMember.c.organization_id).where(StudyMember.c.study_id == study)
    return list(session.scalars(query))


def test_a_study_knows_its_members_and_its_collaboration(world: World, study: int) -> None:
    stored = session.get_one(Study, study)
    assert [one.id for one in stored.organizations] == [world.org.west]
    assert stored.collaboration.name == "nothing"


def test_a_collaboration_takes_its_studies_and_stores_along(
    call: Caller, call4: Caller, world: World, study: int
) -> None:
    """A store without a collaboration would be one for all."""
    here, elsewhere, everywhere = stores = [
        _store(world.collab.nothing),
        _store(world.collab.trial),
        _store(None),
    ]
    with transaction() as sess:
        sess.add_all(stores)
    ids = elsewhere.id, everywhere.id
    assert here.id not in ids
    path = f"/collaboration/{world.collab.nothing}"
    assert call("root", "DELETE", path).status_code == 409  # what goes along is decided, in 4.x
    answer = call4("root", "DELETE", path, query={"delete_dependents": "True"})
    assert answer.status_code == 200, answer.json
    assert call("root", "GET", path).status_code == 404
    session.rollback()
    assert session.get(Collaboration, world.collab.nothing) is None
    assert session.get(Study, study) is None
    assert _members(study) == []
    assert tuple(session.scalars(select(AlgorithmStore.id).order_by(AlgorithmStore.id))) == ids


def test_an_organization_leaves_its_studies(study: int) -> None:
    with transaction() as sess:
        leaving, stored = Organization(name="leaves"), sess.get_one(Study, study)
        stored.organizations.append(leaving)
    assert len(_members(study)) == 2
    with transaction() as sess:
        sess.delete(sess.get_one(Organization, leaving.id))
    assert len(_members(study)) == 1


@pytest.mark.parametrize("gone", [Study, AlgorithmStore])
def test_tasks_stay_without_their_study_or_store(
    world: World, study: int, gone: type[Study | AlgorithmStore]
) -> None:
    with transaction() as sess:
        store = _store(None)
        sess.add(store)
        sess.flush()
        task = sess.get_one(Task, world.task.running)
        task.study_id, task.algorithm_store_id = study, store.id
        before = (study, store.id)
    with transaction() as sess:
        sess.execute(delete(gone))
    columns = select(Task.study_id, Task.algorithm_store_id)
    [row] = session.execute(columns.where(Task.id == world.task.running))
    kept = zip(before, (Study, AlgorithmStore), strict=True)
    assert tuple(row) == tuple(None if model is gone else id for id, model in kept)


def test_names_of_studies_are_unique_and_follow_the_rules(world: World, study: int) -> None:
    with pytest.raises(Invalid, match="name"):
        Study(name=" ")
    with pytest.raises(Invalid, match="name"):
        AlgorithmStore(name="a\nb")
    with pytest.raises(Conflict), transaction() as sess:
        sess.add(Study(name="pilot", collaboration_id=world.collab.trial))
    session.rollback()
    assert list(session.scalars(select(Study.id))) == [study]


def test_databases_go_with_their_task(world: World) -> None:
    insert = "INSERT INTO task_database (task_id, position, label, parameters)"
    with transaction() as sess:
        for position, label in ((1, "second"), (0, "first")):
            values = {"task": world.task.waiting, "position": position, "label": label}
            sess.execute(text(f"{insert} VALUES (:task, :position, :label, '{{}}')"), values)
    task = session.get_one(Task, world.task.waiting)
    assert [one.label for one in task.databases] == ["first", "second"]
    with transaction() as sess:
        sess.delete(sess.get_one(Task, world.task.waiting))
    assert session.scalar(text("SELECT count(*) FROM task_database")) == 0
