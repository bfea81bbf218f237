"""Bodies, queries and answers of `/organization` (rest.md 3.4)."""

from marshmallow import fields

from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text, ruled
from v6srv.wire.links import Numbers, ToMany


class OrganizationIn(Changes):
    """A new organization; everything may be left out. `public_key` is base64 text."""

    name = ruled("organization", "name", load_default="")
    domain = Text(load_default="")
    address1 = Text(load_default="")
    address2 = Text(load_default=None)
    zipcode = Text(load_default="")
    country = Text(load_default="")
    public_key = Text(load_default="")


class OrganizationPatch(Changes):
    """The fields to change. An empty `public_key` removes the key."""

    name = Text()
    domain = Text()
    address1 = Text()
    address2 = Text()
    zipcode = Text()
    country = Text()
    public_key = Text()


class OrganizationQuery(Input):
    """Filters of the list; `name` is matched with the wildcards `%` and `_`."""

    name = Text()
    country = Text()
    collaboration_id = NumberFilter()


class OrganizationOut(Output):
    """An organization."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    domain = fields.String(allow_none=True)
    address1 = fields.String(allow_none=True)
    address2 = fields.String(allow_none=True)
    zipcode = fields.String(allow_none=True)
    country = fields.String(allow_none=True)
    public_key = fields.String()
    collaborations = ToMany("collaboration", attribute="collaboration_ids")
    nodes = ToMany("node", attribute="node_ids")
    users = ToMany("user", attribute="user_ids")
    results = ToMany("result", attribute="result_ids")
    roles = Numbers(attribute="role_ids")
