"""Bodies, queries and answers of `/port` (rest.md 3.9 of 4.x)."""

from marshmallow import fields

from v6srv.wire.base import Input, Output, id_field
from v6srv.wire.port import OpenedPort


class PortIn(OpenedPort):
    """A port that a running algorithm has opened."""

    run_id = id_field(required=True)


class PortsOfRun(Input):
    """Whose ports to forget."""

    run_id = id_field(required=True)


class PortOut(Output):
    """A port."""

    id = fields.Integer(required=True)
    port = fields.Integer(allow_none=True)
    label = fields.String(allow_none=True)
