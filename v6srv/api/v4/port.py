"""/port: a node adds and removes the ports of its runs."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.model import Result
from v6srv.service import results
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v4.port import PortIn, PortOut, PortsOfRun

blp = Blueprint("port", __name__, description="Ports")
PORT = Resource.PORT
_RUN = {"on": Result, "key": "run_id", "missing": "No run id provided!"}


@blp.route("/port")
class Ports(MethodView):
    @guard.named(PORT, Operation.CREATE, **_RUN)
    @blp.arguments(PortIn)
    @blp.response(201, PortOut)
    def post(self, fields, row):
        """Say that a run listens on a port."""
        return results.open_port(row, fields["port"], fields["label"])

    @guard.named(PORT, Operation.DELETE, location="query", **_RUN)
    @blp.arguments(PortsOfRun, location="query")
    @blp.response(200, MessageOut)
    def delete(self, _query, row):
        """Forget all ports of a run. It is fine if there are none."""
        results.close_ports(row)
        return {"msg": "Ports removed from the database."}
