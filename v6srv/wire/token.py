"""Bodies and answers of `/token` (rest.md 3.2)."""

from typing import Any

from marshmallow import fields, post_dump, post_load

from v6srv.wire import links
from v6srv.wire.base import Input, Output, Text, id_field
from v6srv.wire.credentials import Credential, need


class Code(Text):
    """Six digits. One that is sent as a number has lost its zeros."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, int) and value and not isinstance(value, bool):
            value = f"{value:06}"
        return super()._deserialize(value, attr, data, **kwargs)


class UserLogin(Input):
    """Name and password, and the code of the authenticator app where it is asked for."""

    username = Text(load_default=None, allow_none=True)
    password = Credential(load_default=None, allow_none=True)
    mfa_code = Code(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "Username and/or password missing in JSON body", "username", "password")
        if body["mfa_code"] == "0":  # clients that have no code may send a zero (auth.md 3.1)
            body["mfa_code"] = None
        return body


class NodeLogin(Input):
    """The API key of a node."""

    api_key = Credential(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "api_key missing in JSON body", "api_key")
        return body


class ContainerTokenRequest(Input):
    """The task a node is about to start, and its image."""

    task_id = id_field(required=True)
    image = Text(required=True)


class _RefreshUrl(fields.Field[str]):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return links.path("token/refresh")


class _AccountUrl(fields.Field[str]):
    """The path of the account, when it is of this kind."""

    def __init__(self, kind: str) -> None:
        super().__init__(attribute="account_id", dump_only=True)
        self.kind = kind

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return links.path(self.kind, value) if obj.kind == self.kind else None


class TokensOut(Output):
    """A pair of tokens and where to renew it."""

    access_token = fields.String()
    refresh_token = fields.String()
    refresh_url = _RefreshUrl(attribute="refresh_token", dump_only=True)
    user_url = _AccountUrl("user")
    node_url = _AccountUrl("node")

    @post_dump
    def _drop_other_kind(self, answer: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {name: value for name, value in answer.items() if value is not None}


class LoginOut(TokensOut):
    """A pair of tokens, or what is still missing: `qr_uri` to set up an app, or only `msg`."""

    qr_uri = fields.String()
    otp_secret = fields.String()
    msg = fields.String()


class ContainerTokenOut(Output):
    """The token of an algorithm container."""

    container_token = fields.String()
