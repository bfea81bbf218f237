"""What both dialects say in the same words of what one organization computes for a task.

3.x calls it a result; 4.x calls it a run, and what comes of it a result.
"""

from typing import Any

from marshmallow import fields

from v6srv import names
from v6srv.wire.base import Changes, Input, NumberFilter, Opaque, Text, Timestamp


class LogText(fields.String):
    """Whatever an algorithm printed; characters that cannot be stored are replaced.

    A log is no reason to lose the result that comes with it.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return names.storable(super()._deserialize(value, attr, data, **kwargs))


class Report(Changes):
    """What a node reports of a run; what it leaves out stays (Q-15)."""

    started_at = Timestamp()
    finished_at = Timestamp()
    result = Opaque()
    log = LogText()


class RunFilters(Input):
    """Filters of the list."""

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
