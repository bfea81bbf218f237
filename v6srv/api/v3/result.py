"""/result: GET list, and GET and PATCH by id."""

from functools import partial

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Result as Row
from v6srv.service import lists, results, work
from v6srv.vocabulary import V3, Operation, Resource
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


@blp.route("/result")
class Results(MethodView):
    @guard.rows(RESULT, VIEW)
    @blp.arguments(ResultQuery, location="query")
    @paged(ResultOut, variants={TASK: ResultWithTaskOut})
    def get(self, query, who, authz, rows):
        """List the results you may view, newest first."""
        if TASK in query.pop("include", ()):
            rows = rows.then(partial(lists.load_tasks, who, authz))
        work.note_asked(who, query.get("state"), V3)
        return rows.where(*filters.conditions(filters.RESULT, query)).order_by(Row.id.desc())


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
