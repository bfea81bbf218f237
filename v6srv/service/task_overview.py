"""Tasks for people who look at them: how far runs are, what belongs together, and once more.

All of it is what `who` may view. What runs take in and give out can be large: here are sizes.
"""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session, utcnow
from v6srv.errors import Conflict
from v6srv.model import Node, Result, Task
from v6srv.service import lists
from v6srv.service.presence import ONLINE
from v6srv.service.tasks import trees
from v6srv.vocabulary import Resource

MOST_OF_A_TREE = 200
"""Tasks of one run that are shown at once."""
MOST_COUNTED = 10_000
"""The last runs, which a look at all days counts."""


class Run(NamedTuple):
    """What one organization computes for a task; sizes are in characters, None: there is none."""

    id: int
    task_id: int
    organization_id: int | None
    status: str | None
    assigned_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    input_size: int | None
    result_size: int | None
    log_size: int | None


def runs(who: Principal, authz: Authorizer, tasks: Sequence[int]) -> list[Run]:
    """The runs of these tasks, by id."""
    rows = lists.allowed(who, authz, Resource.RESULT)
    if rows is None or not tasks:
        return []
    shown = (
        Result.id,
        Result.task_id,
        Result.organization_id,
        Result.status,
        Result.assigned_at,
        Result.started_at,
        Result.finished_at,
        *map(func.length, (Result.input, Result.result, Result.log)),
    )
    query = rows.where(Result.task_id.in_(tasks)).select.with_only_columns(*shown)
    return [Run(*row) for row in session.execute(query, rows.parameters)]


def tree(who: Principal, authz: Authorizer, task: Task) -> list[Task]:
    """The tasks that share the run of `task`, by id, so that parents come first."""
    rows = lists.allowed(who, authz, Resource.TASK)
    if rows is None or task.run_id is None:
        return [task]
    those = rows.where(Task.run_id == task.run_id)
    return those.read(those.select.limit(MOST_OF_A_TREE))


def nodes_away(who: Principal, authz: Authorizer, task: Task, waiting: Sequence[Run]) -> list[Node]:
    """The nodes that would have to work on these runs and are not online."""
    rows = lists.allowed(who, authz, Resource.NODE)
    wanted = {run.organization_id for run in waiting}
    if rows is None or not wanted:
        return []
    here = Node.collaboration_id == task.collaboration_id
    found = rows.where(here, Node.organization_id.in_(wanted)).read()
    return [node for node in found if node.status != ONLINE]


def what_goes(task: Task) -> tuple[int, int]:
    """How many subtasks, and how many runs of all of them, go with a task that is removed."""
    ids = trees([task.id])
    tasks = session.scalar(select(func.count()).where(Task.id.in_(ids))) or 1
    of_all = session.scalar(select(func.count()).where(Result.task_id.in_(ids))) or 0
    return tasks - 1, of_all


def once_more(who: Principal, authz: Authorizer, task: Task) -> dict[str, Any]:
    """The order that `task` was started with, for `tasks.start` in the dialect of the task.

    Raises Conflict when it cannot be had: inputs are gone, or not all of them may be viewed.
    """
    inputs = select(func.count()).where(Result.task_id == task.id)
    rows = lists.allowed(who, authz, Resource.RESULT)
    found = [] if rows is None else rows.where(Result.task_id == task.id).read()
    if len(found) < (session.scalar(inputs) or 0) or not found:
        raise Conflict("You may not view all that this task sends, so you cannot repeat it")
    if task.cleanup_at is not None:
        raise Conflict("What this task sent has been deleted, so it cannot be repeated")
    databases = [(one.label, json.loads(one.parameters)) for one in task.databases]
    if not databases and task.database:
        databases = [(task.database, {})]
    return {
        "name": task.name,
        "description": task.description,
        "image": task.image,
        "collaboration_id": task.collaboration_id,
        "study_id": task.study_id,
        "store_id": task.algorithm_store_id,
        "organizations": [{"id": one.organization_id, "input": one.input} for one in found],
        "databases": databases,
        "keep_days": task.keep_days,
    }


def by_day(who: Principal, authz: Authorizer, days: int) -> dict[date, dict[str, int]]:
    """How many runs of each of the last days have which state now, of the last MOST_COUNTED runs.

    A day without runs is empty.
    """
    today = utcnow().date()
    found: dict[date, dict[str, int]] = {
        today - timedelta(days=back): {} for back in reversed(range(days))
    }
    rows = lists.allowed(who, authz, Resource.RESULT)
    if rows is None:
        return found
    columns = Result.assigned_at, Result.status
    last = rows.select.with_only_columns(*columns).order_by(None).order_by(Result.id.desc())
    recent = last.limit(MOST_COUNTED).subquery()
    day = func.date(recent.c.assigned_at)
    begin = utcnow() - timedelta(days=days)
    query = select(day, recent.c.status, func.count()).where(recent.c.assigned_at >= begin)
    for at, status, number in session.execute(
        query.group_by(day, recent.c.status), rows.parameters
    ):
        states = found.get(date.fromisoformat(str(at)))
        if states is not None:
            states[status or "unknown"] = number
    return found


def nodes(who: Principal, authz: Authorizer) -> tuple[int, int]:
    """How many nodes are online, and how many there are."""
    rows = lists.allowed(who, authz, Resource.NODE)
    if rows is None:
        return 0, 0
    counted = rows.select.with_only_columns(Node.status, func.count()).order_by(None)
    found = session.execute(counted.group_by(Node.status), rows.parameters).all()
    states: dict[str | None, int] = dict(found)
    return states.get(ONLINE, 0), sum(states.values())
