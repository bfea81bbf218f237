"""How the views of the console become pages.

A view is guarded as one of the API is (`api.guard`), takes its input by `arguments`, and returns
either what its template shows, as a dict, or where to go next (`done`):

    @blp.route("/role/<int:id>")
    class Role(MethodView):
        @guard.one(Resource.ROLE)
        @page("role.html")
        def get(self, row): ...

        @guard.edits(Resource.ROLE)
        @arguments(RolePatch)
        @page()
        def post(self, changes, who, authz, row): ...

Links and forms never change anything by GET. Whatever else comes has to come from a page of this
server: browsers say so, and a request that does not is refused before anything of it is read.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Request, current_app, redirect, render_template, request, url_for
from flask.views import MethodView
from marshmallow import Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug import Response

from v6srv.authz.offers import Offers
from v6srv.authz.unit_of_work import settle
from v6srv.console import chrome, said
from v6srv.db import nothing_more
from v6srv.dialect import asked
from v6srv.errors import Denied
from v6srv.identity import page_session
from v6srv.wire.base import Text
from v6srv.wire.errors import invalid

View = TypeVar("View", bound=Callable[..., Any])

PATH = "/console"
PARTS = "HX-Request"
"""The header of requests by the script of a page, which shows only a part of the answer."""


class Pages(Blueprint):
    """Views that are classes; what `url_for` calls one is its name in small letters, `new_node`."""

    def route(  # type: ignore[override]
        self, rule: str, dialect: int | None = None, **options: Any
    ) -> Callable[[type[MethodView]], type[MethodView]]:
        """Serve a view at this path, below the console's own.

        `dialect`: whose wire format says what is read with rows. That of 4.x has no lists of ids,
        which can be long.
        """

        def register(view: type[MethodView]) -> type[MethodView]:
            name = re.sub("(?<=[a-z])(?=[A-Z])", "_", view.__name__).lower()
            serve = view.as_view(name)
            self.add_url_rule(
                rule, view_func=_as_in(dialect, serve) if dialect else serve, **options
            )
            return view

        return register


def _as_in(dialect: int, view: View) -> View:
    @wraps(view)
    def viewed(**url: Any) -> Any:
        base = current_app.config["SETTINGS"].mounts[dialect]
        with asked.using(asked.Asked(dialect, base)):
            return view(**url)

    return viewed  # type: ignore[return-value]


blp = Pages("console", __name__, url_prefix=PATH)

_SAFE = ("GET", "HEAD", "OPTIONS")
_FOREIGN = (
    "This did not come from a page of this server, so nothing was done. If it did: the proxy in"
    " front of the server has to pass on the Host that was asked for"
)


@blp.before_request
def _refuse_foreign() -> None:
    if request.method in _SAFE:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = urlsplit(request.headers.get("Origin", ""))
    own = site == "same-origin" if site else origin.netloc == request.host
    if not own or (origin.netloc and origin.netloc != request.host):
        raise Denied(_FOREIGN)


@blp.before_request
def _known() -> None:
    page_session.begin_request(request.cookies)


def page(template: str | None = None) -> Callable[[View], View]:
    """Show what the view returns by this template, below `templates/console`.

    What it returns as a Response is the answer. Templates ask nothing of the database: all that
    they show was decided before. A view that names neither `who` nor `authz` may still have a menu,
    and `may` is what its page can offer.
    """

    def decorate(view: View) -> View:
        wanted = inspect.signature(view).parameters

        @wraps(view)
        def shown(self: object, *args: Any, who: Any, authz: Any, **handed: Any) -> Any:
            may = Offers(authz.store, who)
            asking = {"who": who, "authz": authz, "may": may}
            known = handed | {name: asking[name] for name in asking if name in wanted}
            answer = view(self, *args, **known)
            settle()
            if not isinstance(answer, Mapping):
                return answer
            assert template is not None
            return render(template, chrome.of(who, authz, may), **answer)

        shown.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [_KEYWORD(name) for name in dict.fromkeys((*wanted, "who", "authz")) if name != "may"]
        )
        return shown  # type: ignore[return-value]

    return decorate


def _KEYWORD(name: str) -> inspect.Parameter:  # noqa: N802 - one of inspect's own kinds
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)


def render(template: str, around: Mapping[str, Any], **shown: Any) -> str:
    """The page, with what is around it on every page."""
    parts = current_app.jinja_env.get_template("console/parts.html").module
    with nothing_more():
        return render_template(
            f"console/{template}", parts=parts, said=said.take(), **around, **shown
        )


def done(text: str, endpoint: str, row: Any = None, **values: Any) -> Response:
    """Go on to that page, of this row if one is given, which begins with this text."""
    if row is not None:
        settle()  # a new one has its id only now
        values["id"] = row.id
    return said.leave(redirect(url_for(f"console.{endpoint}", **values), 303), text)


# --- input


class _Parser(FlaskParser):
    """Fields of forms and queries. One that was left empty was not given, unless it is a text."""

    def load_form(self, req: Request, schema: Schema) -> Any:
        """The form."""
        return _given(req.form, schema)

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """The query."""
        return _given(req.args, schema)

    def handle_error(
        self, error: ValidationError, req: Request, schema: Schema, **_: Any
    ) -> NoReturn:
        """Raise Invalid."""
        [messages] = error.messages_dict.values()
        raise invalid(messages) from error


_parser = _Parser(unknown=None)


def arguments(schema: type[Schema] | Schema, location: str = "form") -> Callable[[View], View]:
    """Hand the parsed form (or query, by `location`) to the view as its first argument."""
    made = schema if isinstance(schema, Schema) else schema()
    parsing: Callable[[View], View] = _parser.use_args(made, location=location)
    return parsing


def _given(sent: Any, schema: Schema) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, field in schema.fields.items():
        key = field.data_key or name
        if key not in sent:
            continue
        if isinstance(field, fields.List):
            given[key] = [value for value in sent.getlist(key) if value != ""]
        elif sent[key] != "" or type(field) in (fields.String, Text):
            given[key] = sent[key].replace("\r\n", "\n")
    return given
