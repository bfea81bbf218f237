"""Bodies, queries and answers of `/node` (rest.md 2 and 3.5 of 4.x)."""

import ipaddress
from typing import Any

from marshmallow import ValidationError, fields

from v6srv.wire import node
from v6srv.wire.base import Changes, Flag, NumberFilter, Output, Text, id_field
from v6srv.wire.node import SharedConfig
from v6srv.wire.v4.base import Fixed, Name, Timestamp, ToOne

_STAYS = "Cannot be changed: delete the node, and make another."
NEVER_SEEN = "offline"
"""What 4.x reads of a node that has not been there yet."""


class NodeIn(Changes):
    """A new node, of the caller's organization unless told; without a name it gets one."""

    collaboration_id = id_field(required=True)
    organization_id = id_field()
    name = Name()


class Address(Text):
    """An IP address."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            ipaddress.ip_address(text)
        except ValueError as error:
            raise ValidationError("Not a valid IP address.") from error
        return text


class NodePatch(Changes):
    """The fields to change. `ip` wins over `clear_ip`."""

    name = Text()
    ip = Address()
    clear_ip = Flag()
    organization_id = Fixed(_STAYS)
    collaboration_id = Fixed(_STAYS)


class NodeQuery(node.NodeQuery):
    """As in 3.x, and by study."""

    study_id = NumberFilter()


class Status(fields.String):
    """Dump what is known of a node."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str:
        return value or NEVER_SEEN


class NodeInCollaborationOut(Output):
    """A node where the collaboration is known."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    status = Status()
    ip = fields.String(allow_none=True)
    last_seen = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    config = SharedConfig(attribute="config_rows")


class NodeOut(NodeInCollaborationOut):
    """A node."""

    type = fields.String()
    collaboration = ToOne("collaboration", attribute="collaboration_id")


class NodeWithKeyOut(NodeOut):
    """A new node with its API key, which is shown this once. Dumps `{"node", "api_key"}`."""

    api_key = fields.String(required=True)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The key from the outside, everything else from the node."""
        return obj["api_key"] if attr == "api_key" else getattr(obj["node"], attr, default)
