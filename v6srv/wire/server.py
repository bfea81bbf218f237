"""Answers of `/version` and `/health` (rest.md 3.1)."""

from marshmallow import fields

from v6srv.wire.base import Output


class VersionOut(Output):
    """The release of the contract that this server speaks."""

    version = fields.String(required=True)


class HealthOut(Output):
    """Whether the server can do its work."""

    database = fields.Boolean(required=True)
