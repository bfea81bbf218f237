"""/node: GET list, POST, and GET, PATCH, DELETE by id."""

from uuid import uuid4

from flask.views import MethodView
from sqlalchemy import or_

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.model import Collaboration, Organization
from v6srv.model import Node as Row
from v6srv.passwords import key_digest
from v6srv.service import lists, nodes
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v4.node import NEVER_SEEN, NodeIn, NodeOut, NodePatch, NodeQuery, NodeWithKeyOut

blp = Blueprint("node", __name__, description="Nodes")
NODE, VIEW = Resource.NODE, Operation.VIEW


def _is_shown_as(status):
    unseen = Row.status.is_(None)
    return or_(Row.status == status, unseen) if status == NEVER_SEEN else Row.status == status


_FILTERS = {**filters.NODE, "status": _is_shown_as}


@blp.route("/node")
class Nodes(MethodView):
    @guard.rows(NODE, VIEW, closed_to=guard.CONTAINERS)
    @blp.arguments(NodeQuery, location="query")
    @paged(NodeOut, dialect=4)
    def get(self, query, who, authz, rows):
        """List the nodes you may view."""
        lists.require_view(who, authz, NODE, query.get("organization_id"), Organization)
        lists.require_view(who, authz, NODE, query.get("collaboration_id"), Collaboration)
        lists.require_view(who, authz, Resource.STUDY, query.get("study_id"))
        return rows.where(*filters.conditions(_FILTERS, query))

    @guard.creates(NODE)
    @blp.arguments(NodeIn)
    @blp.response(201, NodeWithKeyOut)
    def post(self, fields, who, authz):
        """Add a node, with a name that no other has.

        Its API key is shown in this answer and never again.
        """
        api_key = str(uuid4())
        row = nodes.register(who, authz, fields, key_digest(api_key), strict=True)
        return {"node": row, "api_key": api_key}


@blp.route("/node/<int:id>")
class Node(MethodView):
    @guard.one(NODE, VIEW)
    @blp.response(200, NodeOut)
    def get(self, row):
        """One node."""
        return row

    @guard.edits(NODE)
    @blp.arguments(NodePatch)
    @blp.response(200, NodeOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay. A node changes its own address only."""
        return nodes.change(who, authz, row, changes, strict=True)

    @guard.deletes(NODE)
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Remove a node. The runs stay."""
        nodes.remove(row)
        return {"msg": f"node id={row.id} successfully deleted"}
