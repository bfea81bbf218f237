"""Bodies, queries and answers of `/port` (rest.md 3.10)."""

from marshmallow import fields, validate

from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text, Whole, id_field

MAX_PORT = 65535


class PortIn(Changes):
    """A port that a running algorithm has opened."""

    port = Whole(required=True, validate=validate.Range(1, MAX_PORT))
    result_id = id_field(required=True)
    label = Text(load_default=None, allow_none=True)


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
