"""/metrics: for Prometheus; only where the settings ask for it."""

from flask import Response
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.service import metrics

blp = Blueprint("metrics", __name__, description="Numbers for monitoring")


@blp.route("/metrics")
class Metrics(MethodView):
    @guard.anyone("monitoring has no account; served only with the setting `metrics`")
    @blp.response(200, {"type": "string"}, content_type="text/plain")
    def get(self):
        """Numbers about this process in Prometheus' text format; no names and no ids."""
        return Response(metrics.exposition(guard.authorizer()), content_type=metrics.CONTENT_TYPE)
