"""/result: GET list, and GET and PATCH by id."""

from functools import partial

from flask.views import MethodView
from sqlalchemy import exists, select, true

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Node, Port, Task
from v6srv.model import Result as Row
from v6srv.service import lists, results
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.v3.result import (
    ResultInclude,
    ResultOut,
    ResultPatch,
    ResultQuery,
    ResultWithTaskOut,
)

blp = Blueprint("result", __name__, description="Results")
RESULT, VIEW = Resource.RESULT, Operation.VIEW
TASK = "task"

_node, _task = Node.__table__.c, Task.__table__.alias("queue_task").c


def _of_node(node_id):
    """Results that this node is to compute: of its organization, in its collaboration."""
    organization = select(_node.organization_id).where(_node.id == node_id).scalar_subquery()
    collaboration = select(_node.collaboration_id).where(_node.id == node_id).scalar_subquery()
    return (Row.organization_id == organization) & exists().where(
        _task.id == Row.task_id, _task.collaboration_id == collaboration
    )


def _with_state(state):
    return Row.finished_at.is_(None) if state == "open" else true()


_FILTERS = {
    "task_id": lambda id: Row.task_id == id,
    "organization_id": lambda id: Row.organization_id == id,
    "node_id": _of_node,
    "state": _with_state,
    "port": lambda port: exists().where(Port.result_id == Row.id, Port.port == port),
    "assigned_from": lambda time: Row.assigned_at >= time,
    "assigned_till": lambda time: Row.assigned_at <= time,
    "started_from": lambda time: Row.started_at >= time,
    "started_till": lambda time: Row.started_at <= time,
    "finished_from": lambda time: Row.finished_at >= time,
    "finished_till": lambda time: Row.finished_at <= time,
}


@blp.route("/result")
class Results(MethodView):
    @guard.rows(RESULT, VIEW)
    @blp.arguments(ResultQuery, location="query")
    @paged(ResultOut, variants={TASK: ResultWithTaskOut})
    def get(self, query, who, authz, rows):
        """List the results you may view, newest first."""
        if TASK in query.pop("include", ()):
            rows = rows.then(partial(lists.load_tasks, who, authz))
        filters = (_FILTERS[name](value) for name, value in query.items())
        return rows.where(*filters).order_by(Row.id.desc())


@blp.route("/result/<int:id>")
class Result(MethodView):
    @guard.one(RESULT, VIEW)
    @blp.arguments(ResultInclude, location="query")
    @blp.embedding(ResultOut, {TASK: ResultWithTaskOut})
    def get(self, query, who, authz, row):
        """One result."""
        if TASK in query.get("include", ()):
            lists.load_tasks(who, authz, [row])
        return row

    @guard.edits(RESULT)
    @blp.arguments(ResultPatch)
    @blp.response(200, ResultOut)
    def patch(self, changes, row):
        """Report how a run goes; only what is given changes, and a finished result is final."""
        return results.report(row, changes)
