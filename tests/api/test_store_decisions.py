"""Who changes algorithm stores edits their collaboration; one that is for all, every collaboration.

The endpoint is made up, as in test_careless: it asks nobody, and what it writes is decided.
"""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.api.test_careless import add_endpoint, stored
from tests.support import Caller
from tests.world import World
from v6srv.db import session, transaction
from v6srv.model import AlgorithmStore, CasbinRule

Change = Callable[[World, AlgorithmStore], object]

REGISTRY, TRIAL, ALL = "registry", "trial", "all"


def _new(world: World, where: str) -> AlgorithmStore:
    url, collaboration = "https://store.example/api", getattr(world.collab, where, None)
    return AlgorithmStore(name="store", url=url, collaboration_id=collaboration)


def _add(where: str) -> Change:
    return lambda world, _store: session.add(_new(world, where))


def _move(where: str) -> Change:
    def change(world: World, store: AlgorithmStore) -> None:
        session.expire(store)  # where it was is found out all the same
        store.collaboration_id = getattr(world.collab, where, None)

    return change


def _rename(_world: World, store: AlgorithmStore) -> None:
    store.name = "renamed"


def _remove(_world: World, store: AlgorithmStore) -> None:
    session.delete(store)


def _answer(
    app: Flask, call: Caller, world: World, where: str, change: Change, allowed: str
) -> int:
    """What somebody is told who changes a store that is there, and may edit under a condition."""
    nobody = f"user:{world.user.nobody}"
    edit = (nobody, "collaboration", "global", "edit", allowed, "allow")
    view = (nobody, "organization", "global", "view", "True", "allow")
    with app.app_context(), transaction() as sess:  # past the endpoint: lines are checked once
        store = _new(world, where)
        sess.add(store)
        for line in (edit, view):
            sess.add(CasbinRule(ptype="p", **{f"v{n}": word for n, word in enumerate(line)}))

    def write(world: World) -> None:
        change(world, session.get_one(AlgorithmStore, store.id))

    add_endpoint(app, write, world)
    before = stored()
    answer = call("nobody", "POST", "/careless")
    assert (stored() == before) == (answer.status_code != 200)
    return int(answer.status_code)


CHANGES: dict[str, tuple[str, Change, set[str]]] = {
    "add": (REGISTRY, _add(REGISTRY), {REGISTRY}),
    "add elsewhere": (REGISTRY, _add(TRIAL), {TRIAL}),
    "add for all": (REGISTRY, _add(ALL), {ALL}),
    "rename": (REGISTRY, _rename, {REGISTRY}),
    "rename for all": (ALL, _rename, {ALL}),
    "move": (REGISTRY, _move(TRIAL), {REGISTRY, TRIAL}),
    "open to all": (REGISTRY, _move(ALL), {REGISTRY, ALL}),
    "close to all": (ALL, _move(TRIAL), {TRIAL, ALL}),
    "remove": (REGISTRY, _remove, {REGISTRY}),
    "remove for all": (ALL, _remove, {ALL}),
}
"""Where the store is, what is done, and what has to be edited for it."""


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("may", [(REGISTRY,), (TRIAL,), (REGISTRY, TRIAL), (ALL,)], ids=str)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_who_may_edit_the_collaboration_changes_its_stores(
    app: Flask, call: Caller, world: World, change: str, may: tuple[str, ...]
) -> None:
    where, write, needed = CHANGES[change]
    ids = [getattr(world.collab, one) for one in may if one != ALL]
    condition = "True" if ALL in may else f"r.obj.id in {(*ids, 0)}"
    status = _answer(app, call, world, where, write, condition)
    assert status == (200 if ALL in may or needed <= {*may} else 403)


@pytest.mark.parametrize(("name", "status"), [("algorithm_stores", 200), ("name", 403)])
@pytest.mark.parametrize("where", [REGISTRY, ALL])
def test_the_field_is_asked_for(
    app: Flask, call: Caller, world: World, where: str, name: str, status: int
) -> None:
    """A line can let somebody change stores, and nothing else of a collaboration."""
    condition = f"within(r.sub.changes, ('{name}',))"
    assert _answer(app, call, world, where, _rename, condition) == status
