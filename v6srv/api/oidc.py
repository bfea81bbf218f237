"""/oidc: logging in through an identity provider; only where the settings name one."""

from typing import Literal
from urllib.parse import urlsplit

from flask import current_app, redirect, request
from flask.views import MethodView
from werkzeug.http import dump_cookie

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.dialect import asked
from v6srv.identity import oidc, page_session
from v6srv.settings.groups import CALLBACK
from v6srv.wire.base import MessageOut
from v6srv.wire.oidc import ArrivalOut, ProviderAnswer

blp = Blueprint("oidc", __name__, description="Logging in through an identity provider")

TICKET = "v6srv_oidc"
WAY_OUT = "v6srv_oidc_out"
LOGOUT = "/oidc/logout"


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
        life_s = current_app.config["SETTINGS"].refresh_token_expires_s
        cookies = [ticket("", 0), _way_out(found.way_out, life_s)]
        if found.pages is None:
            return found, {"jwt-token": found.access_token, "Set-Cookie": cookies}
        begun = page_session.begin(redirect(found.pages, 303), found)
        for cookie in cookies:
            begun.headers.add("Set-Cookie", cookie)
        return begun


@blp.route("/oidc/logout")
class OidcLogout(MethodView):
    @guard.anyone("a cookie says whose session ends, and the identity provider asks who it is")
    @blp.response(302)
    @blp.alt_response(200, schema=MessageOut)
    def get(self):
        """End the session that this browser began through the provider, here and there.

        A browser that began none, or comes from a page of others, goes to the provider only, which
        asks. Without a redirection where the provider has no log-out.
        """
        url = oidc.leave(request.cookies.get(WAY_OUT))
        headers = {"Set-Cookie": _way_out("", 0)}
        if url is None:
            said = {"msg": "You are logged out here; the identity provider has no log-out"}
            return said, 200, headers
        return None, {**headers, "Location": url}


def ticket(value: str, life_s: int) -> str:
    """The cookie of who is at the provider: it comes with the link that leads back."""
    return _cookie(TICKET, value, life_s, CALLBACK, "Lax")


def _way_out(value: str, life_s: int) -> str:
    """The cookie of who may log out: a link on a page of others does not."""
    return _cookie(WAY_OUT, value, life_s, LOGOUT, "Strict")


def way_out() -> str:
    """Where a browser logs out at the provider as well."""
    return _path(LOGOUT)


def _path(below: str) -> str:
    """Of an endpoint here, as browsers are sent to it."""
    address = urlsplit(current_app.config["SETTINGS"].oidc.callback_url)
    return address.path.removesuffix(CALLBACK) + below


def _cookie(
    name: str, value: str, life_s: int, path: str, samesite: Literal["Lax", "Strict"]
) -> str:
    """No script reads it."""
    address = urlsplit(current_app.config["SETTINGS"].oidc.callback_url)
    return dump_cookie(
        name,
        value,
        max_age=life_s,
        path=_path(path),
        secure=address.scheme == "https",
        httponly=True,
        samesite=samesite,
    )
