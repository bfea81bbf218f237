"""/organization: GET list, POST, GET and PATCH by id, and what belongs to an organization."""

from flask.views import MethodView
from sqlalchemy import select

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Collaboration, Member, Node
from v6srv.model import Organization as Row
from v6srv.service import lists, organizations
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.organization import OrganizationPatch, OrganizationQuery
from v6srv.wire.v3.collaboration import CollaborationOut
from v6srv.wire.v3.node import NodeOut
from v6srv.wire.v3.organization import OrganizationIn, OrganizationOut

blp = Blueprint("organization", __name__, description="Organizations")
ORGANIZATION, VIEW = Resource.ORGANIZATION, Operation.VIEW


@blp.route("/organization")
class Organizations(MethodView):
    @guard.rows(ORGANIZATION, VIEW)
    @blp.arguments(OrganizationQuery, location="query")
    @paged(OrganizationOut)
    def get(self, query, who, authz, rows):
        """List the organizations you may view."""
        seen = lists.seen(who, authz, Resource.COLLABORATION, query.get("collaboration_id"))
        return rows.where(seen, *filters.conditions(filters.ORGANIZATION, query))

    @guard.creates(ORGANIZATION)
    @blp.arguments(OrganizationIn)
    @blp.response(201, OrganizationOut)
    def post(self, fields):
        """Add an organization."""
        return organizations.create(fields)


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
        return organizations.change(row, changes)


@blp.route("/organization/<int:id>/collaboration")
class OrganizationCollaborations(MethodView):
    @guard.rows_of(Resource.COLLABORATION, on=Row, closed_to=guard.CONTAINERS)
    @blp.response(200, CollaborationOut(many=True))
    def get(self, row, rows):
        """List the collaborations of an organization, all at once."""
        member = select(Member.c.collaboration_id).where(Member.c.organization_id == row.id)
        return rows.where(Collaboration.id.in_(member)).read()


@blp.route("/organization/<int:id>/node")
class OrganizationNodes(MethodView):
    @guard.rows_of(Resource.NODE, on=Row, closed_to=guard.CONTAINERS)
    @blp.response(200, NodeOut(many=True))
    def get(self, row, rows):
        """List the nodes of an organization, all at once."""
        return rows.where(Node.organization_id == row.id).read()
