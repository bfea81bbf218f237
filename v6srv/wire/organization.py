"""What both dialects say of organizations in the same words."""

from marshmallow import fields

from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text


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


class OrganizationRow(Output):
    """An organization, without what belongs to it."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    domain = fields.String(allow_none=True)
    address1 = fields.String(allow_none=True)
    address2 = fields.String(allow_none=True)
    zipcode = fields.String(allow_none=True)
    country = fields.String(allow_none=True)
    public_key = fields.String()
