"""Query and answer of `/event`."""

from typing import Any

from marshmallow import fields

from v6srv.wire.base import Input, Output, Timestamp

_LONGEST_CURSOR = 18


class Since(Timestamp):
    """A cursor, or a time."""

    default_error_messages = {"invalid": "Not the `next` of an answer, nor an ISO 8601 time."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value[:_LONGEST_CURSOR])
        return super()._deserialize(value, attr, data, **kwargs)


class EventQuery(Input):
    """From where on."""

    since = Since(
        metadata={
            "format": "cursor or date-time",
            "description": "`next` of the last answer, or an ISO 8601 time, UTC unless it says"
            " otherwise. Without it: all that is kept",
        },
    )


class PastEventOut(Output):
    """An event as sockets hear it."""

    id = fields.Integer(
        required=True, metadata={"description": "Who gets an event twice knows it by this"}
    )
    time = Timestamp(required=True, metadata={"description": "When it happened"})
    name = fields.String(required=True, metadata={"description": "Such as `new_task`"})
    payload = fields.Raw(required=True, metadata={"description": "What sockets get with it"})


class PastEventsOut(Output):
    """A part of what was missed, oldest first."""

    data = fields.Nested(PastEventOut, many=True, required=True)
    next = fields.Integer(
        required=True, metadata={"description": "`since` of the next request, now or later"}
    )
    more = fields.Boolean(
        required=True,
        metadata={"description": "Ask again at once, also if `data` is empty"},
    )
    complete = fields.Boolean(
        required=True,
        metadata={
            "description": "false: events between `since` and these are not kept any more. Read"
            " tasks and results instead"
        },
    )
