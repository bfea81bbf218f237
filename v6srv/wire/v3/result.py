"""Queries, bodies and answers of `/result`, and tasks with their results (rest.md 3.7)."""

from typing import Any

from marshmallow import fields, validate

from v6srv.vocabulary import ResultStatus
from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text, Timestamp
from v6srv.wire.links import ToOne, link
from v6srv.wire.v3.task import TaskInResultOut

REPORTED_STATUSES = tuple(one.value for one in ResultStatus if one is not ResultStatus.PENDING)
"""What a node may say of a run; `pending` is for the server to say."""


class LogText(fields.String):
    """Whatever an algorithm printed; characters that cannot be stored are replaced.

    A log is no reason to lose the result that comes with it.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
        return text.encode("utf-8", "replace").decode()


class ResultPatch(Changes):
    """What a node reports; what it leaves out stays (Q-15)."""

    started_at = Timestamp()
    finished_at = Timestamp()
    status = Text(validate=validate.OneOf(REPORTED_STATUSES))
    result = Text()
    log = LogText()


class ResultInclude(Input):
    """What to embed in one result."""

    include = fields.List(Text(), metadata={"description": "`task`: the whole task, not a link"})


class ResultQuery(ResultInclude):
    """Filters of the list. `state=open`: not finished. `port`: has opened it."""

    task_id = NumberFilter()
    organization_id = NumberFilter()
    node_id = NumberFilter()
    state = Text()
    port = NumberFilter()
    assigned_from = Timestamp()
    assigned_till = Timestamp()
    started_from = Timestamp()
    started_till = Timestamp()
    finished_from = Timestamp()
    finished_till = Timestamp()


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


class PortBriefs(fields.Field[Any]):
    """Dump rows `[id, port, label]` as objects."""

    def __init__(self, **kwargs: Any) -> None:
        properties = {
            "id": {"type": "integer"},
            "port": {"type": "integer", "nullable": True},
            "label": {"type": "string", "nullable": True},
        }
        items = {"type": "object", "properties": properties}
        super().__init__(dump_only=True, metadata={"type": "array", "items": items}, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return [{"id": id, "port": port, "label": label} for id, port, label in value or ()]


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
