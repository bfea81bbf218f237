"""/study: GET list, POST, GET, PATCH, DELETE by id, and its members."""

from functools import partial

from flask.views import MethodView

from v6srv.api import dependents, filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.including import included
from v6srv.api.paging import paged
from v6srv.service import lists, studies
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Dependents, MessageOut, Named
from v6srv.wire.v4.collaboration import OrganizationsInclude
from v6srv.wire.v4.organization import OrganizationOut
from v6srv.wire.v4.study import (
    StudyIn,
    StudyOut,
    StudyPatch,
    StudyQuery,
    StudyWithOrganizationsOut,
)

blp = Blueprint("study", __name__, description="Studies")
STUDY, VIEW = Resource.STUDY, Operation.VIEW
ORGANIZATIONS = "organizations"
_MEMBERS = frozenset({"organization_ids"})
_VARIANTS = {ORGANIZATIONS: StudyWithOrganizationsOut}


@blp.route("/study")
class Studies(MethodView):
    @guard.rows(STUDY, VIEW)
    @blp.arguments(StudyQuery, location="query")
    @paged(StudyOut, variants=_VARIANTS, dialect=4)
    def get(self, query, who, authz, rows):
        """List the studies you may view.

        With `collaboration_id`, only if you may view that collaboration.
        """
        query.pop("include", None)
        lists.require_view(who, authz, Resource.COLLABORATION, query.get("collaboration_id"))
        if ORGANIZATIONS in included():
            rows = rows.then(partial(lists.load_organizations, who, authz))
        return rows.where(*filters.conditions(filters.STUDY, query))

    @guard.creates(STUDY)
    @blp.arguments(StudyIn)
    @blp.response(201, StudyWithOrganizationsOut)
    def post(self, fields, who, authz):
        """Add a study of some organizations of a collaboration, with a name that no other has."""
        study = studies.create(who, authz, fields)
        return _with_members(who, authz, study)


@blp.route("/study/<int:id>")
class Study(MethodView):
    @guard.one(STUDY, VIEW)
    @blp.arguments(OrganizationsInclude, location="query")
    @blp.embedding(StudyOut, _VARIANTS)
    def get(self, query, who, authz, row):
        """One study."""
        if ORGANIZATIONS in included():
            lists.load_organizations(who, authz, [row])
        return row

    @guard.edits(STUDY)
    @blp.arguments(StudyPatch)
    @blp.response(200, StudyWithOrganizationsOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; the rest stay."""
        return _with_members(who, authz, studies.change(row, changes))

    @guard.deletes(STUDY)
    @blp.arguments(Dependents, location="query")
    @blp.response(200, MessageOut)
    def delete(self, query, who, authz, row):
        """Remove a study. One that has tasks only with `delete_dependents`."""
        with dependents.told_to_4():
            studies.remove(who, authz, row, with_dependents=query["delete_dependents"])
        return {"msg": f"study id={row.id} successfully deleted"}


@blp.route("/study/<int:id>/organization")
class StudyMembers(MethodView):
    @guard.edits(STUDY, changes=_MEMBERS)
    @blp.arguments(Named)
    @blp.response(200, OrganizationOut(many=True))
    def post(self, organization, who, authz, row):
        """Have a member of the collaboration take part. Answers with all that do."""
        studies.add_member(who, authz, row, organization["id"])
        return studies.members(who, authz, row).read(fresh=True)

    @guard.edits(STUDY, changes=_MEMBERS)
    @blp.arguments(Named)
    @blp.response(200, OrganizationOut(many=True))
    def delete(self, organization, who, authz, row):
        """Take an organization out. Answers with those that are left."""
        studies.remove_member(row, organization["id"])
        return studies.members(who, authz, row).read(fresh=True)


def _with_members(who, authz, study):
    return {
        "id": study.id,
        "name": study.name,
        "collaboration_id": study.collaboration_id,
        "organizations": studies.members(who, authz, study).read(fresh=True),
    }
