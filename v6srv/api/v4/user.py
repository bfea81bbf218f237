"""/user: GET list, POST, and GET, PATCH, DELETE by id."""

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.new_password import sealed_password
from v6srv.api.paging import paged
from v6srv.dialect.rule_names import KNOWN_TO_4
from v6srv.model import Collaboration, Organization
from v6srv.service import lists, users
from v6srv.vocabulary import Operation, Resource, Scope
from v6srv.wire.base import Dependents, MessageOut
from v6srv.wire.user import UserPatch
from v6srv.wire.v4.user import (
    UserIn,
    UserInclude,
    UserOut,
    UserQuery,
    UserWithPermissionsOut,
)

blp = Blueprint("user", __name__, description="Users")
USER, VIEW = Resource.USER, Operation.VIEW


@blp.route("/user")
class Users(MethodView):
    @guard.some(USER, VIEW)
    @blp.arguments(UserQuery, location="query")
    @paged(UserOut, dialect=4)
    def get(self, query, who, authz):
        """List the users you may view; by your own name everybody finds the own account."""
        is_own = query.get("username") == who.name
        rows = authz.allowed_rows(who, USER, min_scope=None if is_own else Scope.ORGANIZATION)
        lists.require_view(who, authz, USER, query.get("organization_id"), Organization)
        lists.require_view(who, authz, USER, query.get("collaboration_id"), Collaboration)
        return rows.where(*filters.conditions(filters.USER, query))

    @guard.creates(USER, beforehand=sealed_password)
    @blp.arguments(UserIn)
    @blp.response(201, UserOut)
    def post(self, fields, who, authz, sealed):
        """Add a user. You can hand out only roles and rules that you hold, or that yours cover."""
        return users.create(who, authz, fields, sealed, KNOWN_TO_4)


@blp.route("/user/<int:id>")
class User(MethodView):
    @guard.one(USER, VIEW)
    @blp.arguments(UserInclude, location="query")
    @blp.response(200, UserWithPermissionsOut)
    def get(self, query, who, authz, row):
        """One user; with `include_permissions` also what it may do, as ids."""
        if not query["include_permissions"]:
            return {"user": row}
        return {"user": row, "permissions": users.permissions(who, authz, row, KNOWN_TO_4)}

    @guard.edits(USER)
    @blp.arguments(UserPatch)
    @blp.response(200, UserOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay. Nobody changes the own roles and rules."""
        return users.change(who, authz, row, changes, KNOWN_TO_4, strict=True)

    @guard.deletes(USER)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove a user. One that has started tasks only with `delete_dependents`."""
        with dependents.told_to_4():
            users.remove(who, authz, row, with_dependents=query["delete_dependents"])
        return {"msg": f"user id={row.id} successfully deleted"}
