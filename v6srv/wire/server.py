"""Answers of `/version` and `/health` (rest.md 3.1), and of what is below `/health`."""

from marshmallow import fields

from v6srv.wire.base import Output


class VersionOut(Output):
    """The release of the contract that this server speaks."""

    version = fields.String(required=True)


class HealthOut(Output):
    """Whether the server can do its work."""

    database = fields.Boolean(required=True)
    problems = fields.List(
        fields.String(),
        metadata={
            "description": "What an admin should look at although requests are answered, such as a"
            " version of the policy that could not go live, with file and line; the texts are in"
            " the log and in `/policy`. Absent when there is nothing."
        },
    )


class ReadyOut(Output):
    """Whether requests should be sent to this process."""

    ready = fields.Boolean(required=True)
    reasons = fields.List(
        fields.String(), required=True, metadata={"description": "Why not; empty when ready"}
    )


class LiveOut(Output):
    """That the process answers."""

    live = fields.Boolean(required=True)
