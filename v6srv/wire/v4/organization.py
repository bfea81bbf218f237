"""Bodies, queries and answers of `/organization` (rest.md 2 and 3.2 of 4.x)."""

from marshmallow import fields

from v6srv.wire import organization
from v6srv.wire.base import Changes, NumberFilter, Text
from v6srv.wire.organization import OrganizationRow
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


class OrganizationQuery(organization.OrganizationQuery):
    """As in 3.x, and by ids or study."""

    ids = fields.List(NumberFilter())
    study_id = NumberFilter()


class OrganizationOut(OrganizationRow):
    """An organization."""

    collaborations = ListUrl("collaboration", "organization_id")
    nodes = ListUrl("node", "organization_id")
    users = ListUrl("user", "organization_id")
    tasks = ListUrl("task", "init_org_id")
    runs = ListUrl("run", "organization_id")
    studies = ListUrl("study", "organization_id")
