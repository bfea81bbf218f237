"""/port: GET list and by id; a node adds and removes the ports of its results."""

from flask.views import MethodView
from sqlalchemy import select

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Port as Row
from v6srv.model import Result, Task
from v6srv.service import results
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v3.port import PortIn, PortOut, PortQuery, PortsOfResult

blp = Blueprint("port", __name__, description="Ports")
PORT, VIEW = Resource.PORT, Operation.VIEW
_MISSING = "No result id provided!"


def _of_run(run_id):
    found = select(Result.id).join(Task, Task.id == Result.task_id).where(Task.run_id == run_id)
    return Row.result_id.in_(found)


_FILTERS = {
    "result_id": lambda id: Row.result_id == id,
    "task_id": lambda id: Row.result_id.in_(select(Result.id).where(Result.task_id == id)),
    "run_id": _of_run,
}


@blp.route("/port")
class Ports(MethodView):
    @guard.rows(PORT, VIEW)
    @blp.arguments(PortQuery, location="query")
    @paged(PortOut)
    def get(self, query, rows):
        """List the ports you may view, newest first."""
        filters = (_FILTERS[name](value) for name, value in query.items())
        return rows.where(*filters).order_by(Row.id.desc())

    @guard.named(
        PORT,
        Operation.CREATE,
        on=Result,
        key="result_id",
        missing=_MISSING,
    )
    @blp.arguments(PortIn)
    @blp.response(201, PortOut)
    def post(self, fields, row):
        """Say that the run of a result listens on a port."""
        return results.open_port(row, fields["port"], fields["label"])

    @guard.named(
        PORT,
        Operation.DELETE,
        on=Result,
        key="result_id",
        location="query",
        missing=_MISSING,
    )
    @blp.arguments(PortsOfResult, location="query")
    @blp.response(200, MessageOut)
    def delete(self, _query, row):
        """Forget all ports of a result. It is fine if there are none."""
        results.close_ports(row)
        return {"msg": "Ports removed from the database."}


@blp.route("/port/<int:id>")
class Port(MethodView):
    @guard.one(PORT, VIEW)
    @blp.response(200, PortOut)
    def get(self, row):
        """One port."""
        return row
