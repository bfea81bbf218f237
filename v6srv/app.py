"""The composition root: the only place where the parts meet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from flask import Flask, Request, Response, request
from flask_cors import CORS
from werkzeug.exceptions import RequestURITooLarge
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import RequestRedirect

from v6srv import db, passwords, traces
from v6srv.api import (
    authzen,
    bodies,
    event,
    front,
    kill,
    metrics,
    notification,
    oidc,
    openapi,
    password,
    policy_decision,
    policy_explain,
    policy_line,
    policy_question,
    policy_version,
    recover,
    server,
    session,
    token,
    tracing,
    v3,
    v4,
    vpn,
)
from v6srv.api.converters import Digits
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.decision_log import DecisionLog
from v6srv.authz.shadow import Shadow
from v6srv.authz.source.live import PolicyStore
from v6srv.console import pages
from v6srv.dialect import asked
from v6srv.dialect.middleware import ASKED_PATH, Dialects
from v6srv.identity import principals, provider, tokens
from v6srv.identity.seen import Seen
from v6srv.realtime import server as realtime
from v6srv.service.mail import Mailer
from v6srv.settings import Settings
from v6srv.vocabulary import V3, V4
from v6srv.wire import browser_headers, errors
from v6srv.wire.json import OrjsonProvider
from v6srv.wire.request_ids import RequestIds
from v6srv.wire.version import VERSION

RESOURCES = {
    dialect: (
        server,
        token,
        *own,
        vpn,
        recover,
        password,
        session,
        notification,
        kill,
        event,
        policy_version,
        policy_line,
        policy_explain,
        policy_question,
        policy_decision,
    )
    for dialect, own in ((V3, v3.RESOURCES), (V4, v4.RESOURCES))
}
"""The modules with endpoints of each dialect, in the order of the documentation."""


class Application(Flask):
    """Flask, which leads nobody elsewhere."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Itself: nothing here is a coroutine. Flask looks at each function of each request."""
        return func

    def raise_routing_exception(self, request: Request) -> NoReturn:
        """A slash too many leads to the path without it: here, whatever host was asked for, and
        below the same base path."""
        error = request.routing_exception
        if isinstance(error, RequestRedirect):
            path = urlsplit(error.new_url).path
            if ASKED_PATH in request.environ:
                here, mounts = asked.current(), self.config["SETTINGS"].mounts
                path = here.base + path.removeprefix(mounts[here.dialect])
            query = urlsplit(error.new_url).query
            error.new_url = urlunsplit(("", "", path, query, ""))
        super().raise_routing_exception(request)


def create_app(settings: Settings) -> Flask:
    """The application of these settings.

    The database must be migrated and seeded (`service.setup.prepare`). Raises PolicyError, with
    every problem's place, when the policies are not valid.
    """
    app = with_endpoints(settings.mounts, settings.api_path, *_asked_for(settings))
    app.json_provider_class = OrjsonProvider
    app.json = OrjsonProvider(app)
    app.config.update(
        SETTINGS=settings,
        MAX_CONTENT_LENGTH=settings.max_body_mb * 1024 * 1024,
        MAX_PER_PAGE=settings.max_per_page,
        PROPAGATE_EXCEPTIONS=False,
    )
    db.connect(settings.uri, settings.database)
    app.teardown_appcontext(_end_session)
    asked.configure(settings.api_path)
    app.wsgi_app = Dialects(  # type: ignore[method-assign]
        app.wsgi_app, settings.base_paths, settings.mounts
    )
    _behind_proxies(app, settings.trusted_proxies)
    _open_to_pages(app, settings.origins)
    tokens.init_app(app, settings)
    principals.configure(settings)
    passwords.configure(settings.password_rounds, settings.hash_threads, settings.hash_queue)
    app.extensions["seen"] = Seen()
    app.extensions["turns"] = bodies.Turns(settings.http.bodies_at_once_mb * 1024 * 1024)
    app.extensions["mailer"] = Mailer(settings)
    store = PolicyStore(settings.policies)
    db.session.remove()
    app.extensions["authz"] = Authorizer(
        store, DecisionLog.of(settings), Shadow(store, settings.log_folder)
    )
    if settings.metrics:
        metrics.count_requests(app)
    if settings.traces.endpoint:
        traces.configure(settings.traces.endpoint, settings.traces.sample, VERSION)
        tracing.trace_requests(app)
    app.extensions["identity_provider"] = provider.of(settings)
    app.before_request(_refuse_long_query)
    realtime.init_app(app, settings)
    app.wsgi_app = browser_headers.BrowserHeaders(RequestIds(app.wsgi_app))  # type: ignore[method-assign]
    return app


