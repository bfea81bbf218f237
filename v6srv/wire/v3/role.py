"""Bodies, queries and answers of `/role` (rest.md 3.9)."""

from marshmallow import fields, validate

from v6srv.wire.base import MAX_ID, Changes, Flag, Ids, Input, NumberFilter, Output, Text, ruled
from v6srv.wire.links import ToMany, ToOne
from v6srv.wire.v3.user import Rules


class RoleIn(Input):
    """A new role. Without an organization (or with 0) it is one of the caller's."""

    name = ruled("role", "name", required=True)
    description = Text(required=True)
    rules = Ids(allow_none=True)
    organization_id = fields.Integer(allow_none=True, validate=validate.Range(0, MAX_ID))


class RolePatch(Changes):
    """The fields to change. `rules` replaces the whole set."""

    name = Text()
    description = Text()
    rules = Ids()


class RoleQuery(Input):
    """Filters of the list. Repeated values are alternatives."""

    name = fields.List(Text())
    description = fields.List(Text())
    organization_id = fields.List(NumberFilter())
    include_root = Flag(load_default=False)
    """With `organization_id`: server-wide roles as well."""
    rule_id = NumberFilter()
    user_id = NumberFilter()


class RoleOut(Output):
    """A role. A server-wide one has no organization."""

    id = fields.Integer()
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    rules = Rules("rule", attribute="rule_rows")
    users = ToMany("user", attribute="user_ids")
