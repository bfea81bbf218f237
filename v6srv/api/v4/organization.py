"""/organization: GET list, POST, and GET, PATCH, DELETE by id."""

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.service import lists, organizations
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Dependents, MessageOut
from v6srv.wire.organization import OrganizationPatch
from v6srv.wire.v4.organization import (
    OrganizationIn,
    OrganizationOut,
    OrganizationQuery,
)

blp = Blueprint("organization", __name__, description="Organizations")
ORGANIZATION, VIEW = Resource.ORGANIZATION, Operation.VIEW


@blp.route("/organization")
class Organizations(MethodView):
    @guard.rows(ORGANIZATION, VIEW)
    @blp.arguments(OrganizationQuery, location="query")
    # Nodes of 4.x look up by name who may start tasks at them, and walk over the answer as a list.
    @paged(OrganizationOut, dialect=4, bare_to=guard.NODES)
    def get(self, query, who, authz, rows):
        """List the organizations you may view."""
        lists.require_view(who, authz, Resource.COLLABORATION, query.get("collaboration_id"))
        lists.require_view(who, authz, Resource.STUDY, query.get("study_id"))
        return rows.where(*filters.conditions(filters.ORGANIZATION, query))

    @guard.creates(ORGANIZATION)
    @blp.arguments(OrganizationIn)
    @blp.response(201, OrganizationOut)
    def post(self, fields):
        """Add an organization, with a name that no other has."""
        return organizations.create(fields, strict=True)


@blp.route("/organization/<int:id>")
class Organization(MethodView):
    @guard.one(ORGANIZATION, VIEW)
    @blp.response(200, OrganizationOut)
    def get(self, row):
        """One organization."""
        return row

    @guard.edits(ORGANIZATION)
    @blp.arguments(OrganizationPatch)
    @blp.response(200, OrganizationOut)
    def patch(self, changes, row):
        """Change the fields given; the rest stay. A node changes the public key only."""
        return organizations.change(row, changes, strict=True)

    @guard.deletes(ORGANIZATION)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove an organization.

        One that has tasks, results, nodes, users or roles only with `delete_dependents`.
        """
        with dependents.told_to_4():
            organizations.remove(who, authz, row, with_dependents=query["delete_dependents"])
        return {"msg": f"organization id={row.id} successfully deleted"}
