"""Queries and answers of `/rule` (rest.md 2 and 3.9 of 4.x)."""

from marshmallow import fields

from v6srv.dialect.rule_names import NAMES
from v6srv.wire.base import Flag, Input, NumberFilter, Output, Text
from v6srv.wire.v4.base import ListUrl


class RuleQuery(Input):
    """Filters of the list; words as in the answer."""

    name = Text()
    operation = Text()
    scope = Text()
    role_id = NumberFilter()
    user_id = NumberFilter()
    no_pagination = Flag(load_default=False)


def _word(place: int) -> fields.Function:
    """One of the words that 4.x has for a rule."""
    return fields.Function(
        lambda rule: NAMES[rule.text][place], required=True, metadata={"type": "string"}
    )


class RuleOut(Output):
    """A rule that can be granted. `users` hold it by themselves."""

    id = fields.Integer(required=True)
    name = _word(0)
    operation = _word(1)
    scope = _word(2)
    description = fields.String(allow_none=True)
    users = ListUrl("user", "rule_id")
