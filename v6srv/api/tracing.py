"""A span for each request that Flask answers; only where the settings ask for traces."""

from contextlib import ExitStack

from flask import Flask, Response, g, request

from v6srv import traces

_NO_ROUTE = "none"


def trace_requests(app: Flask) -> None:
    """Begin a span with each request, and end it with its answer."""

    def begin() -> None:
        g.trace = ExitStack()
        g.span = g.trace.enter_context(traces.span(request.method, request.headers))

    def end(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else _NO_ROUTE
        traces.answered(g.span, request.method, route, answer.status_code)
        return answer

    def leave(_error: BaseException | None) -> None:
        if "trace" in g:
            g.pop("trace").close()

    app.before_request(begin)
    app.after_request(end)
    app.teardown_request(leave)
