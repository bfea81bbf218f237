"""Sessions as they are listed."""

from marshmallow import fields

from v6srv.wire.base import Output, Timestamp


class SessionOut(Output):
    """Where a user is logged in. Nothing of an address or a program is known."""

    id = fields.String(required=True, metadata={"description": "Its name: no secret, no token"})
    begun_at = Timestamp(metadata={"description": "When the user logged in"})
    refreshed_at = Timestamp(metadata={"description": "When it was refreshed last, to a minute"})
    dialect = fields.Integer(metadata={"description": "3 or 4: the programs that it is of"})
    current = fields.Boolean(metadata={"description": "It is the one that asks"})
