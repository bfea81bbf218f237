"""Bodies, queries and answers of `/role` (rest.md 2 and 3.9 of 4.x)."""

from marshmallow import fields

from v6srv.wire.base import Changes, Flag, Ids, Input, NumberFilter, Output, Text, id_field
from v6srv.wire.v4.base import Fixed, ListUrl, Name, ToOne


class RoleIn(Changes):
    """A new role. Without an organization it is one of the caller's."""

    name = Name(required=True)
    description = Text(load_default="")
    rules = Ids(required=True)
    organization_id = id_field()


class RolePatch(Changes):
    """The fields to change. `rules` replaces the whole set."""

    name = Text()
    description = Text()
    rules = Ids()
    organization_id = Fixed("Cannot be changed: a role stays where it was made.")


class RoleQuery(Input):
    """Filters of the list. Repeated values are alternatives."""

    name = fields.List(Text())
    description = fields.List(Text())
    organization_id = fields.List(NumberFilter())
    collaboration_id = NumberFilter()
    include_root = Flag(load_default=False)
    """With `organization_id` or `collaboration_id`: server-wide roles as well."""
    rule_id = NumberFilter()
    user_id = NumberFilter()


class RoleOut(Output):
    """A role. A server-wide one has no organization."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    description = fields.String(allow_none=True)
    is_default_role = fields.Function(
        lambda role: role.slug is not None, metadata={"type": "boolean"}
    )
    organization = ToOne("organization", attribute="organization_id")
    rules = ListUrl("rule", "role_id")
    users = ListUrl("user", "role_id")
