"""/task: GET list, POST, GET and DELETE by id, and how far a task is."""

from functools import partial

from flask import current_app
from flask.views import MethodView
from sqlalchemy import exists, select

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.including import included
from v6srv.api.paging import paged
from v6srv.api.visitor import visitor
from v6srv.model import Result, TaskDatabase
from v6srv.model import Task as Row
from v6srv.service import lists, tasks
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v4.run import TaskWithBothOut, TaskWithResultsOut, TaskWithRunsOut
from v6srv.wire.v4.task import TaskIn, TaskInclude, TaskOut, TaskQuery, TaskStatusOut

blp = Blueprint("task", __name__, description="Tasks")
TASK, VIEW = Resource.TASK, Operation.VIEW
EMBEDDED = frozenset({"runs", "results"})
_VARIANTS = {
    "runs": TaskWithRunsOut,
    "results": TaskWithResultsOut,
    "runs,results": TaskWithBothOut,
}


def _reads(label):
    return exists().where(TaskDatabase.task_id == Row.id, TaskDatabase.label == label)


_FILTERS = {
    **filters.TASK,
    "init_org_id": lambda id: Row.initiator_id == id,
    "study_id": lambda id: Row.study_id == id,
    "store_id": lambda id: Row.algorithm_store_id == id,
    "job_id": lambda id: Row.run_id == id,
    "run_id": lambda id: Row.id.in_(select(Result.task_id).where(Result.id == id)),
    "database": _reads,
    "is_user_created": lambda yes: Row.parent_id.is_(None) if yes else Row.parent_id.is_not(None),
    "status": lambda status: Row.status_in_4 == status,
}


@blp.route("/task")
class Tasks(MethodView):
    @guard.rows(TASK, VIEW)
    @blp.arguments(TaskQuery, location="query")
    @paged(TaskOut, variants=_VARIANTS, dialect=V4)
    def get(self, query, who, authz, rows):
        """List the tasks you may view, newest first."""
        query.pop("include", None)
        if included() & EMBEDDED:
            rows = rows.then(partial(lists.load_results, who, authz))
        rows = rows.then(partial(lists.name_initiators, who))
        return rows.where(*filters.conditions(_FILTERS, query)).order_by(Row.id.desc())

    @guard.creates(TASK)
    @blp.arguments(TaskIn)
    @blp.response(201, TaskOut)
    def post(self, order, who, authz):
        """Start a task at several organizations; an algorithm starts a subtask of its own task."""
        mixes = current_app.config["SETTINGS"].mixes_generations
        asked = visitor(order.pop("server_url"))
        return tasks.start(who, authz, order, dialect=V4, mixes=mixes, visitor=asked)


@blp.route("/task/<int:id>")
class Task(MethodView):
    @guard.one(TASK, VIEW)
    @blp.arguments(TaskInclude, location="query")
    @blp.embedding(TaskOut, _VARIANTS)
    def get(self, _query, who, authz, row):
        """One task."""
        if included() & EMBEDDED:
            lists.load_results(who, authz, [row])
        lists.name_initiators(who, [row])
        return row

    @guard.deletes(TASK)
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Remove a task with its subtasks and runs. What still runs is stopped."""
        tasks.delete(row)
        return {"msg": f"task id={row.id} successfully deleted"}


@blp.route("/task/<int:id>/status")
class TaskStatus(MethodView):
    @guard.one(TASK, VIEW)
    @blp.response(200, TaskStatusOut)
    def get(self, row):
        """How far a task is; programs that wait for it ask again and again."""
        return row
