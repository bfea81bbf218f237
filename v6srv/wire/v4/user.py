"""Bodies, queries and answers of `/user` (rest.md 2 and 3.9 of 4.x)."""

from functools import partial
from typing import Any

from marshmallow import ValidationError, fields, missing

from v6srv import names, passwords
from v6srv.wire import user
from v6srv.wire.base import (
    Changes,
    Flag,
    Ids,
    Input,
    NumberFilter,
    Output,
    Text,
    id_field,
    require,
    ruled,
)
from v6srv.wire.credentials import Credential
from v6srv.wire.v4.base import ListUrl, Timestamp, ToOne


def _require_password(text: str) -> None:
    problem = passwords.password_problem(text)
    if problem is not None:
        raise ValidationError(problem)


class UserIn(Changes):
    """A new account. Without an organization it is one of the caller's."""

    username = Text(required=True, validate=partial(require, names.username))
    firstname = ruled("user", "firstname", load_default="")
    lastname = ruled("user", "lastname", load_default="")
    password = Credential(required=True, validate=_require_password)
    email = ruled("user", "email", required=True)
    organization_id = id_field()
    roles = Ids()
    rules = Ids()


class UserQuery(user.UserQuery):
    """As in 3.x, and by collaboration."""

    collaboration_id = NumberFilter()


class UserInclude(Input):
    """What to show of one user besides."""

    include_permissions = Flag(load_default=False)


class UserOut(Output):
    """A user. `rules` lists what it may do, through its roles and by itself."""

    id = fields.Integer(required=True)
    type = fields.String()
    username = fields.String(allow_none=True)
    firstname = fields.String(allow_none=True)
    lastname = fields.String(allow_none=True)
    email = fields.String(allow_none=True)
    status = fields.String(allow_none=True)
    ip = fields.String(allow_none=True)
    last_seen = Timestamp(allow_none=True)
    organization = ToOne("organization", attribute="organization_id")
    roles = ListUrl("role", "user_id")
    rules = ListUrl("rule", "user_id")


class PermissionsOut(Output):
    """Ids: of the roles of a user, of all rules that it has, of those it works together with."""

    roles = fields.List(fields.Integer())
    rules = fields.List(fields.Integer())
    orgs_in_collabs = fields.List(fields.Integer())


class UserWithPermissionsOut(UserOut):
    """A user; `permissions` only when asked for. Dumps `{"user"[, "permissions"]}`."""

    permissions = fields.Nested(PermissionsOut)

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """The permissions from the outside, everything else from the user."""
        if attr == "permissions":
            return obj.get(attr, missing)
        return getattr(obj["user"], attr, default)
