"""How long the data of tasks is kept: inputs, results and logs go, what was done and when stays.

The data of a task goes so many days after its run has ended, with all subtasks: what a subtask has
computed may be what the task sends. Settings and tasks say when it is time, so that nothing has to
grant it; but where a line of the policy denies that `cleanup_at` of a task changes, it is held.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.orm import aliased

from v6srv import meters
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.revision import current_revision
from v6srv.authz.unit_of_work import Cover, ServerWrite, acting, as_server, covered_by
from v6srv.db import database_now, reading, session, transaction, utcnow
from v6srv.model import Result, Task
from v6srv.vocabulary import Operation, PrincipalKind, Resource

SERVER = Principal(PrincipalKind.USER, 0, None, name="the server")
"""Who deletes: a user that no account is, and that nothing is granted."""

AT_ONCE = 100
"""Tasks that are looked up together, and results that are emptied in one transaction."""

_DAY_S = 86_400
_DATA = (Result.input, Result.result, Result.log)

_Condition = ColumnElement[bool]


@dataclass(slots=True)
class Emptied:
    """What was deleted."""

    tasks: int = 0
    results: int = 0


class Due(NamedTuple):
    """A task whose data is to go."""

    id: int
    ended_at: datetime
    goes_at: datetime
    results: int
    size: int
    """Characters; what clients encode has as many bytes."""
    held: bool
    """A line of the policy forbids that it goes."""


def empty_due(
    authz: Authorizer, days: int | None, go_on: Callable[[], bool] = lambda: True
) -> Emptied:
    """Delete the data that is due; `days` is the setting. Ends early when `go_on` says so.

    Transactions are short, and what another process empties is left to it: this may run in several
    at once, and be stopped at any time.
    """
    done = Emptied()
    for due in _parts(days):
        moved = True
        while moved and go_on():
            before = done.tasks, done.results
            for id in _some(authz, due):
                _empty(authz, due, id, done, go_on)
            moved = before != (done.tasks, done.results)
    return done


def preview(authz: Authorizer, days: int | None, within_days: int = 0) -> list[Due]:
    """The tasks whose data is due, or will be within so many days, what goes first before."""
    with reading():
        allowed, values = _allowed(authz)
        held = case((allowed, False), else_=True)
        columns = Task.id, _ended(), _kept_days(days), *_extent(), held
        rows = [
            row
            for due in _parts(days, within_days)
            for row in session.execute(select(*columns).where(due), values)
        ]
    found = [Due(id, ended, ended + timedelta(kept), *more) for id, ended, kept, *more in rows]
    return sorted(found, key=lambda one: (one.goes_at, one.id))


# --- which


def _parts(days: int | None, within_days: int = 0) -> Sequence[_Condition]:
    """Which tasks are due, or will be within so many days: each a part of the index of tasks.

    By the clock of the database. No run ends before its tasks are made, whatever a node says.
    """
    own, made = Task.keep_days, Task.created_at
    before = database_now((_kept_days(days) - within_days) * _DAY_S)
    ended = and_(Task.cleanup_at.is_(None), _ended() <= before)
    asked = and_(own.is_not(None), or_(made.is_(None), made <= before), ended)
    if days is None:
        return (asked,)
    by_setting = made <= database_now((days - within_days) * _DAY_S)
    return (
        and_(own.is_(None), by_setting, ended),
        and_(own.is_(None), made.is_(None), ended),
        asked,
    )


def _kept_days(days: int | None) -> ColumnElement[Any]:
    """How long the data of a task is kept: it may ask for less than the setting."""
    if days is None:
        return Task.keep_days.expression
    return case((Task.keep_days < days, Task.keep_days), else_=days)


def _ended() -> ColumnElement[datetime]:
    """When the last result of the run of a task has ended; null while there is an open one."""
    result, of_run = aliased(Result), aliased(Task)
    last = case((func.count() == func.count(result.finished_at), func.max(result.finished_at)))
    query = select(last).join(of_run, of_run.id == result.task_id)
    query = query.where(or_(of_run.id == Task.id, of_run.run_id == Task.run_id))
    return query.correlate(Task).scalar_subquery()


def _extent() -> tuple[ColumnElement[int], ColumnElement[int]]:
    """How many results a task has, and of which size."""
    lengths = [func.coalesce(func.length(column), 0) for column in _DATA]
    size = func.coalesce(func.sum(lengths[0] + lengths[1] + lengths[2]), 0)
    first, second = (
        select(one).where(Result.task_id == Task.id).correlate(Task).scalar_subquery()
        for one in (func.count(Result.id), size)
    )
    return first, second


def _allowed(authz: Authorizer) -> tuple[_Condition, Mapping[str, Any]]:
    """The tasks that no line holds, by the lines of now."""
    policy = authz.store.follow(current_revision())
    question = Question(Form.ROWS, SERVER, Resource.TASK, Operation.EDIT, **_DELETION)
    rows = policy.put(question).rows()
    if rows.failure is not None:
        raise rows.failure
    return rows.condition, rows.parameters


_DELETION: Mapping[str, Any] = {"changes": frozenset({"cleanup_at"}), "covered": True}


def _some(authz: Authorizer, due: _Condition) -> Sequence[int]:
    """Tasks to empty, the oldest first as far as the index has them in that order."""
    with reading():
        allowed, values = _allowed(authz)
        query = select(Task.id).where(due, allowed)
        query = query.order_by(Task.keep_days, Task.created_at, Task.id).limit(AT_ONCE)
        return session.scalars(query, values).all()


# --- delete


def _empty(
    authz: Authorizer, due: _Condition, id: int, done: Emptied, go_on: Callable[[], bool]
) -> None:
    """Empty a task, unless it is not due any more or in the hands of another process."""
    count = AT_ONCE
    while count == AT_ONCE and go_on():
        with acting(authz, SERVER), transaction():
            task = _locked(authz, due, id)
            if task is None:
                return
            count = _empty_some(task)
            if count < AT_ONCE:
                with covered_by(Cover.RETENTION):
                    task.cleanup_at = utcnow()
            _witness(authz, task, count)
        done.results += count
        done.tasks += count < AT_ONCE
        meters.EMPTIED.labels("results").inc(count)
        meters.EMPTIED.labels("tasks").inc(count < AT_ONCE)


def _locked(authz: Authorizer, due: _Condition, id: int) -> Task | None:
    allowed, values = _allowed(authz)
    query = select(Task).where(Task.id == id, due, allowed)
    return session.scalars(query.with_for_update(of=Task, skip_locked=True), values).one_or_none()


def _empty_some(task: Task) -> int:
    full = Result.task_id == task.id, or_(*(column.is_not(None) for column in _DATA))
    some = select(Result.id).where(*full).order_by(Result.id).limit(AT_ONCE)
    with as_server(ServerWrite.RETENTION):
        emptied = session.execute(
            update(Result)
            .where(Result.id.in_(some.scalar_subquery()))
            .values({column.key: None for column in _DATA})
            .returning(Result.id),
            execution_options={"synchronize_session": False},
        ).all()
    return len(emptied)


def _witness(authz: Authorizer, task: Task, count: int) -> None:
    """Each deletion is in the decision log, also of a part of a task."""
    edit = Resource.TASK, Operation.EDIT, Task, task.id
    kept = f", the task asked for {task.keep_days} days" if task.keep_days else ""
    reason = f"retention: {count} results emptied{kept}"
    authz.witness(Question(Form.ROW, SERVER, *edit, **_DELETION), reason)
