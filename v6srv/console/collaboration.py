"""/console/collaboration: who works together, and which of their nodes are there."""

from flask.views import MethodView
from sqlalchemy import ColumnElement

from v6srv.api import filters, guard
from v6srv.authz.offers import DELETE, change
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.deletions import going
from v6srv.console.tables import containing, table
from v6srv.model import Collaboration as Row
from v6srv.model import Organization, Study
from v6srv.service import algorithm_stores, collaborations
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.base import Dependents, Named
from v6srv.wire.collaboration import CollaborationQuery
from v6srv.wire.v4.collaboration import CollaborationIn, CollaborationPatch

COLLABORATION, ORGANIZATION, NODE = Resource.COLLABORATION, Resource.ORGANIZATION, Resource.NODE
MOST = 500
"""Of what a page shows in full."""
_MEMBERS = frozenset({"organization_ids"})


@blp.route("/collaboration", V4)
class Collaborations(MethodView):
    @guard.rows(COLLABORATION)
    @arguments(CollaborationQuery, location="query")
    @page("collaborations.html")
    def get(self, query, rows):
        """The collaborations you may view."""
        wanted = containing(query, "name")
        found = rows.where(*filters.conditions(filters.COLLABORATION, wanted))
        shown = table(found)
        there = collaborations.nodes_there([row.id for row in shown.rows])
        return {"table": shown, "query": query, "there": there}


@blp.route("/collaboration/new", V4)
class NewCollaboration(MethodView):
    @guard.some(COLLABORATION, Operation.CREATE)
    @page("collaboration_form.html")
    def get(self, may):
        """The form for one more."""
        return {"row": None, "organizations": may.choices(ORGANIZATION)}

    @guard.creates(COLLABORATION)
    @arguments(CollaborationIn)
    @page()
    def post(self, fields):
        """Add it."""
        row = collaborations.create(fields)
        return done(f"{row.name} has been added.", "collaboration", row)


@blp.route("/collaboration/<int:id>", V4)
class Collaboration(MethodView):
    @guard.one(COLLABORATION)
    @page("collaboration.html")
    def get(self, row, who, authz, may):
        """One collaboration: members, nodes, studies and stores."""
        there = _there(row, may, who, authz)
        can = may.acts(
            row, edits=change("name", "encrypted"), members=change(*_MEMBERS), deletes=DELETE
        )
        return there | {
            "registers": may.among(Operation.CREATE, there["without"], resource=NODE),
            "others": may.choices(ORGANIZATION, ~_member(row)) if can["members"] else None,
            "edits": can["edits"],
            "deletes": can["deletes"],
            "studies": may.some(Resource.STUDY, Study.collaboration_id == row.id, most=MOST),
            "stores": algorithm_stores.serving(row.id),
        }


@blp.route("/collaboration/<int:id>/node", V4)
class CollaborationNodes(MethodView):
    @guard.one(COLLABORATION)
    @page("collaboration_nodes.html")
    def get(self, row, who, authz, may):
        """Its nodes alone: what the page of the collaboration asks for again by itself."""
        return _there(row, may, who, authz)


@blp.route("/collaboration/<int:id>/edit", V4)
class CollaborationEdit(MethodView):
    @guard.one(COLLABORATION, Operation.EDIT, changes=None)
    @page("collaboration_form.html")
    def get(self, row):
        """The form with what it has."""
        return {"row": row}

    @guard.edits(COLLABORATION)
    @arguments(CollaborationPatch(only=("name", "encrypted")))
    @page()
    def post(self, changes, who, authz, row):
        """Change it."""
        collaborations.change(who, authz, row, changes, strict=True)
        return done(f"{row.name} has been changed.", "collaboration", row)


@blp.route("/collaboration/<int:id>/member", V4)
class CollaborationMember(MethodView):
    @guard.edits(COLLABORATION, changes=_MEMBERS)
    @arguments(Named)
    @page()
    def post(self, organization, who, authz, row):
        """Make an organization a member."""
        collaborations.add_member(who, authz, row, organization["id"])
        return done("There is a new member.", "collaboration", row)


@blp.route("/collaboration/<int:id>/member/remove", V4)
class CollaborationMemberRemoval(MethodView):
    @guard.edits(COLLABORATION, changes=_MEMBERS)
    @arguments(Named)
    @page()
    def post(self, organization, who, authz, row):
        """Take a member out, and its node with it."""
        collaborations.remove_member(who, authz, row, organization["id"])
        return done("The member has been taken out, and its node.", "collaboration", row)


@blp.route("/collaboration/<int:id>/delete", V4)
class CollaborationDeletion(MethodView):
    @guard.one(COLLABORATION, Operation.DELETE)
    @page("deletion.html")
    def get(self, row, may):
        """What goes with it, and the button."""
        goes = going(may, collaborations.hanging(row))
        return {"row": row, "going": goes, "endpoint": "collaboration"}

    @guard.deletes(COLLABORATION)
    @arguments(Dependents)
    @page()
    def post(self, form, who, authz, row):
        """Remove it."""
        name = row.name
        collaborations.delete(who, authz, row, with_dependents=form["delete_dependents"])
        return done(f"{name} has been removed.", "collaborations")


def _member(row: Row) -> ColumnElement[bool]:
    return Organization.collaborations.any(Row.id == row.id)


def _there(row, may, who, authz):
    """Members, their nodes, and who has none. Who may view a collaboration may view its nodes."""
    members = may.some(ORGANIZATION, _member(row), most=MOST)
    nodes = collaborations.nodes_in(who, authz, row).read()
    node_of = {node.organization_id: node for node in nodes}
    return {
        "row": row,
        "members": members,
        "nodes": nodes,
        "node_of": node_of,
        "seen": may.among(Operation.VIEW, nodes),
        "without": [one for one in members.rows if one.id not in node_of],
    }
