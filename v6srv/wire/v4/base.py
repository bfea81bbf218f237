"""What the schemas of 4.x share beyond `wire.base`: times, names, links (rest.md 1 of 4.x)."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from marshmallow import ValidationError, fields

from v6srv import names
from v6srv.wire import base, links

_ALL = ["GET", "PATCH", "DELETE"]

METHODS: Mapping[str, list[str]] = {
    "organization": _ALL,
    "collaboration": _ALL,
    "study": _ALL,
    "node": _ALL,
    "user": _ALL,
    "role": _ALL,
    "algorithmstore": _ALL,
    "task": ["GET", "DELETE"],
    "run": ["GET", "PATCH"],
    "result": ["GET", "PATCH"],
    "rule": ["GET"],
}
"""The verbs that links name; PATCH of results is printed and does not exist."""


class ToOne(links.ToOne):
    """Dump the id in `attribute` as a link, None as null."""

    methods = METHODS


class ListUrl(fields.Field[str]):
    """Dump where the rows are listed that are related to this one: `/api/run?task_id=1`.

    There also when there are none: what the list shows is decided when somebody asks for it.
    """

    def __init__(self, resource: str, parameter: str, **kwargs: Any) -> None:
        super().__init__(
            attribute=kwargs.pop("attribute", "id"),
            dump_only=True,
            metadata={"type": "string", "description": f"Path of the filtered list of {resource}"},
            **kwargs,
        )
        self.resource, self.parameter = resource, parameter

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return f"{links.path(self.resource)}?{self.parameter}={value}"


class Timestamp(base.Timestamp):
    """ISO 8601; read as in 3.x, dumped in UTC without an offset."""

    documented = {"type": "string", "description": "An ISO 8601 time in UTC, without an offset"}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return str(utc.isoformat())


class Name(base.Text):
    """A new name of an organization, collaboration, study, node, task or role.

    Not a number, which lists and filters would take for an id.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        base.require(names.label, text)
        return text


class Fixed(fields.Field[Any]):
    """Refused in a PATCH body, with this text."""

    def __init__(self, problem: str) -> None:
        super().__init__()
        self.problem = problem

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        raise ValidationError(self.problem)
