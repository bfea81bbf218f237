"""Bodies and answers of `/recover` and `/password` (rest.md 3.12)."""

from typing import Any

from marshmallow import fields, post_load

from v6srv.errors import Invalid
from v6srv.wire.base import Input, Output, Text
from v6srv.wire.credentials import Credential, need


class LostPassword(Input):
    """Whose password is lost: the user name, or else the email address."""

    username = Text(load_default=None, allow_none=True)
    email = Text(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if not body["username"] and not body["email"]:
            raise Invalid("No username or email provided!")
        return body


class LostSecondFactor(LostPassword):
    """Whose authenticator app is lost, proven by the password."""

    password = Credential(load_default=None, allow_none=True)

    @post_load
    def _with_password(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "No password provided!", "password")
        return body


class PasswordReset(Input):
    """A new password, allowed by a mailed token."""

    reset_token = Credential(load_default=None, allow_none=True)
    password = Credential(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "The reset token and/or password is missing!", "reset_token", "password")
        return body


class SecondFactorReset(Input):
    """A new second factor, allowed by a mailed token."""

    reset_token = Credential(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "The reset token is missing!", "reset_token")
        return body


class PasswordChange(Input):
    """A new password, allowed by the current one."""

    current_password = Credential(load_default=None, allow_none=True)
    new_password = Credential(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "Your current password is missing", "current_password")
        need(body, "Your new password is missing!", "new_password")
        return body


class EnrolmentOut(Output):
    """What an authenticator app needs to be set up."""

    qr_uri = fields.String()
    otp_secret = fields.String()
    msg = fields.String()


class KeyOut(Output):
    """A new API key: shown this once."""

    api_key = fields.String()
