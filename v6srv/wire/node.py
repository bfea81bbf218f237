"""What both dialects say of nodes in the same words."""

from typing import Any

from marshmallow import fields

from v6srv.wire.base import Input, NumberFilter, Text, Timestamp


class NodeQuery(Input):
    """Filters of the list; `name` is matched with the wildcards `%` and `_`."""

    name = Text()
    organization_id = NumberFilter()
    collaboration_id = NumberFilter()
    status = Text()
    ip = Text()
    last_seen_from = Timestamp()
    last_seen_till = Timestamp()


class SharedConfig(fields.Field[Any]):
    """Dump rows `[id, key, value]` as `{"key", "value"}`."""

    def __init__(self, **kwargs: Any) -> None:
        value = {"type": "string", "nullable": True}
        entry = {"type": "object", "properties": {"key": value, "value": value}}
        super().__init__(dump_only=True, metadata={"type": "array", "items": entry}, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return [{"key": key, "value": text} for _, key, text in value]
