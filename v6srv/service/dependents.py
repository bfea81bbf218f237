"""What hangs on a row that is to be deleted: it goes with it, or is in the way."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, defer

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import MODELS
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Conflict
from v6srv.service import lists
from v6srv.vocabulary import Resource

AT_ONCE = 200
"""Rows that are made ready together."""


@dataclass(frozen=True, slots=True)
class Dependents:
    """Rows of one resource that hang on another row."""

    resource: Resource
    condition: ColumnElement[bool]
    remove: Callable[[Any], None] | None = None
    """Deletes one of them, which is decided as any other deletion of it. None: they stay."""
    before: Callable[[Sequence[Any]], object] | None = None
    """What is done first, with several of them at once: there may be many rows."""
    large: tuple[InstrumentedAttribute[Any], ...] = ()
    """Columns that are not read for that."""


def dispose(
    who: Principal,
    authz: Authorizer,
    owner: str,
    dependents: Iterable[Dependents],
    *,
    go_along: bool,
) -> None:
    """Delete them, in this order, the newest of each first: subtasks before their tasks.

    Or else raise Conflict when there are any, which counts those that the caller may view. `owner`:
    what they hang on, for people.
    """
    if go_along:
        for each in dependents:
            if each.remove is not None:
                _remove(each, each.remove)
        return
    # Asked again, now that the row is locked: its wire columns may be older.
    left = [
        told(each.resource, total, lists.count(who, authz, each.resource, each.condition))
        for each in dependents
        if (total := count(each))
    ]
    if left:
        raise Conflict(f"{owner} still has {_listed(left)}")


def count(each: Dependents) -> int:
    """How many there are, whoever asks."""
    model = MODELS[each.resource]
    counted = select(func.count()).select_from(model).where(each.condition)
    return session.scalar(counted) or 0


def _remove(each: Dependents, remove: Callable[[Any], None]) -> None:
    model: Any = MODELS[each.resource]
    query = select(model).where(each.condition).order_by(model.id.desc())
    rows = session.scalars(query.options(*map(defer, each.large))).all()
    for first in range(0, len(rows), AT_ONCE):
        some = rows[first : first + AT_ONCE]
        if each.before is not None:
            each.before(some)
        for row in some:
            remove(row)


def told(resource: Resource, total: int, viewable: int) -> str:
    """How many there are, for somebody who may view so many of them."""
    several = f"{resource}s" if resource is not Resource.STUDY else "studies"
    if not viewable:
        return f"{several} that you may not view"
    counted = f"{viewable} {several if viewable > 1 else resource}"
    return counted if viewable == total else f"{counted} (and others that you may not view)"


def _listed(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
