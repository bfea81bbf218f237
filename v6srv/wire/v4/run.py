"""Bodies, queries and answers of `/run` and `/result`, and tasks with them (rest.md 3.8 of 4.x).

Both are one row, with one id.
"""

from typing import Any

from marshmallow import fields, validate

from v6srv.vocabulary import ResultStatus
from v6srv.wire.base import Input, NumberFilter, Output, Text
from v6srv.wire.links import link
from v6srv.wire.run import PortBriefs, Report, RunFilters
from v6srv.wire.v4.base import METHODS, Timestamp, ToOne
from v6srv.wire.v4.task import TaskInRunOut, TaskOut


class RunPatch(Report):
    """What a node reports; what it leaves out stays."""

    status = Text(validate=validate.OneOf([status.value for status in ResultStatus]))


class RunInclude(Input):
    """What to embed in runs."""

    include = fields.List(Text(), metadata={"description": "`task`: the whole task, not a link"})


class ResultQuery(RunFilters):
    """Filters of the list. `state=open`: not finished. `port`: has opened it."""

    collaboration_id = NumberFilter()


class RunQuery(RunInclude, ResultQuery):
    """Filters of the list. `state=open`: not finished. `port`: has opened it."""


class NodeBrief(fields.Field[Any]):
    """Dump the row `[id, name, status, ip, ...]` of the node; `{}` when there is none."""

    def __init__(self, **kwargs: Any) -> None:
        text = {"type": "string", "nullable": True}
        properties = {"id": {"type": "integer"}, **dict.fromkeys(("name", "ip", "status"), text)}
        super().__init__(
            dump_only=True, metadata={"type": "object", "properties": properties}, **kwargs
        )

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if not value:
            return {}
        id, name, status, ip, *_ = value[0]
        return {"id": id, "name": name, "ip": ip, "status": status or "offline"}


class TaskOrLink(fields.Field[Any]):
    """Dump the loaded task; a link when the caller may see the run but not the task."""

    def __init__(self) -> None:
        super().__init__(dump_only=True, metadata={"type": "object"})
        self.schema = TaskInRunOut()

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return link("task", obj.task_id, METHODS) if value is None else self.schema.dump(value)


class _RowOut(Output):
    id = fields.Integer(required=True)
    task = ToOne("task", attribute="task_id")
    cleanup_at = Timestamp(allow_none=True)
    # Programs read it before they read anything else; inputs and results are here as they are.
    blob_storage_used = fields.Constant(False)


class RunOut(_RowOut):
    """What one organization computes for a task."""

    # Nodes write it to a file: no null.
    input = fields.Function(lambda run: run.input or "", metadata={"type": "string"})
    status = fields.String(allow_none=True)
    log = fields.String(allow_none=True)
    assigned_at = Timestamp(allow_none=True)
    started_at = Timestamp(allow_none=True)
    finished_at = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="shown_organization_id")
    results = ToOne("result", attribute="id")
    node = NodeBrief(attribute="node_rows")
    ports = PortBriefs(attribute="port_rows")


class RunWithTaskOut(RunOut):
    """A run with its task."""

    task = TaskOrLink()


class ResultOut(_RowOut):
    """What came of a run."""

    result = fields.String(allow_none=True)
    run = ToOne("run", attribute="id")


class TaskWithRunsOut(TaskOut):
    """A task with its runs; here, not in `task`, because runs show tasks as well."""

    runs = fields.List(fields.Nested(RunOut))


class TaskWithResultsOut(TaskOut):
    """A task with its results."""

    results = fields.List(fields.Nested(ResultOut))


class TaskWithBothOut(TaskWithRunsOut):
    """A task with its runs and its results."""

    results = fields.List(fields.Nested(ResultOut))
