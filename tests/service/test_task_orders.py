"""Orders of tasks in words of the domain: several databases, a study, an algorithm store."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from tests.world import IMAGE, World
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import acting
from v6srv.db import session, transaction
from v6srv.errors import Denied, Invalid, NotFound, V6srvError
from v6srv.identity import principals
from v6srv.model import AlgorithmStore, Organization, Study, StudyMember, Task
from v6srv.service import collaborations, tasks

Start = Callable[..., Task]
UNKNOWN = 10**6


@pytest.fixture(autouse=True)
def _in_the_app(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield
        session.remove()


@pytest.fixture
def start(app: Flask, world: World) -> Start:
    """Start a task as somebody, at organizations that are named."""

    def run(who: str | Principal, *organizations: str, **order: Any) -> Task:
        order = {"name": "", "description": "", "image": IMAGE, "keep_days": None, **order}
        order.setdefault("databases", [])
        order["organizations"] = [
            {"id": getattr(world.org, name), "input": None} for name in organizations
        ]
        if isinstance(who, str):
            who = principals.named(f"user:{getattr(world.user, who)}").principal
        session.rollback()
        with acting(app.extensions["authz"], who), transaction():
            return tasks.start(who, app.extensions["authz"], order, dialect=4)

    return run


def _study(name: str, collaboration: int, *members: int) -> int:
    with transaction() as sess:
        rows = sess.scalars(select(Organization).where(Organization.id.in_(members)))
        study = Study(name=name, collaboration_id=collaboration, organizations=list(rows))
        sess.add(study)
    return study.id


@pytest.fixture
def south(world: World) -> int:
    """The study `south` of `registry`."""
    return _study("south", world.collab.registry, world.org.south)


@pytest.fixture
def west(world: World) -> int:
    """The study `west` of `trial`, which no user of north may view."""
    return _study("west", world.collab.trial, world.org.west)


def _store(collaboration_id: int | None) -> int:
    with transaction() as sess:
        url = "https://store.example/api"
        store = AlgorithmStore(name="store", url=url, collaboration_id=collaboration_id)
        sess.add(store)
    return store.id


def _refused(error: type[V6srvError], start: Start, who: str, **order: Any) -> str:
    before = len(Task.get())
    with pytest.raises(error) as refused:
        start(who, "south", **order)
    session.rollback()
    assert len(Task.get()) == before
    return str(refused.value)


def test_databases_keep_their_order_and_parameters(start: Start, world: World) -> None:
    given = [("b", {"sheet_name": "\u2603", "x": None}), ("a", {}), ("b", {"query": "\x00"})]
    task = start("researcher", "south", collaboration_id=world.collab.registry, databases=given)
    assert (task.database, task.dialect) == ("b", 4)
    assert [(one.label, one.position, one.parameters) for one in task.databases] == [
        ("b", 0, '{"sheet_name":"\\u2603","x":null}'),
        ("a", 1, "{}"),
        ("b", 2, '{"query":"\\u0000"}'),
    ]


@pytest.mark.parametrize("both", [False, True])
def test_a_study_says_where(start: Start, world: World, south: int, both: bool) -> None:
    order = {"collaboration_id": world.collab.registry} if both else {}
    task = start("researcher", "south", study_id=south, **order)
    assert (task.collaboration_id, task.study_id) == (world.collab.registry, south)


def test_who_is_in_the_collaboration_is_not_in_each_study(
    start: Start, world: World, south: int
) -> None:
    with pytest.raises(Invalid, match=rf"not in the study: {world.org.north}$"):
        start("researcher", "north", "south", study_id=south)


def test_of_a_study_elsewhere_nothing_is_told(start: Start, world: World, west: int) -> None:
    """To whom may not view its collaboration: not that it is there."""
    here = {"collaboration_id": world.collab.registry}
    for who, error in (("researcher", NotFound), ("south_researcher", Invalid)):
        said = _refused(error, start, who, study_id=west, **here)
        unknown = _refused(NotFound, start, who, study_id=UNKNOWN, **here)
        alike = said.replace(str(west), "") == unknown.replace(str(UNKNOWN), "")
        assert alike == (who == "researcher")
    alone = [_refused(Denied, start, "researcher", study_id=id) for id in (west, UNKNOWN)]
    assert alone[0] == alone[1]
    assert "Study" in _refused(NotFound, start, "root", study_id=UNKNOWN)


def test_a_store_of_this_collaboration_or_of_all(start: Start, world: World) -> None:
    here, everywhere = _store(world.collab.registry), _store(None)
    elsewhere = _store(world.collab.trial)
    order = {"collaboration_id": world.collab.registry}
    for store in (here, everywhere):
        task = start("researcher", "south", store_id=store, **order)
        assert task.algorithm_store_id == store
    for store in (elsewhere, UNKNOWN):
        assert "store" in _refused(Invalid, start, "researcher", store_id=store, **order)


def test_a_subtask_has_the_store_of_its_parent(start: Start, world: World) -> None:
    parents, others = _store(None), _store(None)
    with transaction() as sess:
        sess.get_one(Task, world.task.running).algorithm_store_id = parents
    algorithm = next(principals.containers([world.task.running])).principal
    order = {"collaboration_id": world.collab.registry, "store_id": others}
    task = start(algorithm, "south", **order)
    assert (task.parent_id, task.algorithm_store_id) == (world.task.running, parents)


def test_who_leaves_a_collaboration_leaves_its_studies(
    app: Flask, world: World, south: int
) -> None:
    """And no other: those of another collaboration are as they were."""
    both = _study("both", world.collab.registry, world.org.north, world.org.south)
    trial = _study("trial", world.collab.trial, world.org.south)
    who, authz = principals.named(f"user:{world.user.root}").principal, app.extensions["authz"]
    session.rollback()
    with acting(authz, who), transaction() as sess:
        registry = sess.get_one(collaborations.Collaboration, world.collab.registry)
        collaborations.remove_member(who, authz, registry, world.org.south)
    pairs = session.execute(select(StudyMember).order_by(StudyMember.c.study_id))
    assert [tuple(pair) for pair in pairs] == [(both, world.org.north), (trial, world.org.south)]
    assert session.get(Study, south) is not None
