"""/recover: lost passwords, lost second factors and new node keys."""

from flask import request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.identity import recovery
from v6srv.model import Node
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.recover import (
    EnrolmentOut,
    KeyOut,
    LostPassword,
    LostSecondFactor,
    PasswordReset,
    SecondFactorReset,
)

blp = Blueprint("recover", __name__, description="Getting access back")


@blp.route("/recover/lost")
class LostPasswords(MethodView):
    @guard.anyone("who lost the password has no token")
    @blp.arguments(LostPassword)
    @blp.response(200, MessageOut)
    def post(self, body):
        """Ask for a mail with a token to set a new password."""
        recovery.mail_password_token(body["username"], body["email"])
        return {
            "msg": "If the username or email is in our database you will soon receive an email."
        }


@blp.route("/recover/reset")
class PasswordResets(MethodView):
    @guard.anyone("the mailed token says who asks")
    @blp.arguments(PasswordReset)
    @blp.response(200, MessageOut)
    def post(self, body):
        """Set a new password with the mailed token. All sessions of the account end."""
        recovery.reset_password(body["reset_token"], body["password"])
        return {"msg": "The password has successfully been reset!"}


@blp.route("/recover/2fa/lost")
class LostSecondFactors(MethodView):
    @guard.anyone("who lost the second factor cannot log in; the password is asked for")
    @blp.arguments(LostSecondFactor)
    @blp.response(200, MessageOut)
    def post(self, body):
        """Ask for a mail with a token to set up a new authenticator app."""
        recovery.mail_second_factor_token(
            body["username"], body["email"], body["password"], request.remote_addr or ""
        )
        return {
            "msg": "If you sent a correct combination of username/email and"
            "password, you will soon receive an email."
        }


@blp.route("/recover/2fa/reset")
class SecondFactorResets(MethodView):
    @guard.anyone("the mailed token says who asks")
    @blp.arguments(SecondFactorReset)
    @blp.response(200, EnrolmentOut)
    def post(self, body):
        """Set up a new authenticator app with the mailed token. All sessions end."""
        return recovery.reset_second_factor(body["reset_token"])


@blp.route("/recover/node")
class NodeKeys(MethodView):
    @guard.named(
        Resource.NODE,
        Operation.EDIT,
        on=Node,
        missing="ID missing in JSON body",
        changes=frozenset({"api_key"}),
    )
    @blp.response(200, KeyOut)
    def post(self, row):
        """Give a node a new API key. The old one and all tokens of the node end."""
        return {"api_key": recovery.renew_key(row)}
