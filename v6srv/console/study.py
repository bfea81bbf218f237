"""/console/study: some of the organizations of a collaboration, for one question."""

from flask.views import MethodView
from sqlalchemy import ColumnElement

from v6srv.api import filters, guard
from v6srv.authz.offers import DELETE, change
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.deletions import going
from v6srv.console.tables import containing, table
from v6srv.model import Collaboration, Organization
from v6srv.service import studies
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.base import Dependents, Input, Named, NumberFilter
from v6srv.wire.v4.study import StudyIn, StudyPatch, StudyQuery

STUDY, COLLABORATION, ORGANIZATION = Resource.STUDY, Resource.COLLABORATION, Resource.ORGANIZATION
MOST = 500
_MEMBERS, _NAME = frozenset({"organization_ids"}), frozenset({"name"})


class StudyPlace(Input):
    """Where a new study is to be; 0: that is asked first."""

    collaboration_id = NumberFilter(load_default=0)


@blp.route("/study", V4)
class Studies(MethodView):
    @guard.rows(STUDY)
    @arguments(StudyQuery(exclude=("include",)), location="query")
    @page("studies.html")
    def get(self, query, rows, may):
        """The studies you may view."""
        found = table(rows.where(*filters.conditions(filters.STUDY, containing(query, "name"))))
        ids = [query.get("collaboration_id"), *(row.collaboration_id for row in found.rows)]
        names = may.names(COLLABORATION, ids)
        return {"table": found, "query": query, "collaborations": names}


@blp.route("/study/new", V4)
class NewStudy(MethodView):
    @guard.some(STUDY, Operation.CREATE)
    @arguments(StudyPlace, location="query")
    @page("study_form.html")
    def get(self, query, may):
        """The form for one more, or first: in which collaboration."""
        id = query["collaboration_id"]
        chosen = may.some(COLLABORATION, Collaboration.id == id).rows
        return {
            "row": None,
            "chosen": chosen,
            "everywhere": [] if chosen else may.choices(COLLABORATION),
            "members": may.choices(ORGANIZATION, _in_collaboration(id)),
        }

    @guard.creates(STUDY)
    @arguments(StudyIn)
    @page()
    def post(self, fields, who, authz):
        """Add it."""
        row = studies.create(who, authz, fields)
        return done(f"{row.name} has been added.", "study", row)


@blp.route("/study/<int:id>", V4)
class Study(MethodView):
    @guard.one(STUDY)
    @page("study.html")
    def get(self, row, may):
        """One study, and who takes part."""
        takes_part = Organization.id.in_(row.organization_ids or ())
        can = may.acts(row, edits=change("name"), members=change(*_MEMBERS), deletes=DELETE)
        could = _in_collaboration(row.collaboration_id), ~takes_part
        return {
            "row": row,
            "collaborations": may.names(COLLABORATION, [row.collaboration_id]),
            "members": may.some(ORGANIZATION, takes_part, most=MOST),
            "others": may.choices(ORGANIZATION, *could) if can["members"] else None,
            "edits": can["edits"],
            "deletes": can["deletes"],
        }


@blp.route("/study/<int:id>/edit", V4)
class StudyEdit(MethodView):
    @guard.one(STUDY, Operation.EDIT, changes=_NAME)
    @page("study_form.html")
    def get(self, row):
        """The form with its name."""
        return {"row": row}

    @guard.edits(STUDY)
    @arguments(StudyPatch(only=("name",)))
    @page()
    def post(self, changes, row):
        """Give it another name."""
        studies.change(row, changes)
        return done(f"The study is called {row.name} now.", "study", row)


@blp.route("/study/<int:id>/member", V4)
class StudyMember(MethodView):
    @guard.edits(STUDY, changes=_MEMBERS)
    @arguments(Named)
    @page()
    def post(self, organization, who, authz, row):
        """Have a member of the collaboration take part."""
        studies.add_member(who, authz, row, organization["id"])
        return done("One more takes part.", "study", row)


@blp.route("/study/<int:id>/member/remove", V4)
class StudyMemberRemoval(MethodView):
    @guard.edits(STUDY, changes=_MEMBERS)
    @arguments(Named)
    @page()
    def post(self, organization, row):
        """Take an organization out."""
        studies.remove_member(row, organization["id"])
        return done("It takes part no more.", "study", row)


@blp.route("/study/<int:id>/delete", V4)
class StudyDeletion(MethodView):
    @guard.one(STUDY, Operation.DELETE)
    @page("deletion.html")
    def get(self, row, may):
        """What goes with it, and the button."""
        goes = going(may, studies.hanging(row))
        return {"row": row, "going": goes, "endpoint": "study"}

    @guard.deletes(STUDY)
    @arguments(Dependents)
    @page()
    def post(self, form, who, authz, row):
        """Remove it."""
        name = row.name
        studies.remove(who, authz, row, with_dependents=form["delete_dependents"])
        return done(f"{name} has been removed.", "studies")


def _in_collaboration(id: int) -> ColumnElement[bool]:
    return Organization.collaborations.any(Collaboration.id == id)
