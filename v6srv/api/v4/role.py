"""/role: GET list, POST, GET, PATCH, DELETE by id, and changes of the rules of a role."""

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.dialect.rule_names import KNOWN_TO_4
from v6srv.model import Collaboration, Organization
from v6srv.service import lists, roles
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Dependents, MessageOut
from v6srv.wire.v4.role import RoleIn, RoleOut, RolePatch, RoleQuery
from v6srv.wire.v4.rule import RuleOut

blp = Blueprint("role", __name__, description="Roles")
ROLE, VIEW = Resource.ROLE, Operation.VIEW


@blp.route("/role")
class Roles(MethodView):
    @guard.rows(ROLE, VIEW)
    @blp.arguments(RoleQuery, location="query")
    @paged(RoleOut, dialect=4)
    def get(self, query, who, authz, rows):
        """List the roles you may view; your own are always among them."""
        for id in query.get("organization_id", ()):
            lists.require_view(who, authz, ROLE, id, Organization)
        lists.require_view(who, authz, ROLE, query.get("collaboration_id"), Collaboration)
        seen = lists.seen(who, authz, Resource.USER, query.get("user_id"))
        return rows.where(seen, *filters.of_roles(query))

    @guard.creates(ROLE)
    @blp.arguments(RoleIn)
    @blp.response(201, RoleOut)
    def post(self, fields, who, authz):
        """Add a role of an organization, with rules that you hold, or that yours cover."""
        return roles.create(who, authz, fields, KNOWN_TO_4)


@blp.route("/role/<int:id>")
class Role(MethodView):
    @guard.one(ROLE, VIEW)
    @blp.response(200, RoleOut)
    def get(self, row):
        """One role."""
        return row

    @guard.edits(ROLE)
    @blp.arguments(RolePatch)
    @blp.response(200, RoleOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay. Default roles cannot be changed."""
        return roles.change(who, authz, row, changes, KNOWN_TO_4, strict=True)

    @guard.deletes(ROLE)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove a role. One that users have only with `delete_dependents`: they lose it.

        Default roles cannot be removed.
        """
        with dependents.told_to_4("they lose it"):
            roles.remove(who, authz, row, unless_held=not query["delete_dependents"])
        return {"msg": f"role id={row.id} successfully deleted"}


@blp.route("/role/<int:id>/rule/<int:rule_id>")
class RoleRuleById(MethodView):
    @guard.edits(ROLE)
    @blp.response(201, RuleOut(many=True))
    def post(self, rule_id, who, authz, row):
        """Put a rule that you hold into a role. Answers with all rules of the role."""
        roles.add_rule(who, authz, row, rule_id, KNOWN_TO_4)
        return roles.rules_in(who, authz, row.id, KNOWN_TO_4).read(fresh=True)

    @guard.edits(ROLE)
    @blp.response(200, RuleOut(many=True))
    def delete(self, rule_id, who, authz, row):
        """Take a rule that you hold out of a role. Answers with the rules that are left."""
        roles.remove_rule(who, authz, row, rule_id, KNOWN_TO_4, Operation.EDIT)
        return roles.rules_in(who, authz, row.id, KNOWN_TO_4).read(fresh=True)
