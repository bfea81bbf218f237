"""/console/role: roles, what they grant, and for whom that changes."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.offers import DELETE, Offers, change
from v6srv.authz.principal import Principal
from v6srv.authz.source.live import store_of
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.consequences import consequences
from v6srv.console.matrix import KNOWN, OPERATIONS, matrix
from v6srv.console.tables import table
from v6srv.policy.diff.of_role import NEW, of_role
from v6srv.service import roles
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.v4.role import RoleIn, RolePatch, RoleQuery

ROLE = Resource.ROLE


@blp.route("/role")
class Roles(MethodView):
    @guard.rows(ROLE)
    @arguments(RoleQuery, location="query")
    @page("roles.html")
    def get(self, query, rows, may):
        """The roles you may view."""
        name = next(iter(query.get("name", ())), "")
        if name:
            query["name"] = [f"%{name}%"]
        found = table(rows.where(*filters.of_roles(query)))
        places = {row.organization_id for row in found.rows}
        return {
            "table": found,
            "name": name,
            "organizations": may.names(Resource.ORGANIZATION, places),
        }


@blp.route("/role/new")
class NewRole(MethodView):
    @guard.some(ROLE, Operation.CREATE)
    @page("role_form.html")
    def get(self, who, authz, may):
        """The form for one more."""
        return _form(may, who, authz, None, ())

    @guard.creates(ROLE)
    @arguments(RoleIn)
    @page()
    def post(self, fields, who, authz):
        """Add it."""
        row = roles.create(who, authz, fields, KNOWN)
        return done(f"{row.name} has been added.", "role", row)


@blp.route("/role/new/preview")
class NewRolePreview(MethodView):
    @guard.some(ROLE, Operation.CREATE, reads=True)
    @arguments(RoleIn)
    @page("role_preview.html")
    def post(self, fields, who, authz, may):
        """What whoever gets it may do."""
        return _preview(may, who, authz, None, fields)


@blp.route("/role/<int:id>")
class Role(MethodView):
    @guard.one(ROLE)
    @page("role.html")
    def get(self, row, who, authz, may):
        """One role: what it grants, and who has it."""
        can = may.acts(row, name=change("name"), rules=change("rules"), deletes=DELETE)
        return {
            "row": row,
            "edits": can["name"] or can["rules"],
            "deletes": can["deletes"],
            "organizations": may.names(Resource.ORGANIZATION, [row.organization_id]),
            "people": may.names(Resource.USER, row.user_ids or ()),
            "others": roles.has_others(row),
            "matrix": matrix(who, authz, [row.subject]),
            "operations": OPERATIONS,
        }


@blp.route("/role/<int:id>/copy")
class RoleCopy(MethodView):
    @guard.one(ROLE)
    @page("role_form.html")
    def get(self, row, who, authz, may):
        """The form for one more, with the rules of this one."""
        rules = [rule.id for rule in roles.rules_in(who, authz, row.id, KNOWN).read()]
        return _form(may, who, authz, None, rules) | {"copied": row}


@blp.route("/role/<int:id>/edit")
class RoleEdit(MethodView):
    @guard.one(ROLE, Operation.EDIT, changes=None)
    @page("role_form.html")
    def get(self, row, who, authz, may):
        """The form with what it has."""
        return _form(may, who, authz, row, None)

    @guard.edits(ROLE)
    @arguments(RolePatch)
    @page()
    def post(self, changes, who, authz, row):
        """Change it."""
        roles.change(who, authz, row, changes, KNOWN, strict=True)
        return done(f"{row.name} has been changed.", "role", row)


@blp.route("/role/<int:id>/preview")
class RolePreview(MethodView):
    @guard.one(ROLE, Operation.EDIT, changes=None, reads=True)
    @arguments(RolePatch)
    @page("role_preview.html")
    def post(self, changes, who, authz, row, may):
        """What changes, and for whom."""
        return _preview(may, who, authz, row, changes)


@blp.route("/role/<int:id>/delete")
class RoleDeletion(MethodView):
    @guard.one(ROLE, Operation.DELETE)
    @page("role_deletion.html")
    def get(self, row, authz, may):
        """Who loses what, and the button."""
        return {
            "row": row,
            "people": may.names(Resource.USER, row.user_ids or ()),
            "others": roles.has_others(row),
            "consequences": consequences(of_role(store_of(authz), row.id, ()), may),
        }

    @guard.deletes(ROLE)
    @page()
    def post(self, who, authz, row):
        """Remove it."""
        name = row.name
        roles.remove(who, authz, row)
        return done(f"{name} has been removed.", "roles")


def _form(may: Offers, who: Principal, authz: Authorizer, row, chosen):
    """The form of a role, or of a new one with the `chosen` rules."""
    fields = {"name", "rules"} if row is None else may.fields(row, "name", "rules")
    if not fields:
        authz.require(who, Operation.EDIT, row, frozenset({"name"}))
    return {
        "row": row,
        "fields": fields,
        "places": may.places(ROLE) if row is None else {},
        "matrix": matrix(who, authz, [row.subject] if row else (), chosen),
        "operations": OPERATIONS,
    }


def _preview(may: Offers, who: Principal, authz: Authorizer, row, fields):
    """What is shown before it is saved."""
    known = roles.rules(who, authz, KNOWN).read()
    wanted = fields.get("rules")
    rules = [rule for rule in known if wanted is not None and rule.id in wanted]
    diff = None
    if wanted is not None:
        diff = of_role(store_of(authz), row.id if row else NEW, [rule.id for rule in rules])
    return {
        "row": row,
        "fields": fields,
        "rules": rules,
        "consequences": consequences(diff, may) if diff else [],
    }
