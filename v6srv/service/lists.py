"""Lists that are answered whole, and rows that are shown inside other rows.

What is embedded is decided as well: a task is shown with those of its results that the caller may
view, and a result with its task only if the caller may view that.
"""

from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, false, func, true
from sqlalchemy.orm import InstrumentedAttribute, selectinload
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql.visitors import replacement_traverse

from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied
from v6srv.model import Result, Task
from v6srv.model.derived import WIRE
from v6srv.vocabulary import Resource

_AT_ONCE = 30_000
"""Rows whose relations are read in one query: just below what SQLite takes as parameters."""


def whole(rows: AllowedRows | Select[Any]) -> list[Any]:
    """All rows, for the few lists that have no pages."""
    if isinstance(rows, AllowedRows):
        return list(session.scalars(rows.select, rows.parameters))
    return list(session.scalars(rows))


def count(
    who: Principal, authz: Authorizer, resource: Resource, condition: ColumnElement[bool]
) -> int:
    """How many rows of `resource` there are with this condition that the caller may view."""
    rows = _rows(who, authz, resource)
    if rows is None:
        return 0
    counted = rows.where(condition).select.with_only_columns(
        func.count(), maintain_column_froms=True
    )
    return session.scalar(counted.order_by(None), rows.parameters) or 0


def results_in_tasks(who: Principal, authz: Authorizer) -> ORMOption:
    """Loader option of a list of tasks: with their results, in one more query."""
    return _embedded(Task.results, _may_view(who, authz, Resource.RESULT))


def tasks_in_results(who: Principal, authz: Authorizer) -> ORMOption:
    """Loader option of a list of results: with their tasks, in one more query."""
    return _embedded(Result.task, _may_view(who, authz, Resource.TASK))


def load_results(who: Principal, authz: Authorizer, task: Task) -> None:
    """Load the results of one task."""
    rows = _rows(who, authz, Resource.RESULT)
    found = whole(rows.where(Result.task_id == task.id)) if rows else []
    set_committed_value(task, "results", found)


def load_task(who: Principal, authz: Authorizer, result: Result) -> None:
    """Load the task of one result."""
    rows = _rows(who, authz, Resource.TASK)
    found = whole(rows.where(Task.id == result.task_id)) if rows else []
    set_committed_value(result, "task", found[0] if found else None)


def _rows(who: Principal, authz: Authorizer, resource: Resource) -> AllowedRows | None:
    try:
        return authz.allowed_rows(who, resource)
    except Denied:
        return None


def _may_view(who: Principal, authz: Authorizer, resource: Resource) -> ColumnElement[bool]:
    """What the policies ask of a row, for use inside the query of another resource."""
    rows = _rows(who, authz, resource)
    if rows is None:
        return false()
    condition = rows.select.whereclause
    if condition is None:
        return true()

    def with_value(element: Any, **_: Any) -> Any:
        # The outer query has parameters of the same names, with other values.
        if isinstance(element, BindParameter) and element.key in rows.parameters:
            return bindparam(
                None,
                rows.parameters[element.key],
                type_=element.type,
                expanding=element.expanding,
                unique=True,
            )
        return None

    decided: ColumnElement[bool] = replacement_traverse(condition, {}, with_value)
    return decided


def _embedded(relation: InstrumentedAttribute[Any], condition: ColumnElement[bool]) -> ORMOption:
    return selectinload(relation.and_(condition), chunksize=_AT_ONCE).undefer_group(WIRE)
