"""Queries and answers of `/rule` (rest.md 3.9)."""

from marshmallow import fields

from v6srv.vocabulary import Operation, Scope
from v6srv.wire.base import Input, NumberFilter, Output, Text
from v6srv.wire.links import ToMany


class RuleQuery(Input):
    """Filters of the list; `scope` and `operation` in capitals, as in the answer."""

    name = Text()
    operation = Text()
    scope = Text()
    role_id = NumberFilter()


class RuleOut(Output):
    """A rule that can be granted. `users` hold it as an extra rule."""

    id = fields.Integer()
    name = fields.String()
    scope = fields.Enum(Scope)
    operation = fields.Enum(Operation)
    description = fields.String(allow_none=True)
    users = ToMany("user", attribute="user_ids")
