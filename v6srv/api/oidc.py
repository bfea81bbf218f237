"""/oidc: logging in through an identity provider; only where the settings name one."""

from urllib.parse import urlsplit

from flask import current_app, redirect, request
from flask.views import MethodView
from werkzeug.http import dump_cookie

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.dialect import asked
from v6srv.identity import oidc, page_session
from v6srv.wire.oidc import ArrivalOut, ProviderAnswer

blp = Blueprint("oidc", __name__, description="Logging in through an identity provider")

TICKET = "v6srv_oidc"


@blp.route("/oidc/login")
class OidcLogin(MethodView):
    @guard.anyone("a browser is sent to the identity provider, which asks who it is")
    @blp.response(302)
    def get(self):
        """Go to the identity provider. A browser that comes back from it is logged in."""
        departure = oidc.begin(asked.current().dialect)
        cookie = ticket(departure.ticket, oidc.TICKET_S)
        return None, {"Location": departure.url, "Set-Cookie": cookie}


@blp.route("/oidc/callback")
class OidcCallback(MethodView):
    @guard.anyone("the identity provider says who comes back")
    @blp.arguments(ProviderAnswer, location="query")
    @blp.response(200, ArrivalOut)
    def get(self, answer):
        """The tokens of who comes back from the identity provider; the console gets a page."""
        found = oidc.finish(request.cookies.get(TICKET), answer, request.remote_addr or "")
        if found.pages is None:
            return found, {"jwt-token": found.access_token, "Set-Cookie": ticket("", 0)}
        begun = page_session.begin(redirect(found.pages, 303), found)
        begun.headers.add("Set-Cookie", ticket("", 0))
        return begun


def ticket(value: str, life_s: int) -> str:
    """The cookie: no script reads it, and no page of others has it sent but by a link."""
    address = urlsplit(current_app.config["SETTINGS"].oidc.callback_url)
    return dump_cookie(
        TICKET,
        value,
        max_age=life_s,
        path=address.path,
        secure=address.scheme == "https",
        httponly=True,
        samesite="Lax",
    )
