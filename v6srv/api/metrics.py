"""/metrics: for Prometheus; only where the settings ask for it."""

import time

from flask import Flask, Response, current_app, g, request
from flask.views import MethodView

from v6srv import meters
from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.service import metrics
from v6srv.service.stored_numbers import StoredNumbers

blp = Blueprint("metrics", __name__, description="Numbers for monitoring")

_NO_ROUTE = "none"


@blp.route("/metrics")
class Metrics(MethodView):
    @guard.anyone("monitoring has no account; served only with the setting `metrics`")
    @blp.response(200, {"type": "string"}, content_type="text/plain")
    def get(self):
        """Numbers about this process in Prometheus' text format; no names and no ids."""
        stored = current_app.extensions.setdefault("v6srv_stored_numbers", StoredNumbers())
        return Response(
            metrics.exposition(guard.authorizer(), stored), content_type=metrics.CONTENT_TYPE
        )


def count_requests(app: Flask) -> None:
    """Count every request that Flask answers, and how long it took."""

    def begin() -> None:
        g.begun = time.perf_counter()

    def end(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else _NO_ROUTE
        method = request.method if request.url_rule else _NO_ROUTE
        meters.HTTP_REQUESTS.labels(method, route, answer.status_code).inc()
        meters.HTTP_SECONDS.labels(method, route).observe(time.perf_counter() - g.begun)
        return answer

    app.before_request(begin)
    app.after_request(end)
