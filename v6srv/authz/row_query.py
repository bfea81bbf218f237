"""Queries of one row by its id, made once: SQLAlchemy remembers much of one that it has seen."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Select, bindparam, literal, select
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import TableFacts
from v6srv.db import LARGEST_ID, session

ROW = "policy_row"
"""The parameter that is the id."""

_MOST_REMEMBERED = 10_000

_known: WeakKeyDictionary[Enforcer, dict[Any, Select[Any]]] = WeakKeyDictionary()


def exists(table: TableFacts, id: int) -> bool:
    """Whether there is such a row, whoever may view it."""
    if not 0 < id <= LARGEST_ID:
        return False
    return session.execute(select(literal(1)).where(table.key == id)).first() is not None


def row_query(
    policy: Enforcer,
    table: TableFacts,
    condition: ColumnElement[bool],
    options: Sequence[ORMOption],
    *,
    locked: bool,
) -> Select[Any]:
    """A row that meets a condition of this version of the policy; `locked`: to be changed."""
    known = _known.setdefault(policy, {})
    key = (table.model, locked, id(condition), *map(id, options))  # the query keeps them alive
    query = known.get(key)
    if query is None:
        query = select(table.model).options(*options)
        query = query.where(table.key == bindparam(ROW), condition)
        if locked:
            query = query.with_for_update(of=table.model.__table__)
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[key] = query
    return query


def conditions_query(
    policy: Enforcer, table: TableFacts, conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """Which of these conditions of this version of the policy a row meets, a column for each."""
    known = _known.setdefault(policy, {})
    key = (table.model, "each", *map(id, conditions))  # the query keeps them alive
    query = known.get(key)
    if query is None:
        columns: Sequence[Any] = conditions
        query = select(*columns).select_from(table.model).where(table.key == bindparam(ROW))
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        known[key] = query
    return query
