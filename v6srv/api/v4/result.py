"""/result: what came of runs."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Result as Row
from v6srv.service import work
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.v4.run import ResultOut, ResultQuery

blp = Blueprint("result", __name__, description="Results")
RESULT, VIEW = Resource.RESULT, Operation.VIEW


@blp.route("/result")
class Results(MethodView):
    @guard.rows(RESULT, VIEW)
    @blp.arguments(ResultQuery, location="query")
    @paged(ResultOut, dialect=V4)
    def get(self, query, who, authz, rows):
        """List the results you may view, newest first."""
        work.require_parents(who, authz, query.get("task_id"), query.get("node_id"))
        return rows.where(*filters.conditions(filters.RESULT, query)).order_by(Row.id.desc())


@blp.route("/result/<int:id>")
class Result(MethodView):
    @guard.one(RESULT, VIEW)
    @blp.response(200, ResultOut)
    def get(self, row):
        """One result."""
        return row
