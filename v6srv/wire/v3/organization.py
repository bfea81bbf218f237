"""Bodies, queries and answers of `/organization` (rest.md 3.4)."""

from v6srv.wire.base import Changes, Text, ruled
from v6srv.wire.links import Numbers, ToMany
from v6srv.wire.organization import OrganizationRow


class OrganizationIn(Changes):
    """A new organization; everything may be left out. `public_key` is base64 text."""

    name = ruled("organization", "name", load_default="")
    domain = Text(load_default="")
    address1 = Text(load_default="")
    address2 = Text(load_default=None)
    zipcode = Text(load_default="")
    country = Text(load_default="")
    public_key = Text(load_default="")


class OrganizationOut(OrganizationRow):
    """An organization."""

    collaborations = ToMany("collaboration", attribute="collaboration_ids")
    nodes = ToMany("node", attribute="node_ids")
    users = ToMany("user", attribute="user_ids")
    results = ToMany("result", attribute="result_ids")
    roles = Numbers(attribute="role_ids")
