"""Answers of `/token/user/validate` and `/token/node/validate` (auth.md 5 of 4.x)."""

from marshmallow import fields

from v6srv.wire.base import Output


class _Valid(Output):
    msg = fields.Constant("Token is valid")
    organization_id = fields.Integer(allow_none=True)


class UserTokenOut(_Valid):
    """Whose token it is."""

    user_id = fields.Integer(attribute="id")
    username = fields.String()
    email = fields.String(allow_none=True)


class NodeTokenOut(_Valid):
    """Whose token it is."""

    node_id = fields.Integer(attribute="id")
    name = fields.String(allow_none=True)
