"""/console/node: the programs inside organizations that run algorithms on local data."""

from uuid import uuid4

from flask import Response, current_app, request
from flask.views import MethodView
from marshmallow import fields, validate

from v6srv.api import filters, guard
from v6srv.authz.offers import DELETE, Act, change
from v6srv.console import node_files
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.tables import containing, table
from v6srv.errors import Invalid
from v6srv.identity import recovery
from v6srv.model import Collaboration
from v6srv.model import Node as Row
from v6srv.passwords import key_digest
from v6srv.service import nodes, tasks
from v6srv.vocabulary import DIALECTS, V4, Operation, Resource
from v6srv.wire.base import Input, NumberFilter, Text, Whole
from v6srv.wire.credentials import Credential
from v6srv.wire.v4.node import NodeIn, NodePatch

NODE, COLLABORATION, ORGANIZATION = Resource.NODE, Resource.COLLABORATION, Resource.ORGANIZATION
NEW = "new"
"""The status of a node that has never been there, as filters have it."""
_FILTERS = {
    **filters.NODE,
    "status": lambda status: Row.status.is_(None) if status == NEW else Row.status == status,
}
_KEY = frozenset({"api_key"})


class NodeFilters(Input):
    """Filters of the list."""

    name = Text()
    status = fields.String(validate=validate.OneOf(("", "online", "offline", NEW)))
    organization_id = NumberFilter()
    collaboration_id = NumberFilter()


class Place(Input):
    """Where a new node is to be."""

    organization_id = NumberFilter()
    collaboration_id = NumberFilter()


class NodeFile(Input):
    """Which configuration is wanted, with the key that only the page still has."""

    api_key = Credential(required=True)
    generation = Whole(required=True, validate=validate.OneOf(DIALECTS))


@blp.route("/node", V4)
class Nodes(MethodView):
    @guard.rows(NODE)
    @arguments(NodeFilters, location="query")
    @page("nodes.html")
    def get(self, query, rows, may):
        """The nodes you may view."""
        found = table(rows.where(*filters.conditions(_FILTERS, containing(query, "name"))))
        wanted = [query.get("organization_id")], [query.get("collaboration_id")]
        at = (
            [row.organization_id for row in found.rows],
            [row.collaboration_id for row in found.rows],
        )
        return {
            "table": found,
            "query": query,
            "organizations": may.names(ORGANIZATION, [*at[0], *wanted[0]]),
            "collaborations": may.names(COLLABORATION, [*at[1], *wanted[1]]),
        }


@blp.route("/node/new", V4)
class NewNode(MethodView):
    @guard.some(NODE, Operation.CREATE)
    @arguments(Place, location="query")
    @page("node_form.html")
    def get(self, query, may):
        """The form for one more."""
        return {
            "row": None,
            "organizations": may.places(NODE).items(),
            "collaborations": may.choices(COLLABORATION),
            "query": query,
        }

    @guard.creates(NODE)
    @arguments(NodeIn)
    @page("node_key.html")
    def post(self, fields, who, authz, may):
        """Register it, and show its key."""
        key = str(uuid4())
        row = nodes.register(who, authz, fields, key_digest(key), strict=True)
        return _with_key(row, key, may)


@blp.route("/node/<int:id>", V4)
class Node(MethodView):
    @guard.one(NODE)
    @page("node.html")
    def get(self, row, may):
        """One node. What changes by itself is asked for again by the page."""
        return {
            "row": row,
            "organizations": may.names(ORGANIZATION, [row.organization_id]),
            "collaborations": may.names(COLLABORATION, [row.collaboration_id]),
            **may.acts(
                row,
                edits=change("name"),
                renews=change(*_KEY),
                stops=Act(Operation.CREATE, resource=Resource.EVENT),
                deletes=DELETE,
            ),
        }


@blp.route("/node/<int:id>/edit", V4)
class NodeEdit(MethodView):
    @guard.one(NODE, Operation.EDIT, changes=frozenset({"name"}))
    @page("node_form.html")
    def get(self, row):
        """The form with its name."""
        return {"row": row}

    @guard.edits(NODE)
    @arguments(NodePatch(only=("name",)))
    @page()
    def post(self, changes, who, authz, row):
        """Give it another name."""
        nodes.change(who, authz, row, changes, strict=True)
        return done(f"The node is called {row.name} now.", "node", row)


@blp.route("/node/<int:id>/key", V4)
class NodeKey(MethodView):
    @guard.one(NODE, Operation.EDIT, changes=_KEY)
    @page("node_renewal.html")
    def get(self, row):
        """What a new key does, and the button."""
        return {"row": row}

    @guard.edits(NODE, changes=_KEY)
    @page("node_key.html")
    def post(self, row, may):
        """Give it a new key, and show it."""
        return _with_key(row, recovery.renew_key(row), may)


@blp.route("/node/<int:id>/configuration", V4)
class NodeConfiguration(MethodView):
    @guard.one(NODE)
    @arguments(NodeFile)
    @page()
    def post(self, form, row, may):
        """The file for the node, with the key that was sent."""
        if key_digest(form["api_key"]) != row.key_digest:
            raise Invalid("This is not the key of the node any more")
        known = _settings(row, form["api_key"], form["generation"], may)
        answer = Response(node_files.text(form["generation"], known), mimetype="application/yaml")
        name = f"node-{row.id}.yaml"
        answer.headers.set("Content-Disposition", "attachment", filename=name)
        return answer


@blp.route("/node/<int:id>/stop", V4)
class NodeStop(MethodView):
    @guard.one(Resource.EVENT, Operation.CREATE, on=Row)
    @page()
    def post(self, row):
        """Stop everything that it runs."""
        tasks.kill_everything_on(row)
        return done(f"{row.name} has been told to stop all it runs.", "node", row)


@blp.route("/node/<int:id>/delete", V4)
class NodeDeletion(MethodView):
    @guard.one(NODE, Operation.DELETE)
    @page("deletion.html")
    def get(self, row):
        """The button."""
        return {"row": row, "going": [], "endpoint": "node"}

    @guard.deletes(NODE)
    @page()
    def post(self, row):
        """Remove it; the results stay."""
        name = row.name
        nodes.remove(row)
        return done(f"{name} has been removed.", "nodes")


def _with_key(row, key, may):
    files = {each: node_files.text(each, _settings(row, key, each, may)) for each in DIALECTS}
    return {"row": row, "key": key, "files": files}


def _settings(row, key, generation, may):
    place = may.some(COLLABORATION, Collaboration.id == row.collaboration_id).rows
    return node_files.Settings(
        api_key=key,
        encrypted=any(each.encrypted for each in place),
        server_url=request.host_url,
        base=current_app.config["SETTINGS"].mounts[generation],
    )
