"""Queries and answers of `/policy/who-can`, `/policy/can` and `/policy/matrix`."""

from marshmallow import fields, validate

from v6srv.vocabulary import Operation, PrincipalKind, Resource, Scope
from v6srv.wire.base import Flag, Input, Output, Text, Timestamp, Whole, id_field

MAX_ROWS = 1000


class Words(Text):
    """Words with commas between them."""

    def _deserialize(self, value, attr, data, **kwargs):
        text = super()._deserialize(value, attr, data, **kwargs)
        return [word.strip() for word in text.split(",") if word.strip()]


def _said(description: str) -> dict[str, str]:
    return {"description": description}


_AT = _said("As if it were this time: ISO 8601, UTC unless it says otherwise")


class WhoCanQuery(Input):
    """What is to be done with which row."""

    operation = Text(
        required=True,
        validate=validate.OneOf([str(o) for o in Operation]),
        metadata=_said("What is to be done"),
    )
    resource = Text(
        required=True,
        validate=validate.OneOf([str(r) for r in Resource]),
        metadata=_said("What policies are asked for"),
    )
    id = id_field(metadata=_said("Of the row; without a row the resource as a whole"))
    row = Text(metadata=_said("A row that does not exist: its facts as a JSON object"))
    on = Text(metadata=_said("The resource whose row it is, when it is another"))
    room = Text(metadata=_said("A socket room, for events: `collaboration_1_organization_3`"))
    at = Text(metadata=_AT)


class WhatCanQuery(Input):
    """Who, and about what."""

    principal = Text(metadata=_said("`user:7`, `node:3` or `container:<task id>`"))
    made_up = Text(
        data_key="as",
        metadata=_said(
            "A principal that does not exist, as a JSON object or as `role:viewer,org:2`; beside"
            " `principal`, what is different about it"
        ),
    )
    resource = Words(metadata=_said("Only these resources, with commas between them"))
    rows = Flag(metadata=_said("Whether to name rows"))
    limit = Whole(
        validate=validate.Range(0, MAX_ROWS), metadata=_said("Ids of rows for each; 20 unless told")
    )
    at = Text(metadata=_AT)


class MatrixQuery(Input):
    """What to show; everything unless told."""

    role = Words(
        metadata=_said("Only these: `viewer`, `12`, `kind:user`, with commas between them")
    )
    resource = Words(metadata=_said("Only these resources, with commas between them"))


# --- answers


class SomebodyOut(Output):
    """A principal that may; `name` of a container is that of its node."""

    subject = fields.String()
    kind = fields.Enum(PrincipalKind, by_value=True)
    id = fields.Integer()
    name = fields.String()


class GrantingLineOut(Output):
    """A line that grants it, and where it stands."""

    line = fields.String()
    origin = fields.String()


class WayOut(Output):
    """One reason: what principals have or are (`role:viewer`, `rule:3`, `kind:node`, `user:7`)."""

    held = fields.String()
    name = fields.String()
    lines = fields.Nested(GrantingLineOut, many=True)
    principals = fields.Nested(SomebodyOut, many=True)


class WhoCanOut(Output):
    """Everybody who may. Who may for several reasons is in several `ways` and counted once."""

    operation = fields.Enum(Operation, by_value=True)
    resource = fields.Enum(Resource, by_value=True)
    thing = fields.String()
    policy = fields.String()
    at = Timestamp()
    users = fields.Integer()
    nodes = fields.Integer()
    containers = fields.Integer()
    ways = fields.Nested(WayOut, many=True)


class LimitedOut(Output):
    """A line that allows under a condition, or that forbids."""

    line = fields.String()
    origin = fields.String()
    scope = fields.Enum(Scope, by_value=True)
    condition = fields.String()


class ReachOut(Output):
    """How far somebody may do something: widest scopes without and under conditions, denials."""

    resource = fields.Enum(Resource, by_value=True)
    operation = fields.Enum(Operation, by_value=True)
    scope = fields.Enum(Scope, by_value=True, allow_none=True)
    conditional_scope = fields.Enum(Scope, by_value=True, allow_none=True)
    forbidden = fields.Boolean(metadata=_said("Whether a denial matches every row"))
    conditional = fields.Nested(LimitedOut, many=True)
    denials = fields.Nested(LimitedOut, many=True)


class RowsOut(Output):
    """The first rows, and how many there are."""

    ids = fields.List(fields.Integer())
    total = fields.Integer()


class AbilityOut(Output):
    """What somebody may do with a resource. `rows` is null when they were not asked for."""

    reach = fields.Nested(ReachOut)
    rows = fields.Nested(RowsOut, allow_none=True)


class WhatCanOut(Output):
    """All that somebody may do. What no line speaks of is left out."""

    principal = fields.String()
    name = fields.String()
    inherits = fields.List(fields.String())
    policy = fields.String()
    at = Timestamp()
    abilities = fields.Nested(AbilityOut, many=True)


class HolderOut(Output):
    """A role or a kind of principal."""

    subject = fields.String()
    name = fields.String()
    organization_id = fields.Integer(allow_none=True)
    inherits = fields.List(fields.String())


class MatrixRowOut(Output):
    """What one role grants by itself."""

    holder = fields.Nested(HolderOut)
    cells = fields.Nested(ReachOut, many=True)


class MatrixOut(Output):
    """What each role grants."""

    policy = fields.String()
    roles = fields.Nested(MatrixRowOut, many=True)
