"""/console/organization: who takes part."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.authz.offers import Offers
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.tables import table
from v6srv.service import organizations
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Dependents
from v6srv.wire.organization import OrganizationPatch, OrganizationQuery
from v6srv.wire.v4.organization import OrganizationIn

ORGANIZATION = Resource.ORGANIZATION


@blp.route("/organization")
class Organizations(MethodView):
    @guard.rows(ORGANIZATION)
    @arguments(OrganizationQuery, location="query")
    @page("organizations.html")
    def get(self, query, rows):
        """The organizations you may view."""
        found = rows.where(*filters.conditions(filters.ORGANIZATION, _containing(query)))
        return {"table": table(found), "query": query}


@blp.route("/organization/new")
class NewOrganization(MethodView):
    @guard.some(ORGANIZATION, Operation.CREATE)
    @page("organization_form.html")
    def get(self):
        """The form for one more."""
        return {"row": None}

    @guard.creates(ORGANIZATION)
    @arguments(OrganizationIn)
    @page()
    def post(self, fields):
        """Add it."""
        row = organizations.create(fields, strict=True)
        return done(f"{row.name} has been added.", "organization", row)


@blp.route("/organization/<int:id>")
class Organization(MethodView):
    @guard.one(ORGANIZATION)
    @page("organization.html")
    def get(self, row, who, authz):
        """One organization, with what may be seen of what belongs to it."""
        may = Offers(authz.store, who)
        return {
            "row": row,
            "edits": may.among(Operation.EDIT, [row]),
            "deletes": may.among(Operation.DELETE, [row]),
            "collaborations": may.names(Resource.COLLABORATION, row.collaboration_ids),
        }


@blp.route("/organization/<int:id>/edit")
class OrganizationEdit(MethodView):
    @guard.one(ORGANIZATION, Operation.EDIT, changes=None)
    @page("organization_form.html")
    def get(self, row):
        """The form with what it has."""
        return {"row": row}

    @guard.edits(ORGANIZATION)
    @arguments(OrganizationPatch)
    @page()
    def post(self, changes, row):
        """Change it."""
        organizations.change(row, changes, strict=True)
        return done(f"{row.name} has been changed.", "organization", row)


@blp.route("/organization/<int:id>/delete")
class OrganizationDeletion(MethodView):
    @guard.one(ORGANIZATION, Operation.DELETE)
    @page("organization_deletion.html")
    def get(self, row):
        """What goes with it, and the button."""
        return {"row": row}

    @guard.deletes(ORGANIZATION)
    @arguments(Dependents)
    @page()
    def post(self, form, who, authz, row):
        """Remove it."""
        name = row.name
        organizations.remove(who, authz, row, with_dependents=form["delete_dependents"])
        return done(f"{name} has been removed.", "organizations")


def _containing(query):
    """A name that is typed into the form is a part of one."""
    return query | {"name": f"%{query['name']}%"} if query.get("name") else query
