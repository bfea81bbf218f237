"""What lists may be asked for, rows that are shown inside other rows, and how many there are.

What is embedded is decided as well: a task is shown with those of its results that the caller may
view, and a result with its task only if the caller may view that.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, false, func, true
from sqlalchemy.orm.attributes import set_committed_value

from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import MODELS
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound
from v6srv.model import Organization, Result, Task
from v6srv.vocabulary import Operation, PrincipalKind, Resource

_AT_ONCE = 30_000
"""Ids in one query: just below what SQLite takes as parameters."""
_NOBODY = 0
"""The id of no account."""


def require_view(
    who: Principal,
    authz: Authorizer,
    resource: Resource,
    id: int | None,
    on: type[Any] | None = None,
) -> None:
    """Refuse a filter by something that one may not view, as 4.x does.

    `id`: of a row of `resource`, or of `on`; None: nothing is asked. Raises Denied, or Invalid for
    an unknown row.
    """
    if id is not None:
        try:
            authz.fetch(who, resource, Operation.VIEW, id, on, lenient=on is not None)
        except NotFound as unknown:
            raise Invalid(str(unknown)) from unknown


def seen(
    who: Principal, authz: Authorizer, resource: Resource, id: int | None
) -> ColumnElement[bool]:
    """A condition that nothing meets when a list is filtered by a row that one may not view.

    As when it is not there: what belongs to a row tells of it. `id`: None if nothing is asked.
    """
    if id is None or id in ids(who, authz, resource, MODELS[resource].id == id):  # type: ignore[attr-defined]
        return true()
    return false()


def require_seen(
    who: Principal, authz: Authorizer, resource: Resource, wanted: Iterable[int]
) -> None:
    """Raise NotFound for a row that `who` may not view, as for one that is not there."""
    model, named = MODELS[resource], {*wanted}
    known = ids(who, authz, resource, model.id.in_(named)) if named else []  # type: ignore[attr-defined]
    for id in sorted(named - {*known}):
        raise NotFound(f"{model.__name__} id={id} is not found!")


def unknown(
    who: Principal, authz: Authorizer, place: Resource, id: int | None, resource: Resource
) -> Denied | NotFound:
    """The answer for a new row of `resource` in a place that is not there, to raise.

    NotFound for those who may view all such places; others learn what they would of one.
    """
    try:
        authz.fetch(who, place, Operation.VIEW, id or 0)
    except Denied:
        return authz.refusal(who, resource, Operation.CREATE)
    except NotFound as missing:
        return missing
    raise LookupError(f"{place} {id} is there")


def count(
    who: Principal, authz: Authorizer, resource: Resource, condition: ColumnElement[bool]
) -> int:
    """How many rows of `resource` there are with this condition that the caller may view."""
    rows = allowed(who, authz, resource)
    if rows is None:
        return 0
    counted = rows.where(condition).select.with_only_columns(
        func.count(), maintain_column_froms=True
    )
    return session.scalar(counted.order_by(None), rows.parameters) or 0


def ids(
    who: Principal, authz: Authorizer, resource: Resource, condition: ColumnElement[bool]
) -> list[int]:
    """The ids of those rows, in order."""
    rows = allowed(who, authz, resource)
    if rows is None:
        return []
    found = rows.where(condition).select.with_only_columns(MODELS[resource].id)  # type: ignore[attr-defined]
    return list(session.scalars(found, rows.parameters))


def load_results(who: Principal, authz: Authorizer, tasks: Sequence[Task]) -> None:
    """Load the results of tasks: those that `who` may view."""
    found: dict[int, list[Result]] = {task.id: [] for task in tasks}
    for result in _related(who, authz, Resource.RESULT, Result.task_id, found):
        found[result.task_id].append(result)
    for task in tasks:
        set_committed_value(task, "results", found[task.id])


def load_tasks(who: Principal, authz: Authorizer, results: Sequence[Result]) -> None:
    """Load the tasks of results; None for one that `who` may not view."""
    ids = dict.fromkeys(result.task_id for result in results if result.task_id is not None)
    found = {task.id: task for task in _related(who, authz, Resource.TASK, Task.id, ids)}
    for result in results:
        set_committed_value(result, "task", found.get(result.task_id))


def name_initiators(who: Principal, tasks: Iterable[Task | None]) -> None:
    """Nodes of 4.x stumble over a task that no user has started, and get it again and again.

    One whose user is gone is shown to them as that of nobody, whom none of them lets in.
    """
    if who.kind is PrincipalKind.NODE:
        for task in tasks:
            if task is not None and task.init_user_id is None:
                set_committed_value(task, "init_user_id", _NOBODY)


def name_initiators_of(who: Principal, results: Iterable[Result]) -> None:
    """As `name_initiators`, of the tasks of results."""
    name_initiators(who, (result.task for result in results))


def load_organizations(who: Principal, authz: Authorizer, rows: Sequence[Any]) -> None:
    """Load the organizations of rows that have read their ids: those that `who` may view."""
    ids = dict.fromkeys(id for row in rows for id in row.organization_ids or ())
    found = {
        one.id: one for one in _related(who, authz, Resource.ORGANIZATION, Organization.id, ids)
    }
    for row in rows:
        members = [found[id] for id in row.organization_ids or () if id in found]
        set_committed_value(row, "organizations", members)


def _related(
    who: Principal, authz: Authorizer, resource: Resource, column: Any, ids: Collection[int]
) -> Iterator[Any]:
    """The rows of `resource` with one of these ids in the column that `who` may view, by id."""
    rows = allowed(who, authz, resource) if ids else None
    if rows is not None:
        those = list(ids)
        for first in range(0, len(those), _AT_ONCE):
            yield from rows.where(column.in_(those[first : first + _AT_ONCE])).read()


def allowed(who: Principal, authz: Authorizer, resource: Resource) -> AllowedRows | None:
    """The rows that the caller may view; None when nothing is granted."""
    try:
        return authz.allowed_rows(who, resource)
    except Denied:
        return None
