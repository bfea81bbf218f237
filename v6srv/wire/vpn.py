"""Bodies, queries and answers of `/vpn` (rest.md 3.11)."""

from typing import Any

from marshmallow import fields, post_load

from v6srv.wire.base import Flag, Input, Opaque, Output, Text
from v6srv.wire.credentials import need


class VpnUpdate(Input):
    """The configuration whose key pair has expired."""

    vpn_config = Opaque(load_default=None, allow_none=True)

    @post_load
    def _complete(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        need(body, "vpn_config is missing!", "vpn_config")
        return body


class VpnConfigOut(Output):
    """An OpenVPN configuration."""

    ovpn_config = fields.String()


class AddressQuery(Input):
    """Whose addresses: without a flag those of the own task."""

    label = Text()
    only_children = Flag(load_default=False)
    only_parent = Flag(load_default=False)
    only_siblings = Flag(load_default=False)
    only_self = Flag(load_default=False)
    include_children = Flag(load_default=False)
    include_parent = Flag(load_default=False)


class AddressOut(Output):
    """Where a running algorithm listens inside the VPN."""

    port = fields.Integer(allow_none=True)
    label = fields.String(allow_none=True)
    ip = fields.String(allow_none=True)
    organization_id = fields.Integer(allow_none=True)
    task_id = fields.Integer(allow_none=True)
    parent_id = fields.Integer(allow_none=True)


class AddressesOut(Output):
    """The addresses of a task and its relatives."""

    addresses = fields.List(fields.Nested(AddressOut))
