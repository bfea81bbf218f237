"""Bodies, queries and answers of `/collaboration` (rest.md 3.5)."""

from marshmallow import fields, validate

from v6srv.wire.base import Changes, Flag, Ids, Output, Text, ruled
from v6srv.wire.collaboration import MAX_MEMBERS
from v6srv.wire.links import ToMany


class CollaborationIn(Changes):
    """A new collaboration, not encrypted unless told."""

    name = ruled("collaboration", "name", required=True)
    organization_ids = Ids(required=True, validate=validate.Length(1, MAX_MEMBERS))
    encrypted = Flag(load_default=False)


class CollaborationPatch(Changes):
    """The fields to change. `organization_ids` replaces all members."""

    name = Text()
    organization_ids = Ids(validate=validate.Length(max=MAX_MEMBERS))
    encrypted = Flag()


class CollaborationOut(Output):
    """A collaboration."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    encrypted = fields.Boolean(allow_none=True)
    organizations = ToMany("organization", attribute="organization_ids")
    nodes = ToMany("node", attribute="node_ids")
    tasks = ToMany("task", attribute="task_ids")
