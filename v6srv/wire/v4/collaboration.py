"""Bodies, queries and answers of `/collaboration` (rest.md 2 and 3.3 of 4.x)."""

from typing import Any

from marshmallow import ValidationError, fields, validate

from v6srv.wire import collaboration
from v6srv.wire.base import Changes, Flag, Ids, Input, NumberFilter, Output, Text
from v6srv.wire.collaboration import MAX_MEMBERS
from v6srv.wire.v4.base import ListUrl, Name
from v6srv.wire.v4.organization import OrganizationOut


class Members(Ids):
    """Ids of organizations, each once."""

    def __init__(self, least: int, **kwargs: Any) -> None:
        super().__init__(validate=[validate.Length(least, MAX_MEMBERS), _each_once], **kwargs)


def _each_once(ids: list[int]) -> None:
    if len({*ids}) < len(ids):
        raise ValidationError("Must not have the same id twice.")


class CollaborationIn(Changes):
    """A new collaboration."""

    name = Name(required=True)
    organization_ids = Members(1, required=True)
    encrypted = Flag(required=True)


class CollaborationPatch(Changes):
    """The fields to change. `organization_ids` replaces all members."""

    name = Text()
    organization_ids = Members(0)
    encrypted = Flag()


class OrganizationsInclude(Input):
    """What to embed."""

    include = fields.List(
        Text(), metadata={"description": "`organizations`: the members, not where they are listed"}
    )


class CollaborationQuery(OrganizationsInclude, collaboration.CollaborationQuery):
    """As in 3.x, and by algorithm store."""

    algorithm_store_id = NumberFilter()


class CollaborationOut(Output):
    """A collaboration."""

    id = fields.Integer(required=True)
    name = fields.String(allow_none=True)
    encrypted = fields.Boolean(allow_none=True)
    organizations: fields.Field[Any] = ListUrl("organization", "collaboration_id")
    nodes = ListUrl("node", "collaboration_id")
    tasks = ListUrl("task", "collaboration_id")
    studies = ListUrl("study", "collaboration_id")
    algorithm_stores = ListUrl("algorithmstore", "collaboration_id")


class CollaborationWithOrganizationsOut(CollaborationOut):
    """A collaboration with its members."""

    organizations = fields.List(fields.Nested(OrganizationOut))
