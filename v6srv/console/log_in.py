"""/console/login and /console/logout."""

from urllib.parse import urlsplit

from flask import current_app, redirect, request, url_for
from flask.views import MethodView
from marshmallow import fields
from werkzeug import Response

from v6srv.api import guard
from v6srv.api.oidc import ticket, way_out
from v6srv.console import chrome, refused
from v6srv.console.blueprint import PARTS, PATH, arguments, blp, render
from v6srv.errors import NotFound, Unauthenticated
from v6srv.identity import login, oidc, page_session, totp
from v6srv.identity.login import CodeNeeded, Enrolment, Tokens
from v6srv.wire.base import Input, Text
from v6srv.wire.credentials import Credential


class Arrival(Input):
    """Where somebody wanted to go who has to log in first."""

    next = Text(load_default="")
    over = fields.Boolean(load_default=False)
    """Whether he or she was logged in until now."""
    out = fields.Boolean(load_default=False)
    """Whether he or she has just logged out."""


class Credentials(Input):
    """What is asked for."""

    username = Text(required=True)
    password = Credential(required=True)
    mfa_code = Text(load_default="")
    next = Text(load_default="")


@blp.route("/login")
class LogIn(MethodView):
    @guard.anyone("logging in is how somebody gets to see pages")
    @arguments(Arrival, location="query")
    def get(self, query):
        """The form."""
        return _form(None, **query)

    @guard.anyone("logging in is how somebody gets to see pages")
    @arguments(Credentials)
    def post(self, form):
        """Log in. While the second factor is missing, the form asks for it."""
        code, source = form["mfa_code"].strip() or None, request.remote_addr or ""
        try:
            answer = login.log_in(form["username"], form["password"], code, source)
        except Unauthenticated as error:
            return refused.tell(error)
        if isinstance(answer, Tokens):
            return page_session.begin(_go_on(form["next"]), answer)
        return _form(answer, next=form["next"], username=form["username"])


@blp.route("/login/provider")
class LogInElsewhere(MethodView):
    @guard.anyone("a browser is sent to the identity provider, which asks who it is")
    @arguments(Arrival, location="query")
    def get(self, query):
        """Go to the identity provider."""
        if current_app.config["SETTINGS"].oidc is None:
            raise NotFound("There is no such page")
        departure = oidc.begin(pages=_inside(query["next"]))
        answer = redirect(departure.url, 303)
        answer.headers["Set-Cookie"] = ticket(departure.ticket, oidc.TICKET_S)
        return answer


@blp.route("/logout")
class LogOut(MethodView):
    @guard.anyone("the cookie says whose session ends")
    def post(self):
        """End the session of this browser."""
        return page_session.end(redirect(url_for("console.log_in", out=1), 303))


def _form(factor: Enrolment | CodeNeeded | None, **more: object) -> str:
    secret = totp.qr_svg(factor.qr_uri) if isinstance(factor, Enrolment) else None
    provided = current_app.config["SETTINGS"].oidc is not None
    alone = PARTS in request.headers
    return render(
        "log_in.html",
        chrome.of_nobody(),
        factor=factor,
        picture=secret,
        alone=alone,
        elsewhere=way_out() if provided else None,
        **more,
    )


def _go_on(wanted: str) -> Response:
    """To the page that was asked for, whole: what is around it has changed, too."""
    url = _inside(wanted)
    if PARTS in request.headers:
        return Response(status=204, headers={"HX-Redirect": url})
    return redirect(url, 303)


def _inside(wanted: str) -> str:
    """A page of the console, whatever somebody wrote into a link."""
    parts = urlsplit(wanted)
    inside = f"{parts.path}/".startswith(f"{PATH}/") and not (parts.scheme or parts.netloc)
    return wanted if inside and "\\" not in wanted else url_for("console.overview")