def _asked_for(settings: Settings) -> Iterator[ModuleType]:
    """The modules with endpoints that not every server has."""
    if settings.metrics:
        yield metrics
    if settings.oidc is not None:
        yield oidc
    if settings.console:
        yield pages


_LONGEST_QUERY = 8_000
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]


def _behind_proxies(app: Flask, hops: int) -> None:
    """So many proxies say who asks, and for which address."""
    if hops:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )


def _open_to_pages(app: Flask, origins: Sequence[str]) -> None:
    """Web pages of these origins may call the server; the same holds for sockets."""
    all_of_them = "*" in origins
    CORS(
        app,
        origins=origins,
        methods=_METHODS,
        supports_credentials=not all_of_them,  # S28
        send_wildcard=all_of_them,
        always_send=all_of_them,  # which ones there are is nobody's business
        expose_headers=browser_headers.EXPOSED,
        intercept_exceptions=False,  # errors are answers as all others
    )
    if all_of_them:
        app.after_request(_open_to_all)


def _open_to_all(answer: Response) -> Response:
    """What CORS would add, which leaves it then: it need not be found out for each request."""
    if request.method != "OPTIONS":
        answer.headers.extend(browser_headers.OPEN_TO_ALL)
    return answer


def _refuse_long_query() -> None:
    """No program needs more, and the answer repeats it in its links."""
    if len(request.query_string) > _LONGEST_QUERY:
        raise RequestURITooLarge(f"The query has more than {_LONGEST_QUERY} bytes")


def _end_session(_error: BaseException | None) -> None:
    db.session.remove()


def with_endpoints(mounts: Mapping[int, str], api_path: str, *asked_for: ModuleType) -> Flask:
    """An application that knows what can be asked for, and nothing yet of who answers.

    `asked_for`: modules with endpoints that not every server has.
    """
    app = Application("v6srv", root_path=str(Path(__file__).parent))
    app.url_map.converters["int"] = Digits
    app.config.update(openapi.configuration(mounts))
    for dialect, mount in mounts.items():
        api = openapi.Api(app, dialect)
        for module in (*RESOURCES[dialect], *(one for one in asked_for if one is not pages)):
            api.register_blueprint(module.blp, url_prefix=mount)
        if dialect == V3:
            api.register_blueprint(authzen.blp)  # its standard says where
    if pages in asked_for:
        app.register_blueprint(pages.blp)
    prefixes = (pages.blp.url_prefix, *mounts.values())
    guarded = (*(f"{prefix}/" for prefix in prefixes), *authzen.PREFIXES)
    for rule_ in app.url_map.iter_rules():
        if rule_.rule.startswith(guarded):
            require_guard(app, rule_.endpoint, rule_.rule, rule_.methods or set())
    front.register(app, api_path, pages.blp.url_prefix if pages in asked_for else None)
    errors.register(app)
    return app


def require_guard(app: Flask, endpoint: str, path: str, methods: set[str]) -> None:
    """Refuse to start with a route that states no rule."""
    view = getattr(app.view_functions[endpoint], "view_class", None)
    for method in methods - {"HEAD", "OPTIONS"}:
        if not hasattr(getattr(view, method.lower(), None), "rule"):
            raise RuntimeError(f"{method} {path} states no rule: use v6srv.api.guard")
