"""The answer of `/policy/decision/{id}`."""

from marshmallow import fields

from v6srv.wire.base import Output


class PrincipalThenOut(Output):
    """Who asked, as it was then."""

    id = fields.String(required=True, metadata={"description": "`user:7`, `node:3`, `container:9`"})
    kind = fields.String(required=True)
    account = fields.Integer(required=True)
    org = fields.Integer(required=True, allow_none=True)
    collabs = fields.List(fields.Integer(), required=True)
    roles = fields.List(fields.String(), required=True)
    task = fields.Integer(allow_none=True, metadata={"description": "Containers only"})
    run = fields.Integer(allow_none=True, metadata={"description": "Containers only"})
    image = fields.String(allow_none=True, metadata={"description": "Containers only"})


class LoggedDecisionOut(Output):
    """A record of the decision log. What says nothing is absent."""

    id = fields.String(required=True)
    seq = fields.Integer(required=True, metadata={"description": "Its number in the log"})
    time = fields.String(required=True, metadata={"description": "ISO 8601, UTC, milliseconds"})
    question = fields.String(
        required=True,
        metadata={
            "description": "row, rows (a list), any, whole, thing (a room), hand_out, caller"
            " (whether this is open to such callers at all) or session (whether it goes on with a"
            " refresh token)"
        },
    )
    principal = fields.Nested(PrincipalThenOut, required=True)
    resource = fields.String(required=True)
    operation = fields.String(required=True)
    table = fields.String(metadata={"description": "The table of the row"})
    row = fields.Raw(metadata={"description": "Id of the row, whether or not there was one"})
    prospective = fields.Boolean(
        metadata={"description": "The row was decided as it would stand after the change"}
    )
    facts = fields.Dict(metadata={"description": "Of a room"})
    min_scope = fields.String()
    lenient = fields.Boolean(
        metadata={"description": "Facts that the table does not have were left out"}
    )
    changes = fields.List(
        fields.String(), metadata={"description": "Names of the fields that were to be changed"}
    )
    unknown_changes = fields.Boolean(
        metadata={"description": "It was asked before it was known what is to be changed"}
    )
    early = fields.Boolean(
        metadata={"description": "It was asked for what the body wants to change, before all else"}
    )
    covered = fields.Boolean(
        metadata={"description": "Another decision allows it; only denials were asked for"}
    )
    rules = fields.List(
        fields.List(fields.String()),
        metadata={"description": "Of hand_out: resource, scope and operation of each rule"},
    )
    callers = fields.List(
        fields.String(), metadata={"description": "Of caller: the kinds that it is open to"}
    )
    effect = fields.String(required=True, metadata={"description": "allow or deny"})
    lines = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "Where the lines stand that allowed, or that denied; none: nothing"
            " allowed"
        },
    )
    reason = fields.String(required=True)
    policy = fields.String(required=True, metadata={"description": "Version of the policy"})
    request_id = fields.String(
        metadata={"description": "The request, or the socket, that it was made for"}
    )
    latency_us = fields.Integer(required=True, metadata={"description": "Microseconds it took"})
