"""Bodies, queries and answers of `/node` (rest.md 3.3)."""

from typing import Any

from marshmallow import fields

from v6srv.wire.base import (
    Changes,
    Flag,
    Output,
    Text,
    Timestamp,
    id_field,
    ruled,
)
from v6srv.wire.links import ToOne
from v6srv.wire.node import SharedConfig


class NodeIn(Changes):
    """A new node, of the caller's organization unless told; without a name it gets one."""

    collaboration_id = id_field(required=True)
    organization_id = id_field()
    name = ruled("node", "name")


class NodePatch(Changes):
    """The fields to change. `ip` wins over `clear_ip`."""

    name = Text()
    organization_id = id_field()
    collaboration_id = id_field()
    ip = Text()
    clear_ip = Flag()


class SharedConfigIds(fields.Field[Any]):
    """Dump rows `[id, key, value]` as ids."""

    def __init__(self, **kwargs: Any) -> None:
        metadata = {"type": "array", "items": {"type": "integer"}}
        super().__init__(dump_only=True, metadata=metadata, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return [row[0] for row in value]


class NodeOut(Output):
    """A node."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    type = fields.String()
    status = fields.String(allow_none=True)
    ip = fields.String(allow_none=True)
    last_seen = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    collaboration = ToOne("collaboration", attribute="collaboration_id")
    config = SharedConfig(attribute="config_rows")


class NodeInCollaborationOut(Output):
    """A node in a list of one collaboration."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    status = fields.String(allow_none=True)
    ip = fields.String(allow_none=True)
    last_seen = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    config = SharedConfigIds(attribute="config_rows")


class NodeWithKeyOut(NodeOut):
    """A new node with its API key, which is shown this once. Dumps `{"node", "api_key"}`."""

    api_key = fields.String(required=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The key from the outside, everything else from the node."""
        return obj["api_key"] if attr == "api_key" else getattr(obj["node"], attr, default)
