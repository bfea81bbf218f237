"""Bodies, queries and answers of `/user` (rest.md 3.8)."""

from typing import Any

from marshmallow import fields

from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.wire.base import Changes, Input, NumberFilter, Output, Text, Timestamp, id_field, ruled
from v6srv.wire.credentials import Credential
from v6srv.wire.links import Links, Numbers, ToMany, ToOne, links


class Ids(fields.List):
    """Ids of rows; a single id is taken for a list of one (rest.md 1.5)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(id_field(), **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, (int, str)):
            value = [value]
        return super()._deserialize(value, attr, data, **kwargs)


class Rules(ToMany):
    """Dump `[id, resource, scope, operation]` of rules as links to those that 3.x knows."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Links | None:
        rules = ((id, ":".join(words).lower()) for id, *words in value or ())
        return links("rule", [id for id, text in rules if text in KNOWN_TO_3])


class UserIn(Input):
    """A new account. Without an organization it is one of the caller's."""

    username = ruled("user", "username", required=True)
    firstname = ruled("user", "firstname", required=True)
    lastname = ruled("user", "lastname", required=True)
    password = Credential(required=True)
    email = ruled("user", "email", required=True)
    organization_id = id_field(allow_none=True)
    roles = Ids(allow_none=True)
    rules = Ids(allow_none=True)


class UserPatch(Changes):
    """The fields to change. `roles` and `rules` replace the whole set."""

    username = Text()
    firstname = Text()
    lastname = Text()
    email = Text()
    password = fields.Raw()
    """Refused: `/password/change` is for that."""
    roles = Ids()
    rules = Ids()


class UserQuery(Input):
    """Filters of the list; names are matched with the wildcards `%` and `_`."""

    username = Text()
    firstname = Text()
    lastname = Text()
    email = Text()
    organization_id = NumberFilter()
    role_id = NumberFilter()
    rule_id = NumberFilter()
    last_seen_from = Timestamp()
    last_seen_till = Timestamp()


class UserOut(Output):
    """A user. `rules` are extra rules, outside of any role."""

    id = fields.Integer()
    username = fields.String(allow_none=True)
    firstname = fields.String(allow_none=True)
    lastname = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    type = fields.String()
    status = fields.String(allow_none=True)
    ip = fields.String(allow_none=True)
    last_seen = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    roles = ToMany("role", attribute="role_ids")
    rules = Rules("rule", attribute="rule_rows")
    created_tasks = Numbers(attribute="created_task_ids")
