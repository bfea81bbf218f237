"""Queries, bodies and answers of `/result`, and tasks with their results (rest.md 3.7)."""

from typing import Any

from marshmallow import fields, validate

from v6srv.vocabulary import ResultStatus
from v6srv.wire.base import Input, Output, Text, Timestamp
from v6srv.wire.links import ToOne, link
from v6srv.wire.run import PortBriefs, Report, RunFilters
from v6srv.wire.v3.task import TaskInResultOut

REPORTED_STATUSES = tuple(one.value for one in ResultStatus if one is not ResultStatus.PENDING)
"""What a node may say of a run; `pending` is for the server to say."""


class ResultPatch(Report):
    """What a node reports; what it leaves out stays (Q-15)."""

    status = Text(validate=validate.OneOf(REPORTED_STATUSES))


class ResultInclude(Input):
    """What to embed in one result."""

    include = fields.List(Text(), metadata={"description": "`task`: the whole task, not a link"})


class ResultQuery(ResultInclude, RunFilters):
    """Filters of the list. `state=open`: not finished. `port`: has opened it."""


class NodeBrief(fields.Field[Any]):
    """Dump the row `[id, name, status, ip, config ids]` of the node; `{}` when there is none."""

    def __init__(self, **kwargs: Any) -> None:
        text = {"type": "string", "nullable": True}
        ids = {"type": "array", "items": {"type": "integer"}}
        properties = {
            "id": {"type": "integer"},
            "name": text,
            "status": text,
            "ip": text,
            "config": ids,
        }
        super().__init__(
            dump_only=True, metadata={"type": "object", "properties": properties}, **kwargs
        )

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if not value:
            return {}
        id, name, status, ip, config = value[0]
        return {
            "id": id,
            "name": name,
            "status": status,
            "ip": ip,
            "config": sorted(config or ()),
        }


class TaskOrLink(fields.Field[Any]):
    """Dump the loaded task; a link when the caller may see the result but not the task."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(dump_only=True, metadata={"type": "object"}, **kwargs)
        self.schema = TaskInResultOut()

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return link("task", obj.task_id) if value is None else self.schema.dump(value)


class ResultInTaskOut(Output):
    """A result inside a task."""

    id = fields.Integer(required=True)
    organization = fields.Integer(attribute="shown_organization_id", allow_none=True)
    input = fields.String(allow_none=True)
    result = fields.String(allow_none=True)
    log = fields.String(allow_none=True)
    status = fields.String(allow_none=True)
    assigned_at = Timestamp(allow_none=True)
    started_at = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    node = NodeBrief(attribute="node_rows")
    ports = PortBriefs(attribute="port_rows")


class ResultOfTaskOut(ResultInTaskOut):
    """A result in the list of one task."""

    task = fields.Integer(attribute="task_id", allow_none=True)


class ResultOut(ResultInTaskOut):
    """A result: what one organization computes for a task."""

    organization = ToOne("organization", attribute="shown_organization_id")
    task = ToOne("task", attribute="task_id")


class ResultWithTaskOut(ResultOut):
    """A result with its task."""

    task = TaskOrLink(allow_none=True)


class TaskWithResultsOut(TaskInResultOut):
    """A task with its results; here, not in `wire.task`, because results show tasks as well."""

    results = fields.List(fields.Nested(ResultInTaskOut))
