"""Bodies, queries and answers of `/task` (rest.md 3.6)."""

from typing import Any

from marshmallow import fields, post_load, validate

from v6srv.wire.base import (
    MAX_IMAGE,
    Changes,
    Input,
    NumberFilter,
    Output,
    Text,
    Timestamp,
    id_field,
)
from v6srv.wire.links import ToMany, ToOne
from v6srv.wire.task import KeepDays, Targets, TaskFilters


class TaskIn(Changes):
    """A new task for at least one organization (Q-49)."""

    collaboration_id = id_field(required=True)
    organizations = Targets()
    name = Text(load_default="")
    description = Text(load_default="")
    image = Text(load_default="", validate=validate.Length(max=MAX_IMAGE))
    database = Text(load_default="")
    keep_days = KeepDays()

    @post_load
    def _in_words_of_the_domain(self, order: dict[str, Any], **_: Any) -> dict[str, Any]:
        """A task of 3.x has one database at most, and says no more of it than its label."""
        label = order.pop("database")
        return {**order, "databases": [(label, {})] if label else []}


class TaskInclude(Input):
    """What to embed in one task."""

    include = fields.List(Text(), metadata={"description": "`results`: whole results, not links"})


class TaskQuery(TaskInclude, TaskFilters):
    """Filters of the list; texts but `status` are matched with the wildcards `%` and `_`."""

    initiator_id = NumberFilter()
    run_id = NumberFilter()
    result_id = NumberFilter()
    database = Text()


class Complete(fields.Boolean):
    """Dump the number of unfinished results as "all are finished"."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> bool:
        return not value


class FinishedAt(Timestamp):
    """Dump the time of the last finished result, null while others are unfinished."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if obj.unfinished else super()._serialize(value, attr, obj, **kwargs)


class TaskInResultOut(Output):
    """A task without its results."""

    id = fields.Integer(required=True)
    run_id = fields.Integer(allow_none=True)
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    image = fields.String(allow_none=True)
    database = fields.String(allow_none=True)
    created_at = Timestamp(allow_none=True)
    finished_at = FinishedAt(attribute="last_finished_at", allow_none=True)
    complete = Complete(attribute="unfinished")
    status = fields.String()
    # Plain numbers: nodes compare them with ids (H8).
    initiator = fields.Integer(attribute="initiator_id", allow_none=True)
    init_user = fields.Integer(attribute="init_user_id", allow_none=True)
    collaboration = ToOne("collaboration", attribute="shown_collaboration_id")
    parent = ToOne("task", attribute="parent_id")
    children = ToMany("task", attribute="child_ids")


class TaskOut(TaskInResultOut):
    """A task."""

    results = ToMany("result", attribute="result_ids")
