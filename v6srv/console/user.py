"""/console/user: accounts of people."""

from collections.abc import Collection
from typing import Any

from flask import request
from flask.views import MethodView

from v6srv import passwords
from v6srv.api import filters, guard
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.offers import DELETE, change
from v6srv.authz.principal import Principal
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.matrix import KNOWN, OPERATIONS, matrix
from v6srv.console.tables import containing, table
from v6srv.identity import sessions
from v6srv.identity.attempts import minutes_locked
from v6srv.identity.current import claims
from v6srv.model import Role
from v6srv.policy.who.matrix import inherited
from v6srv.service import roles, users
from v6srv.vocabulary import Operation, PrincipalKind, Resource
from v6srv.wire.base import Dependents, Input, NumberFilter
from v6srv.wire.user import UserPatch
from v6srv.wire.v4.user import UserIn, UserQuery

USER = Resource.USER
_SESSIONS = frozenset({"sessions"})
_FIELDS = ("username", "firstname", "lastname", "email", "roles", "rules")
_TYPED = ("username", "lastname", "email")
"""Filters in which a part of what is looked for will do."""


class Place(Input):
    """Where a new user is to be."""

    organization_id = NumberFilter()


@blp.route("/user")
class Users(MethodView):
    @guard.rows(USER)
    @arguments(UserQuery, location="query")
    @page("users.html")
    def get(self, query, rows, may):
        """The users you may view."""
        asked = containing(query, *_TYPED)
        found = table(rows.where(*filters.conditions(filters.USER, asked)))
        places = {row.organization_id for row in found.rows}
        held = {id for row in found.rows for id in row.role_ids or ()}
        return {
            "table": found,
            "query": query,
            "locked": {row.id for row in found.rows if minutes_locked(row)},
            "organizations": may.names(Resource.ORGANIZATION, places),
            "roles": may.names(Resource.ROLE, held),
        }


def _sealed() -> dict[str, Any]:
    """The hash of the password in the form; None of one that breaks a rule, which is said later."""
    text = request.form.get("password", "")
    fits = passwords.password_problem(text) is None
    return {"sealed": passwords.seal(text) if fits else None}


@blp.route("/user/new")
class NewUser(MethodView):
    @guard.some(USER, Operation.CREATE)
    @arguments(Place, location="query")
    @page("user_form.html")
    def get(self, query, who, authz, may):
        """The form for one more, in an organization: which roles there are depends on it."""
        places = may.places(USER)
        place = query.get("organization_id", who.organization_id)
        place = place if place in places else next(iter(places), None)
        return {
            "row": None,
            "fields": _FIELDS,
            "places": places,
            "place": place,
            "roles": _offered(who, authz, place),
            "held": (),
        }

    @guard.creates(USER, beforehand=_sealed)
    @arguments(UserIn)
    @page()
    def post(self, fields, who, authz, sealed):
        """Add it."""
        row = users.create(who, authz, fields, sealed, KNOWN)
        return done(f"{row.username} has been added.", "user", row)


@blp.route("/user/<int:id>")
class User(MethodView):
    @guard.one(USER)
    @page("user.html")
    def get(self, row, who, may):
        """One user: who that is, and what was given to it."""
        changes = {name: change(name) for name in (*_FIELDS, "sessions")}
        can = may.acts(row, **changes, deletes=DELETE)
        return {
            "row": row,
            "edits": any(can[name] for name in _FIELDS),
            "ends_sessions": can["sessions"],
            "deletes": can["deletes"],
            "locked": minutes_locked(row),
            "organizations": may.names(Resource.ORGANIZATION, [row.organization_id]),
            "roles": may.names(Resource.ROLE, row.role_ids or ()),
            "others": users.has_other_roles(row),
        }


@blp.route("/user/<int:id>/edit")
class UserEdit(MethodView):
    @guard.one(USER, Operation.EDIT, changes=None)
    @page("user_form.html")
    def get(self, row, who, authz, may):
        """The form with what may be changed of it."""
        fields = may.fields(row, *_FIELDS)
        if not fields:
            authz.require(who, Operation.EDIT, row, frozenset({"lastname"}))
        if users.has_other_roles(row):  # they would be taken away unseen
            fields -= {"roles"}
        return {
            "row": row,
            "fields": fields,
            "roles": _offered(who, authz, row.organization_id, row.role_ids or ()),
            "held": row.role_ids or (),
            "matrix": matrix(who, authz, *users.rights(row)),
            "operations": OPERATIONS,
        }

    @guard.edits(USER)
    @arguments(UserPatch)
    @page()
    def post(self, changes, who, authz, row):
        """Change it."""
        users.change(who, authz, row, changes, KNOWN, strict=True)
        return done(f"{row.username} has been changed.", "user", row)


@blp.route("/user/<int:id>/session")
class UserSessions(MethodView):
    @guard.one(USER, Operation.EDIT, changes=_SESSIONS)
    @page("user_sessions.html")
    def get(self, row):
        """Where it is logged in."""
        found = table(AllowedRows(sessions.of_user(row), {}))
        return {"row": row, "table": found, "current": claims().session_id}

    @guard.one(USER, Operation.EDIT, changes=_SESSIONS)
    @page()
    def post(self, row):
        """Log it out everywhere."""
        sessions.end_all(row)
        return done(f"{row.username} is logged out everywhere.", "user", row)


@blp.route("/user/<int:id>/session/<string:name>")
class UserSession(MethodView):
    @guard.one(USER, Operation.EDIT, changes=_SESSIONS)
    @page()
    def post(self, row, name):
        """End one of its sessions."""
        sessions.end_one(row, name)
        return done("The session has ended.", "user_sessions", row)


@blp.route("/user/<int:id>/delete")
class UserDeletion(MethodView):
    @guard.one(USER, Operation.DELETE)
    @page("user_deletion.html")
    def get(self, row):
        """What goes with it, and the button."""
        return {"row": row}

    @guard.deletes(USER)
    @arguments(Dependents)
    @page()
    def post(self, form, who, authz, row):
        """Remove it."""
        name = row.username
        users.remove(who, authz, row, with_dependents=form["delete_dependents"])
        return done(f"{name} has been removed.", "users")


def _offered(
    who: Principal, authz: Authorizer, organization_id: int | None, held: Collection[int] = ()
) -> list[Role]:
    """The roles to choose from, without those that come with being a user, node or container."""
    policy = authz.policy
    of_kinds = {role for kind in PrincipalKind for role in inherited(policy, f"kind:{kind}")}
    found = roles.to_hand_out(who, authz, organization_id)
    return [role for role in found if role.id in held or role.subject not in of_kinds]
