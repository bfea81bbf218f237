"""/collaboration: GET list, POST, GET, PATCH, DELETE by id, and its members and nodes."""

from functools import partial

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.including import included
from v6srv.api.paging import paged
from v6srv.model import Organization
from v6srv.service import collaborations, lists
from v6srv.vocabulary import Operation, Resource, Scope
from v6srv.wire.base import Dependents, MessageOut, Named
from v6srv.wire.v4.collaboration import (
    CollaborationIn,
    CollaborationOut,
    CollaborationPatch,
    CollaborationQuery,
    CollaborationWithOrganizationsOut,
    OrganizationsInclude,
)
from v6srv.wire.v4.node import NodeInCollaborationOut
from v6srv.wire.v4.organization import OrganizationOut

blp = Blueprint("collaboration", __name__, description="Collaborations")
COLLABORATION, VIEW = Resource.COLLABORATION, Operation.VIEW
ORGANIZATIONS = "organizations"
_MEMBERS, _NODES = frozenset({"organization_ids"}), frozenset({"node_ids"})
_VARIANTS = {ORGANIZATIONS: CollaborationWithOrganizationsOut}


@blp.route("/collaboration")
class Collaborations(MethodView):
    @guard.rows(COLLABORATION, VIEW, closed_to=guard.CONTAINERS)
    @blp.arguments(CollaborationQuery, location="query")
    @paged(CollaborationOut, variants=_VARIANTS, dialect=4)
    def get(self, query, who, authz, rows):
        """List the collaborations you may view.

        With `organization_id`, only if you may view the collaborations of that organization.
        """
        query.pop("include", None)
        lists.require_view(who, authz, COLLABORATION, query.get("organization_id"), Organization)
        if "algorithm_store_id" in query:
            collaborations.require_view_of_store(who, authz, query["algorithm_store_id"])
        if ORGANIZATIONS in included():
            rows = rows.then(partial(lists.load_organizations, who, authz))
        return rows.where(*filters.conditions(filters.COLLABORATION, query))

    @guard.creates(COLLABORATION)
    @blp.arguments(CollaborationIn)
    @blp.response(200, CollaborationOut)
    def post(self, fields):
        """Add a collaboration, with a name that no other has."""
        return collaborations.create(fields)


@blp.route("/collaboration/<int:id>")
class Collaboration(MethodView):
    @guard.one(COLLABORATION, VIEW)
    @blp.arguments(OrganizationsInclude, location="query")
    @blp.embedding(CollaborationOut, _VARIANTS)
    def get(self, query, who, authz, row):
        """One collaboration."""
        if ORGANIZATIONS in included():
            lists.load_organizations(who, authz, [row])
        return row

    @guard.edits(COLLABORATION)
    @blp.arguments(CollaborationPatch)
    @blp.response(200, CollaborationOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay.

        All members at once are changed only by who may edit every collaboration.
        """
        if _MEMBERS & changes.keys():
            edit = who, COLLABORATION, Operation.EDIT, row.id
            authz.fetch(*edit, min_scope=Scope.GLOBAL, changes=_MEMBERS)
        return collaborations.change(who, authz, row, changes, strict=True)

    @guard.deletes(COLLABORATION)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove a collaboration.

        One that has tasks, nodes or studies only with `delete_dependents`.
        """
        with dependents.told_to_4():
            collaborations.delete(who, authz, row, with_dependents=query["delete_dependents"])
        return {"msg": f"collaboration id={row.id} successfully deleted"}


@blp.route("/collaboration/<int:id>/organization")
class CollaborationMembers(MethodView):
    @guard.edits(COLLABORATION, changes=_MEMBERS)
    @blp.arguments(Named)
    @blp.response(200, OrganizationOut(many=True))
    def post(self, organization, who, authz, row):
        """Add a member. Answers with all members."""
        collaborations.add_member(who, authz, row, organization["id"])
        return collaborations.members(who, authz, row).read(fresh=True)

    @guard.edits(COLLABORATION, changes=_MEMBERS)
    @blp.arguments(Named)
    @blp.response(200, OrganizationOut(many=True))
    def delete(self, organization, who, authz, row):
        """Take a member out, and its node with it. Answers with the members that are left."""
        collaborations.remove_member(who, authz, row, organization["id"])
        return collaborations.members(who, authz, row).read(fresh=True)


@blp.route("/collaboration/<int:id>/node")
class CollaborationNodes(MethodView):
    @guard.one(COLLABORATION, Operation.EDIT, changes=_NODES)
    @blp.arguments(Named)
    @blp.response(201, NodeInCollaborationOut(many=True))
    def post(self, node, who, authz, row):
        """Move a node of a member here. Answers with all nodes.

        One that is in another collaboration, only if you may edit that one, too.
        """
        collaborations.add_node(who, authz, row, node["id"])
        return collaborations.nodes_in(who, authz, row).read(fresh=True)

    @guard.one(COLLABORATION, Operation.EDIT, changes=_NODES)
    @blp.arguments(Named)
    @blp.response(200, MessageOut)
    def delete(self, node, who, authz, row):
        """Take a node out; it stays without a collaboration."""
        collaborations.remove_node(who, authz, row, node["id"])
        return {"msg": f"node id={node['id']} removed from collaboration id={row.id}"}
