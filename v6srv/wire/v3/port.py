"""Bodies, queries and answers of `/port` (rest.md 3.10)."""

from marshmallow import fields

from v6srv.wire.base import Input, NumberFilter, Output, id_field
from v6srv.wire.port import OpenedPort


class PortIn(OpenedPort):
    """A port that a running algorithm has opened."""

    result_id = id_field(required=True)


class PortsOfResult(Input):
    """Whose ports to forget."""

    result_id = id_field(required=True)


class PortQuery(Input):
    """Filters of the list."""

    result_id = NumberFilter()
    task_id = NumberFilter()
    run_id = NumberFilter()


class PortOut(Output):
    """A port."""

    id = fields.Integer(required=True)
    port = fields.Integer(allow_none=True)
    label = fields.String(allow_none=True)
    result = fields.Integer(attribute="shown_result_id", allow_none=True)
