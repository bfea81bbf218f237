"""Bodies, queries and answers of `/user` (rest.md 3.8)."""

from typing import Any

from marshmallow import fields

from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.wire.base import Ids, Input, Output, Timestamp, id_field, ruled
from v6srv.wire.credentials import Credential
from v6srv.wire.links import Links, Numbers, ToMany, ToOne, links


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
