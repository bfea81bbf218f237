"""Bodies, queries and answers of `/organization` (rest.md 2 and 3.2 of 4.x)."""

from marshmallow import fields

from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text
from v6srv.wire.v4.base import ListUrl, Name


class OrganizationIn(Changes):
    """A new organization. `public_key` is base64 text."""

    name = Name(required=True)
    domain = Text(load_default="")
    address1 = Text(load_default="")
    address2 = Text(load_default="")
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
    ids = fields.List(NumberFilter())
    study_id = NumberFilter()


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
    collaborations = ListUrl("collaboration", "organization_id")
    nodes = ListUrl("node", "organization_id")
    users = ListUrl("user", "organization_id")
    tasks = ListUrl("task", "init_org_id")
    runs = ListUrl("run", "organization_id")
    studies = ListUrl("study", "organization_id")
