"""/user: GET list, POST, and GET, PATCH, DELETE by id."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.new_password import sealed_password
from v6srv.api.paging import paged
from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.service import users
from v6srv.vocabulary import Operation, Resource, Scope
from v6srv.wire.base import MessageOut
from v6srv.wire.user import UserPatch, UserQuery
from v6srv.wire.v3.user import UserIn, UserOut

blp = Blueprint("user", __name__, description="Users")
USER, VIEW = Resource.USER, Operation.VIEW


@blp.route("/user")
class Users(MethodView):
    @guard.rows(USER, VIEW, min_scope=Scope.ORGANIZATION)
    @blp.arguments(UserQuery, location="query")
    @paged(UserOut)
    def get(self, query, rows):
        """List the users you may view."""
        return rows.where(*filters.conditions(filters.USER, query))

    @guard.creates(USER, beforehand=sealed_password)
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
