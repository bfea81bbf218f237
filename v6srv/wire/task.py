"""What both dialects say of tasks in the same words."""

import json
from typing import Any

from marshmallow import ValidationError, fields, validate

from v6srv.settings.groups import LONGEST_DAYS
from v6srv.wire.base import Input, NumberFilter, Opaque, Text, id_field

MAX_ORGANIZATIONS = 10_000


class AlgorithmInput(Opaque):
    """Opaque text of any size; an object, as very old clients send it, becomes its JSON text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict):
            value = json.dumps(value)
        if not isinstance(value, str):
            raise ValidationError("Neither text nor an object.")
        return super()._deserialize(value, attr, data, **kwargs)


class _TargetIn(Input):
    """An organization that is to run the task, and its input."""

    id = id_field(required=True)
    input = AlgorithmInput(load_default=None, allow_none=True)


class Targets(fields.List[dict[str, Any]]):
    """Where a new task is to run."""

    def __init__(self) -> None:
        super().__init__(
            fields.Nested(_TargetIn), required=True, validate=validate.Length(1, MAX_ORGANIZATIONS)
        )


class KeepDays(fields.Integer):
    """How long the data of a new task is kept; a field of this server."""

    def __init__(self) -> None:
        super().__init__(
            strict=True,
            load_default=None,
            allow_none=True,
            validate=validate.Range(1, LONGEST_DAYS),
            metadata={
                "description": "Delete inputs, results and logs so many days after the run has"
                " ended, if the server does not do so before. Subtasks of algorithms are not kept"
                " for longer."
            },
        )


class TaskFilters(Input):
    """Filters of the list."""

    init_user_id = NumberFilter()
    collaboration_id = NumberFilter()
    parent_id = NumberFilter()
    name = Text()
    image = Text()
    description = Text()
    status = Text()
