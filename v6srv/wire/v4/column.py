"""Body and answer of `/column` (rest.md 3.11 of 4.x)."""

from typing import Any

from marshmallow import fields, post_load, validate

from v6srv.wire.base import Changes, Output, Text, id_field
from v6srv.wire.task import Targets
from v6srv.wire.v4.task import with_inputs


class ColumnIn(Changes):
    """A database of organizations, and how it is read."""

    db_label = Text(required=True, validate=validate.Length(1))
    collaboration_id = id_field(required=True)
    organizations = Targets()
    query = Text()
    sheet_name = Text()

    @post_load
    def _with_inputs(self, order: dict[str, Any], **_: Any) -> dict[str, Any]:
        return with_inputs(order)


class ColumnsOut(Output):
    """The names of the columns."""

    columns = fields.List(fields.String())
