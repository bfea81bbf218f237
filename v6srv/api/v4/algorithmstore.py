"""/algorithmstore: GET list, POST, and GET, PATCH, DELETE by id."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.api.visitor import visitor
from v6srv.model import AlgorithmStore as Row
from v6srv.service import algorithm_stores
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.v4.algorithmstore import (
    AlgorithmStoreIn,
    AlgorithmStoreOut,
    AlgorithmStorePatch,
    AlgorithmStoreQuery,
    AlgorithmStoreRemoval,
)

blp = Blueprint("algorithmstore", __name__, description="Algorithm stores")
COLLABORATION, VIEW, EDIT = Resource.COLLABORATION, Operation.VIEW, Operation.EDIT
_FILTERS = {
    "name": filters.like(Row.name),
    "url": filters.like(Row.url),
    "collaboration_id": algorithm_stores.of_collaboration,
}


@blp.route("/algorithmstore")
class AlgorithmStores(MethodView):
    @guard.rows(COLLABORATION, VIEW, closed_to=guard.NODES | guard.CONTAINERS)
    @blp.arguments(AlgorithmStoreQuery, location="query")
    @paged(AlgorithmStoreOut, dialect=4)
    def get(self, query, who, authz, rows):
        """List the stores of the collaborations that you may view, and those for all."""
        if "collaboration_id" in query:
            authz.fetch(who, COLLABORATION, VIEW, query["collaboration_id"])
        return algorithm_stores.viewable(rows).where(*filters.conditions(_FILTERS, query))

    @guard.some(COLLABORATION, EDIT)
    @blp.arguments(AlgorithmStoreIn)
    @blp.response(201, AlgorithmStoreOut)
    def post(self, fields, who, authz):
        """Make a store known here, and this server known there.

        For one collaboration that you may edit or, if you may edit all, for all.
        """
        asked = visitor(fields["server_url"])
        return algorithm_stores.register(who, authz, fields, asked)


@blp.route("/algorithmstore/<int:id>")
class AlgorithmStore(MethodView):
    @guard.some(COLLABORATION, VIEW)
    @blp.response(200, AlgorithmStoreOut)
    def get(self, id, who, authz):
        """One store."""
        return algorithm_stores.fetch(who, authz, id)

    @guard.some(COLLABORATION, EDIT)
    @blp.arguments(AlgorithmStorePatch)
    @blp.response(200, AlgorithmStoreOut)
    def patch(self, changes, id, who, authz):
        """Change the fields given; the rest stay."""
        return algorithm_stores.change(who, authz, id, changes)

    @guard.some(COLLABORATION, EDIT)
    @blp.arguments(AlgorithmStoreRemoval, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, id, who, authz):
        """Remove a store with all that have its address. This server is taken out of the store."""
        algorithm_stores.remove(who, authz, id, visitor(query["server_url"]))
        return {"msg": f"algorithm store id={id} successfully deleted"}
