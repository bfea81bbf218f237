"""/console/organization: who takes part."""

from base64 import b64decode, b64encode

from flask import Response, request
from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.authz.offers import DELETE, change
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.deletions import going
from v6srv.console.tables import containing, table
from v6srv.errors import Invalid, NotFound
from v6srv.model import Collaboration, Node, Role, User
from v6srv.model import Organization as Row
from v6srv.service import organizations
from v6srv.vocabulary import V4, Operation, Resource
from v6srv.wire.base import Dependents, Flag, Input, Text
from v6srv.wire.organization import OrganizationPatch, OrganizationQuery
from v6srv.wire.v4.organization import OrganizationIn

ORGANIZATION = Resource.ORGANIZATION
_KEY = frozenset({"public_key"})
_PEM = "-----BEGIN "


class PublicKey(Input):
    """A key, typed or as the file `file`; or that there is none any more."""

    public_key = Text(load_default="")
    remove = Flag(load_default=False)


@blp.route("/organization", V4)
class Organizations(MethodView):
    @guard.rows(ORGANIZATION)
    @arguments(OrganizationQuery, location="query")
    @page("organizations.html")
    def get(self, query, rows):
        """The organizations you may view."""
        wanted = containing(query, "name")
        found = rows.where(*filters.conditions(filters.ORGANIZATION, wanted))
        return {"table": table(found), "query": query}


@blp.route("/organization/new", V4)
class NewOrganization(MethodView):
    @guard.some(ORGANIZATION, Operation.CREATE)
    @page("organization_form.html")
    def get(self):
        """The form for one more."""
        return {"row": None}

    @guard.creates(ORGANIZATION)
    @arguments(OrganizationIn)
    @page()
    def post(self, fields):
        """Add it."""
        row = organizations.create(fields, strict=True)
        return done(f"{row.name} has been added.", "organization", row)


@blp.route("/organization/<int:id>", V4)
class Organization(MethodView):
    @guard.one(ORGANIZATION)
    @page("organization.html")
    def get(self, row, may):
        """One organization, with what may be seen of what belongs to it."""
        has_members = Collaboration.organizations.any(Row.id == row.id)
        return {
            "row": row,
            **may.acts(row, edits=change("name"), edits_key=change(*_KEY), deletes=DELETE),
            "collaborations": may.some(Resource.COLLABORATION, has_members, most=_CARD),
            "nodes": may.some(Resource.NODE, Node.organization_id == row.id, most=_CARD),
            "roles": may.some(Resource.ROLE, Role.organization_id == row.id, most=_CARD),
            "users": may.some(Resource.USER, User.organization_id == row.id, most=_CARD),
        }


_CARD = 12
"""What there is room for on a card."""


@blp.route("/organization/<int:id>/edit", V4)
class OrganizationEdit(MethodView):
    @guard.one(ORGANIZATION, Operation.EDIT, changes=None)
    @page("organization_form.html")
    def get(self, row):
        """The form with what it has."""
        return {"row": row}

    @guard.edits(ORGANIZATION)
    @arguments(OrganizationPatch)
    @page()
    def post(self, changes, row):
        """Change it."""
        organizations.change(row, changes, strict=True)
        return done(f"{row.name} has been changed.", "organization", row)


@blp.route("/organization/<int:id>/key", V4)
class OrganizationKey(MethodView):
    @guard.one(ORGANIZATION, Operation.EDIT, changes=_KEY)
    @page("organization_key.html")
    def get(self, row):
        """The key there is, and the form for another."""
        return {"row": row, "pem": _decoded(row)}

    @guard.edits(ORGANIZATION, changes=_KEY)
    @arguments(PublicKey)
    @page()
    def post(self, form, row):
        """Take the key of the form, or none."""
        key = "" if form["remove"] else _sent(form["public_key"])
        organizations.change(row, {"public_key": key}, strict=True)
        said = "has a new public key" if key else "has no public key any more"
        return done(f"{row.name} {said}.", "organization", row)


@blp.route("/organization/<int:id>/key.pem", V4)
class OrganizationKeyFile(MethodView):
    @guard.one(ORGANIZATION)
    @page()
    def get(self, row):
        """The key as a file."""
        if not row.public_key:
            raise NotFound(f"{row.name} has no public key")
        name = f"organization-{row.id}.pem"
        answer = Response(b64decode(row.public_key), mimetype="application/x-pem-file")
        answer.headers.set("Content-Disposition", "attachment", filename=name)
        return answer


@blp.route("/organization/<int:id>/delete", V4)
class OrganizationDeletion(MethodView):
    @guard.one(ORGANIZATION, Operation.DELETE)
    @page("deletion.html")
    def get(self, row, who, authz, may):
        """What goes with it, and the button."""
        goes = going(may, organizations.hanging(who, authz, row))
        return {"row": row, "going": goes, "endpoint": "organization"}

    @guard.deletes(ORGANIZATION)
    @arguments(Dependents)
    @page()
    def post(self, form, who, authz, row):
        """Remove it."""
        name = row.name
        organizations.remove(who, authz, row, with_dependents=form["delete_dependents"])
        return done(f"{name} has been removed.", "organizations")


def _sent(text: str) -> str:
    """The file or else the text, as clients send keys: PEM text in base64. Raises Invalid."""
    file = request.files.get("file")
    try:
        text = (file.read().decode() if file else "") or text
    except UnicodeDecodeError:
        raise Invalid("This file is no text: send the public key as PEM") from None
    if not text.strip():
        raise Invalid("Choose a file, or paste the text of the key")
    return b64encode(text.encode()).decode() if _PEM in text else "".join(text.split())


def _decoded(row: Row) -> str:
    """The key as people know it; what is no text is left as it came."""
    try:
        return b64decode(row.public_key).decode()
    except UnicodeDecodeError:
        return row.public_key
