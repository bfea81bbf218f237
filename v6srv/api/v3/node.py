"""/node: GET list, POST, and GET, PATCH, DELETE by id."""

from uuid import uuid4

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.passwords import key_digest
from v6srv.service import nodes
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.node import NodeQuery
from v6srv.wire.v3.node import NodeIn, NodeOut, NodePatch, NodeWithKeyOut

blp = Blueprint("node", __name__, description="Nodes")
NODE, VIEW = Resource.NODE, Operation.VIEW


@blp.route("/node")
class Nodes(MethodView):
    @guard.rows(NODE, VIEW, closed_to=guard.CONTAINERS)
    @blp.arguments(NodeQuery, location="query")
    @paged(NodeOut)
    def get(self, query, rows):
        """List the nodes you may view."""
        return rows.where(*filters.conditions(filters.NODE, query))

    @guard.creates(NODE)
    @blp.arguments(NodeIn)
    @blp.response(201, NodeWithKeyOut)
    def post(self, fields, who, authz):
        """Add a node. Its API key is shown in this answer and never again."""
        api_key = str(uuid4())
        row = nodes.register(who, authz, fields, key_digest(api_key))
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
        return nodes.change(who, authz, row, changes)

    @guard.deletes(NODE)
    @blp.response(200, MessageOut)
    def delete(self, row):
        """Remove a node. The results stay."""
        nodes.remove(row)
        return {"msg": f"node id={row.id} successfully deleted"}
