"""/task: GET list, POST, GET and DELETE by id, and the results of a task."""

from functools import partial

from flask import current_app
from flask.views import MethodView
from sqlalchemy import select

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Result
from v6srv.model import Task as Row
from v6srv.service import lists, tasks
from v6srv.vocabulary import V3, Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v3.result import ResultOfTaskOut, TaskWithResultsOut
from v6srv.wire.v3.task import TaskIn, TaskInclude, TaskOut, TaskQuery

blp = Blueprint("task", __name__, description="Tasks")
TASK, VIEW = Resource.TASK, Operation.VIEW
RESULTS = "results"


def _owner_of(result_id):
    return Row.id.in_(select(Result.task_id).where(Result.id == result_id))


_FILTERS = {
    **filters.TASK,
    "initiator_id": lambda id: Row.initiator_id == id,
    "run_id": lambda id: Row.run_id == id,
    "result_id": _owner_of,
    "database": filters.like(Row.database),
    "status": lambda status: Row.status == status,
}


@blp.route("/task")
class Tasks(MethodView):
    @guard.rows(TASK, VIEW)
    @blp.arguments(TaskQuery, location="query")
    @paged(TaskOut, variants={RESULTS: TaskWithResultsOut})
    def get(self, query, who, authz, rows):
        """List the tasks you may view, newest first."""
        if RESULTS in query.pop("include", ()):
            rows = rows.then(partial(lists.load_results, who, authz))
        return rows.where(*filters.conditions(_FILTERS, query)).order_by(Row.id.desc())

    @guard.creates(TASK)
    @blp.arguments(TaskIn)
    @blp.response(201, TaskOut)
    def post(self, order, who, authz):
        """Start a task at several organizations; an algorithm starts a subtask of its own task."""
        mixes = current_app.config["SETTINGS"].mixes_generations
        return tasks.start(who, authz, order, dialect=V3, mixes=mixes)


@blp.route("/task/<int:id>")
class Task(MethodView):
    @guard.one(TASK, VIEW)
    @blp.arguments(TaskInclude, location="query")
    @blp.embedding(TaskOut, {RESULTS: TaskWithResultsOut})
    def get(self, query, who, authz, row):
        """One task."""
        if RESULTS in query.get("include", ()):
            lists.load_results(who, authz, [row])
        return row

    @guard.deletes(TASK)
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Remove a task with its subtasks and results. What still runs is stopped."""
        tasks.delete(row)
        return {"msg": f"task id={row.id} successfully deleted"}


@blp.route("/task/<int:id>/result")
class TaskResults(MethodView):
    @guard.rows_of(Resource.RESULT, on=Row)
    @paged(ResultOfTaskOut)
    def get(self, row, rows):
        """List the results of a task."""
        return rows.where(Result.task_id == row.id)
