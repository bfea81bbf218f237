"""/console/recover: getting access back, for who cannot log in.

Tokens come by mail and are typed in: they are in no URL.
"""

from flask import request
from flask.views import MethodView
from marshmallow import fields

from v6srv.api import guard
from v6srv.console import chrome, refused
from v6srv.console.blueprint import arguments, blp, done, render
from v6srv.errors import Unauthenticated
from v6srv.identity import recovery, totp
from v6srv.wire.base import Input
from v6srv.wire.recover import LostPassword, LostSecondFactor, PasswordReset, SecondFactorReset

_MAILED = "If that is right, a mail with a token is on its way: it works once, and not for long."


class Known(Input):
    """Whose access is lost, where a link knows that already."""

    username = fields.String(load_default="")


@blp.route("/recover")
class Recovery(MethodView):
    @guard.anyone("who lost the password has no token")
    def get(self):
        """The form for a mail."""
        return _page("password_lost.html")

    @guard.anyone("who lost the password has no token")
    @arguments(LostPassword)
    def post(self, form):
        """Mail a token for a new password."""
        recovery.mail_password_token(form["username"], form["email"])
        return done(_MAILED, "recovery_password")


@blp.route("/recover/password")
class RecoveryPassword(MethodView):
    @guard.anyone("the mailed token says who asks")
    def get(self):
        """The form for the token and a new password."""
        return _page("password_reset.html")

    @guard.anyone("the mailed token says who asks")
    @arguments(PasswordReset)
    def post(self, form):
        """Set it. All sessions of the account end."""
        try:
            recovery.reset_password(form["reset_token"].strip(), form["password"])
        except Unauthenticated as error:  # the token is too old
            return refused.tell(error)
        return done("The password has been set: log in with it.", "log_in")


@blp.route("/recover/second-factor")
class RecoverySecondFactor(MethodView):
    @guard.anyone("who lost the second factor cannot log in; the password is asked for")
    @arguments(Known, location="query")
    def get(self, query):
        """The form for a mail."""
        return _page("second_factor_lost.html", username=query["username"])

    @guard.anyone("who lost the second factor cannot log in; the password is asked for")
    @arguments(LostSecondFactor)
    def post(self, form):
        """Mail a token for a new authenticator app."""
        given = (form["username"], form["email"], form["password"])
        recovery.mail_second_factor_token(*given, request.remote_addr or "")
        return done(_MAILED, "recovery_new_factor")


@blp.route("/recover/second-factor/new")
class RecoveryNewFactor(MethodView):
    @guard.anyone("the mailed token says who asks")
    def get(self):
        """The form for the token."""
        return _page("second_factor_reset.html", factor=None)

    @guard.anyone("the mailed token says who asks")
    @arguments(SecondFactorReset)
    def post(self, form):
        """Show a new secret, this once. All sessions of the account end."""
        try:
            factor = recovery.reset_second_factor(form["reset_token"].strip())
        except Unauthenticated as error:
            return refused.tell(error)
        picture = totp.qr_svg(factor.qr_uri)
        return _page("second_factor_reset.html", factor=factor, picture=picture)


def _page(template: str, **shown: object) -> str:
    return render(template, chrome.of_nobody(), **shown)
