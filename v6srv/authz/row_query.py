"""Queries of one row by its id, made once: SQLAlchemy remembers much of one that it has seen."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Select, bindparam, literal, select
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import TableFacts
from v6srv.db import LARGEST_ID, session

ROW = "policy_row"
"""The parameter that is the id."""
ROWS = "policy_rows"
"""The parameter that is several ids."""

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

    def make() -> Select[Any]:
        query = select(table.model).options(*options)
        query = query.where(table.key == bindparam(ROW), condition)
        return query.with_for_update(of=table.model.__table__) if locked else query

    # The query keeps alive what the ids are of.
    return _remembered(policy, (table.model, locked, id(condition), *map(id, options)), make)


def conditions_query(
    policy: Enforcer, table: TableFacts, conditions: Sequence[ColumnElement[bool]]
) -> Select[Any]:
    """Which of these conditions of this version of the policy a row meets, a column for each."""

    def make() -> Select[Any]:
        columns: Sequence[Any] = [
            one.label(f"condition_{number}") for number, one in enumerate(conditions)
        ]
        query = select(*columns)
        return query.select_from(table.model).where(table.key == bindparam(ROW))

    return _remembered(policy, (table.model, "each", *map(id, conditions)), make)


def names_query(
    policy: Enforcer, table: TableFacts, condition: ColumnElement[bool], called: ColumnElement[str]
) -> Select[Any]:
    """Ids and names of those of some rows that meet a condition of this version of the policy."""

    def make() -> Select[Any]:
        wanted = table.key.in_(bindparam(ROWS, expanding=True))
        columns: Sequence[Any] = (table.key, called)
        query = select(*columns).where(condition, wanted)
        return query.order_by(table.key)

    return _remembered(policy, (table.model, "names", id(condition)), make)


def _remembered(
    policy: Enforcer, key: tuple[object, ...], make: Callable[[], Select[Any]]
) -> Select[Any]:
    known = _known.setdefault(policy, {})
    query = known.get(key)
    if query is None:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        query = known[key] = make()
    return query
