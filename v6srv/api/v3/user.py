"""/user: GET list, POST, and GET, PATCH, DELETE by id."""

from flask import request
from flask.views import MethodView

from v6srv import passwords
from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.model import Permission, UserPermission
from v6srv.model import User as Row
from v6srv.service import users
from v6srv.vocabulary import Operation, Resource, Scope
from v6srv.wire.base import MessageOut
from v6srv.wire.v3.user import UserIn, UserOut, UserPatch, UserQuery

blp = Blueprint("user", __name__, description="Users")
USER, VIEW = Resource.USER, Operation.VIEW

_FILTERS = {
    "username": Row.username.like,
    "firstname": Row.firstname.like,
    "lastname": Row.lastname.like,
    "email": Row.email.like,
    "organization_id": lambda id: Row.organization_id == id,
    "role_id": lambda id: Row.roles.any(Permission.c.role_id == id),
    "rule_id": lambda id: Row.rules.any(UserPermission.c.rule_id == id),
    "last_seen_from": lambda time: Row.last_seen >= time,
    "last_seen_till": lambda time: Row.last_seen <= time,
}


def _sealed():
    """The hash of the password in the body; None of one that breaks a rule, which is said later."""
    body = request.get_json(silent=True)
    text = body.get("password") if isinstance(body, dict) else None
    fits = isinstance(text, str) and passwords.password_problem(text) is None
    return {"sealed": passwords.seal(text) if fits else None}


@blp.route("/user")
class Users(MethodView):
    @guard.rows(USER, VIEW, min_scope=Scope.ORGANIZATION)
    @blp.arguments(UserQuery, location="query")
    @paged(UserOut)
    def get(self, query, rows):
        """List the users you may view."""
        return rows.where(*(_FILTERS[name](value) for name, value in query.items()))

    @guard.creates(USER, beforehand=_sealed)
    @blp.arguments(UserIn)
    @blp.response(201, UserOut)
    def post(self, fields, who, authz, sealed):
        """Add a user. You can hand out only roles and rules that you hold yourself."""
        return users.create(who, authz, fields, sealed, KNOWN_TO_3)


@blp.route("/user/<int:id>")
class User(MethodView):
    @guard.one(USER, VIEW)
    @blp.response(200, UserOut)
    def get(self, row):
        """One user."""
        return row

    @guard.edits(USER)
    @blp.arguments(UserPatch)
    @blp.response(200, UserOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay. Nobody changes the own roles and rules."""
        return users.change(who, authz, row, changes, KNOWN_TO_3)

    @guard.deletes(USER)
    @blp.response(200, MessageOut)
    def delete(self, who, authz, row):
        """Remove a user. The tasks stay."""
        users.remove(who, authz, row)
        return {"msg": f"user id={row.id} successfully deleted"}
