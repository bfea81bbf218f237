"""Queries and answers of `/policy/explain`."""

from marshmallow import fields, validate

from v6srv.vocabulary import Effect, Operation, Resource, Scope
from v6srv.wire.base import Input, Output, Text, Timestamp, id_field


class Names(Text):
    """Words with commas between them."""

    def _deserialize(self, value, attr, data, **kwargs):
        text = super()._deserialize(value, attr, data, **kwargs)
        return [word.strip() for word in text.split(",") if word.strip()]


def _text(description: str, **kwargs: object) -> Text:
    return Text(metadata={"description": description}, **kwargs)


class ExplainQuery(Input):
    """Who, what and on which row."""

    principal = _text("`user:7`, `node:3` or `container:<task id>`")
    made_up = _text(
        "A principal that does not exist, as a JSON object or as `role:viewer,org:2`; beside"
        " `principal`, what is different about it. Keys: kind, id, org, collabs, roles, rules,"
        " task, run, image",
        data_key="as",
    )
    operation = _text(
        "What is to be done", required=True, validate=validate.OneOf([str(o) for o in Operation])
    )
    resource = _text(
        "What policies are asked for",
        required=True,
        validate=validate.OneOf([str(r) for r in Resource]),
    )
    id = id_field(metadata={"description": "Of the row; without a row the resource as a whole"})
    row = _text("A row that does not exist: its facts as a JSON object")
    on = _text("The resource whose row it is, when it is another")
    room = _text("A socket room, for events: `collaboration_1_organization_3`")
    changes = Names(metadata={"description": "Names of the fields that an edit changes"})
    at = _text("As if it were this time: ISO 8601, UTC unless it says otherwise")


class TermOut(Output):
    """One comparison in a line, and how it came out."""

    expression = fields.String()
    holds = fields.Boolean()
    words = fields.String()


class ConsideredOut(Output):
    """A line that was looked at. `held`: it speaks of this principal, not only of others."""

    line = fields.String()
    origin = fields.String()
    effect = fields.Enum(Effect, by_value=True)
    held = fields.Boolean()
    matched = fields.Boolean()
    remaining = fields.String()
    terms = fields.Nested(TermOut, many=True)
    failing = fields.Integer()
    failure = fields.String(allow_none=True)


class GrantOut(Output):
    """What would have to be granted."""

    resource = fields.Enum(Resource, by_value=True)
    scope = fields.Enum(Scope, by_value=True)
    operation = fields.Enum(Operation, by_value=True)


class RoleNameOut(Output):
    """A role; `subject` is what lines call it."""

    id = fields.Integer()
    name = fields.String()
    subject = fields.String()


class FixOut(Output):
    """What would allow it: the line, the rule or one of the roles, and none of the denials."""

    grant = fields.Nested(GrantOut, allow_none=True)
    line = fields.String(allow_none=True)
    rule = fields.Integer(allow_none=True)
    rule_scope = fields.Enum(Scope, by_value=True, allow_none=True)
    roles = fields.Nested(RoleNameOut, many=True)
    denials = fields.List(fields.String())


class ExplanationOut(Output):
    """A decision with all its reasons.

    `some_row`: no row was named, and `rows` says in words for which it is allowed.
    """

    allowed = fields.Boolean()
    reason = fields.String()
    policy = fields.String()
    at = Timestamp()
    principal = fields.Dict(keys=fields.String())
    resource = fields.Enum(Resource, by_value=True)
    operation = fields.Enum(Operation, by_value=True)
    row = fields.String()
    facts = fields.Dict(keys=fields.String())
    some_row = fields.Boolean()
    rows = fields.List(fields.String())
    lines = fields.Nested(ConsideredOut, many=True)
    decided_by = fields.List(fields.String())
    nearest = fields.String(allow_none=True)
    fix = fields.Nested(FixOut, allow_none=True)
