"""/version and /health: what monitoring and clients ask first, all of it below the API's path."""

from http import HTTPStatus

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.dialect import asked
from v6srv.service import health
from v6srv.wire.server import HealthOut, LiveOut, ReadyOut, VersionOut
from v6srv.wire.version import CONTRACT_VERSIONS

blp = Blueprint("server", __name__, description="The server itself")


@blp.route("/version")
class Version(MethodView):
    @guard.anyone("clients ask before they log in")
    @blp.response(200, VersionOut)
    def get(self):
        """The release of the contract that this server speaks to you."""
        return {"version": CONTRACT_VERSIONS[asked.current().dialect]}


@blp.route("/health")
class Health(MethodView):
    @guard.anyone("monitoring has no account")
    @blp.response(200, HealthOut)
    @blp.alt_response(503, schema=HealthOut)
    def get(self):
        """Whether the database answers; 503 when it does not."""
        found = health.look(guard.authorizer())
        status = HTTPStatus.OK if found["database"] else HTTPStatus.SERVICE_UNAVAILABLE
        return found, status.value


@blp.route("/health/ready")
class Ready(MethodView):
    @guard.anyone("load balancers have no account")
    @blp.response(200, ReadyOut)
    @blp.alt_response(503, schema=ReadyOut)
    def get(self):
        """Whether requests should be sent here; 503, with the reasons, when they should not."""
        reasons = health.not_ready()
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return {"ready": not reasons, "reasons": reasons}, status.value


@blp.route("/health/live")
class Live(MethodView):
    @guard.anyone("container platforms have no account")
    @blp.response(200, LiveOut)
    def get(self):
        """Whether the process answers at all; it does not ask the database."""
        return {"live": True}
