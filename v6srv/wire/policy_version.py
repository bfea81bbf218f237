"""Answers of `/policy` and `/policy/version`: what is live, and what was."""

from marshmallow import fields

from v6srv.wire.base import Output, Timestamp


class ProblemOut(Output):
    """Something that is wrong with a policy."""

    origin = fields.String(
        required=True, metadata={"description": "`file:line:column`, or a row of the database"}
    )
    code = fields.String(required=True, metadata={"description": "Of what kind it is"})
    message = fields.String(required=True)


class CandidateOut(Output):
    """The policy that runs in shadow."""

    version = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "null: it is not valid and is not asked"},
    )
    problems = fields.List(fields.Nested(ProblemOut), required=True)
    disagreements = fields.Integer(
        required=True,
        metadata={"description": "Decisions of this process that it would have made otherwise"},
    )


class PolicyOut(Output):
    """The live policy of this process."""

    version = fields.String(
        required=True, metadata={"description": "Hash of the model and of all lines"}
    )
    revision = fields.Integer(
        required=True, metadata={"description": "Number of the last change in the database"}
    )
    lines = fields.Integer(required=True)
    problems = fields.List(
        fields.Nested(ProblemOut),
        required=True,
        metadata={"description": "Why the newest version is not live; empty when it is"},
    )
    shadow = fields.Nested(CandidateOut, required=True, allow_none=True)


class VersionOut(Output):
    """A version of the policy files that was live."""

    id = fields.Integer(required=True)
    created_at = Timestamp(required=True)
    author = fields.String(required=True)
    message = fields.String(required=True)
    digest = fields.String(
        required=True, metadata={"description": "SHA-256 over the names and texts of the files"}
    )


class VersionSummaryOut(VersionOut):
    """A version of the policy files that was live, without the files."""

    intact = fields.Boolean(
        required=True,
        metadata={"description": "false: the row was changed after it was recorded"},
    )


class PolicyVersionOut(VersionOut):
    """A version of the policy files that was live."""

    files = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Text of each file by its path"},
    )
