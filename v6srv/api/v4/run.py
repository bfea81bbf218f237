"""/run: GET list, and GET and PATCH by id."""

from functools import partial

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.including import included
from v6srv.api.paging import paged
from v6srv.model import Result as Row
from v6srv.service import lists, results, work
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.v4.run import RunInclude, RunOut, RunPatch, RunQuery, RunWithTaskOut

blp = Blueprint("run", __name__, description="Runs: what organizations compute")
RESULT, VIEW = Resource.RESULT, Operation.VIEW
TASK = "task"
_VARIANTS = {TASK: RunWithTaskOut}


@blp.route("/run")
class Runs(MethodView):
    @guard.rows(RESULT, VIEW)
    @blp.arguments(RunQuery, location="query")
    @paged(RunOut, variants=_VARIANTS, dialect=V4)
    def get(self, query, who, authz, rows):
        """List the runs you may view, newest first."""
        query.pop("include", None)
        work.note_asked(who, query.get("state"), V4)
        if TASK in included():
            rows = rows.then(partial(lists.load_tasks, who, authz))
            rows = rows.then(partial(lists.name_initiators_of, who))
        work.require_parents(who, authz, query.get("task_id"), query.get("node_id"))
        return rows.where(*filters.conditions(filters.RESULT, query)).order_by(Row.id.desc())


@blp.route("/run/<int:id>")
class Run(MethodView):
    @guard.one(RESULT, VIEW)
    @blp.arguments(RunInclude, location="query")
    @blp.embedding(RunOut, _VARIANTS)
    def get(self, _query, who, authz, row):
        """One run."""
        if TASK in included():
            lists.load_tasks(who, authz, [row])
            lists.name_initiators_of(who, [row])
        return row

    @guard.edits(RESULT)
    @blp.arguments(RunPatch)
    @blp.response(200, RunOut)
    def patch(self, changes, row):
        """Report how a run goes; only what is given changes, and a finished run is final."""
        return results.report(row, changes, log_ends=True)
