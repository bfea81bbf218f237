"""/console/algorithmstore: servers of others that say which images there are."""

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.visitor import visitor
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.tables import containing, table
from v6srv.model import AlgorithmStore as Row
from v6srv.model import Collaboration
from v6srv.service import algorithm_stores
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.v4.algorithmstore import (
    AlgorithmStoreIn,
    AlgorithmStorePatch,
    AlgorithmStoreQuery,
    AlgorithmStoreRemoval,
)

COLLABORATION, VIEW, EDIT = Resource.COLLABORATION, Operation.VIEW, Operation.EDIT
MOST = 500
_STORES = frozenset({"algorithm_stores"})
_FILTERS = {
    "name": filters.like(Row.name),
    "url": filters.like(Row.url),
    "collaboration_id": algorithm_stores.of_collaboration,
}


@blp.route("/algorithmstore", V4)
class AlgorithmStores(MethodView):
    @guard.rows(COLLABORATION)
    @arguments(AlgorithmStoreQuery, location="query")
    @page("algorithm_stores.html")
    def get(self, query, rows, may):
        """The stores of the collaborations that you may view, and those for all."""
        wanted = filters.conditions(_FILTERS, containing(query, "name", "url"))
        found = table(algorithm_stores.viewable(rows).where(*wanted))
        ids = [row.collaboration_id for row in found.rows]
        names = may.names(COLLABORATION, ids)
        return {"table": found, "query": query, "collaborations": names}


@blp.route("/algorithmstore/new", V4)
class NewAlgorithmStore(MethodView):
    @guard.some(COLLABORATION, EDIT)
    @page("algorithm_store_form.html")
    def get(self, may):
        """The form for one more."""
        return {"row": None, "whole": _whole(may), "places": _places(may)}

    @guard.some(COLLABORATION, EDIT)
    @arguments(AlgorithmStoreIn)
    @page()
    def post(self, fields, who, authz):
        """Make it known here, and this server known there."""
        row = algorithm_stores.register(who, authz, fields, visitor(fields["server_url"]))
        return done(f"{row.name} has been added.", "algorithm_store", row)


@blp.route("/algorithmstore/<int:id>", V4)
class AlgorithmStore(MethodView):
    @guard.some(COLLABORATION, VIEW)
    @page("algorithm_store.html")
    def get(self, id, who, authz, may):
        """One store."""
        row = algorithm_stores.fetch(who, authz, id)
        names = may.names(COLLABORATION, [row.collaboration_id])
        return {"row": row, "collaborations": names, "edits": _changes(row, may)}


@blp.route("/algorithmstore/<int:id>/edit", V4)
class AlgorithmStoreEdit(MethodView):
    @guard.some(COLLABORATION, EDIT)
    @page("algorithm_store_form.html")
    def get(self, id, who, authz, may):
        """The form with what it has."""
        row = algorithm_stores.fetch(who, authz, id)
        return {"row": row, "whole": _whole(may), "places": _places(may)}

    @guard.some(COLLABORATION, EDIT)
    @arguments(AlgorithmStorePatch)
    @page()
    def post(self, changes, id, who, authz):
        """Change it; without a collaboration it is for all."""
        whole = {"collaboration_id": None}
        row = algorithm_stores.change(who, authz, id, whole | changes)
        return done(f"{row.name} has been changed.", "algorithm_store", row)


@blp.route("/algorithmstore/<int:id>/delete", V4)
class AlgorithmStoreDeletion(MethodView):
    @guard.some(COLLABORATION, EDIT)
    @page("algorithm_store_deletion.html")
    def get(self, id, who, authz):
        """The button."""
        return {"row": algorithm_stores.fetch(who, authz, id)}

    @guard.some(COLLABORATION, EDIT)
    @arguments(AlgorithmStoreRemoval)
    @page()
    def post(self, form, id, who, authz):
        """Remove it with all that have its address, and this server from it."""
        name = algorithm_stores.fetch(who, authz, id).name
        algorithm_stores.remove(who, authz, id, visitor(form["server_url"]))
        return done(f"{name} has been removed.", "algorithm_stores")


def _whole(may):
    return may.whole(COLLABORATION, EDIT, _STORES)


def _places(may):
    """The collaborations of which the stores may be changed."""
    rows = may.some(COLLABORATION, most=MOST).rows
    allowed = may.among(EDIT, rows, _STORES)
    return [(row.id, row.name) for row in rows if row.id in allowed]


def _changes(row, may):
    if row.collaboration_id is None:
        return _whole(may)
    place = may.some(COLLABORATION, Collaboration.id == row.collaboration_id).rows
    return bool(may.among(EDIT, place, _STORES))
