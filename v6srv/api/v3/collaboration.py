"""/collaboration: GET list, POST, GET, PATCH, DELETE by id, its members, nodes and tasks."""

from contextlib import suppress

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.errors import NotFound
from v6srv.model import Collaboration as Row
from v6srv.model import Organization, Task
from v6srv.service import collaborations
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import NOBODY, Dependents, MessageOut, Named
from v6srv.wire.collaboration import CollaborationQuery
from v6srv.wire.v3.collaboration import CollaborationIn, CollaborationOut, CollaborationPatch
from v6srv.wire.v3.node import NodeInCollaborationOut
from v6srv.wire.v3.organization import OrganizationOut
from v6srv.wire.v3.task import TaskOut

blp = Blueprint("collaboration", __name__, description="Collaborations")
COLLABORATION, VIEW = Resource.COLLABORATION, Operation.VIEW
_MEMBERS, _NODES = frozenset({"organization_ids"}), frozenset({"node_ids"})


@blp.route("/collaboration")
class Collaborations(MethodView):
    @guard.rows(COLLABORATION, VIEW, closed_to=guard.CONTAINERS)
    @blp.arguments(CollaborationQuery, location="query")
    @paged(CollaborationOut)
    def get(self, query, who, authz, rows):
        """List the collaborations you may view.

        With `organization_id`, only if you may view the collaborations of that organization.
        """
        if query.get("organization_id", NOBODY) != NOBODY:
            with suppress(NotFound):  # then nothing is of it, as with any other filter
                authz.fetch(who, COLLABORATION, VIEW, query["organization_id"], Organization)
        return rows.where(*filters.conditions(filters.COLLABORATION, query))

    @guard.creates(COLLABORATION)
    @blp.arguments(CollaborationIn)
    @blp.response(200, CollaborationOut)
    def post(self, fields):
        """Add a collaboration."""
        return collaborations.create(fields)


@blp.route("/collaboration/<int:id>")
class Collaboration(MethodView):
    @guard.one(COLLABORATION, VIEW)
    @blp.response(200, CollaborationOut)
    def get(self, row):
        """One collaboration."""
        return row

    @guard.edits(COLLABORATION)
    @blp.arguments(CollaborationPatch)
    @blp.response(200, CollaborationOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay."""
        return collaborations.change(who, authz, row, changes)

    @guard.deletes(COLLABORATION)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove a collaboration.

        One that has tasks, nodes or studies of 4.x only with `delete_dependents`.
        """
        with dependents.told_to_3():
            collaborations.delete(who, authz, row, with_dependents=query["delete_dependents"])
        return {"msg": f"collaboration id={row.id} successfully deleted"}


@blp.route("/collaboration/<int:id>/organization")
class CollaborationMembers(MethodView):
    @guard.one(COLLABORATION, VIEW)
    @paged(OrganizationOut)
    def get(self, who, authz, row):
        """List the members. Who may view a collaboration may view them."""
        return collaborations.members(who, authz, row)

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
    @guard.one(COLLABORATION, VIEW, closed_to=guard.CONTAINERS)
    @paged(NodeInCollaborationOut)
    def get(self, who, authz, row):
        """List the nodes. Who may view a collaboration may view them."""
        return collaborations.nodes_in(who, authz, row)

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


@blp.route("/collaboration/<int:id>/task")
class CollaborationTasks(MethodView):
    @guard.rows_of(Resource.TASK, on=Row, closed_to=guard.CONTAINERS)
    @paged(TaskOut)
    def get(self, row, rows):
        """List the tasks of a collaboration."""
        return rows.where(Task.collaboration_id == row.id)
