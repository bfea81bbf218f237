"""Bodies, queries and answers of `/study` (rest.md 2 and 3.4 of 4.x)."""

from typing import Any

from marshmallow import fields

from v6srv.wire.base import Changes, NumberFilter, Output, Text, id_field
from v6srv.wire.v4.base import ListUrl, Name, ToOne
from v6srv.wire.v4.collaboration import Members, OrganizationsInclude
from v6srv.wire.v4.organization import OrganizationOut


class StudyIn(Changes):
    """A new study."""

    name = Name(required=True)
    collaboration_id = id_field(required=True)
    organization_ids = Members(1, required=True)


class StudyPatch(Changes):
    """The fields to change. `organization_ids` replaces all members."""

    name = Text()
    organization_ids = Members(0)


class StudyQuery(OrganizationsInclude):
    """Filters of the list; `name` is matched with the wildcards `%` and `_`."""

    name = Text()
    organization_id = NumberFilter()
    collaboration_id = NumberFilter()


class StudyOut(Output):
    """A study."""

    id = fields.Integer(required=True)
    name = fields.String()
    collaboration = ToOne("collaboration", attribute="collaboration_id")
    organizations: fields.Field[Any] = ListUrl("organization", "study_id")
    tasks = ListUrl("task", "study_id")


class StudyWithOrganizationsOut(StudyOut):
    """A study with its members."""

    organizations = fields.List(fields.Nested(OrganizationOut))
