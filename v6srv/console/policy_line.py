"""/console/policy/line: lines that admins add to those of the files."""

from flask import request
from flask.views import MethodView

from v6srv.api import guard
from v6srv.console.blueprint import arguments, blp, done, page
from v6srv.console.tables import table
from v6srv.service import policy_lines
from v6srv.vocabulary import Effect, Operation, Resource, Scope
from v6srv.wire.policy_line import PolicyLineIn, PolicyLinePatch, PolicyLineQuery

POLICY = Resource.POLICY
WORDS = {
    "resources": [*map(str, Resource), "*"],
    "operations": [*map(str, Operation), "*"],
    "scopes": [*map(str, Scope)],
    "effects": [*map(str, Effect)],
}


@blp.route("/policy/line")
class PolicyLines(MethodView):
    @guard.rows(POLICY)
    @arguments(PolicyLineQuery, location="query")
    @page("policy_lines.html")
    def get(self, query, authz, rows, may):
        """The lines that were added, in the order of their numbers."""
        asked = {name: text for name, text in query.items() if text}
        found = table(rows.where(*policy_lines.narrowed(authz, asked)))
        return {
            "query": query,
            "table": found,
            "lines": policy_lines.shown(authz, found.rows),
            "edits": may.among(Operation.EDIT, found.rows),
            "deletes": may.among(Operation.DELETE, found.rows),
            **WORDS,
        }


@blp.route("/policy/line/new")
class NewPolicyLine(MethodView):
    @guard.some(POLICY, Operation.CREATE)
    @page("policy_line_form.html")
    def get(self):
        """The form for one more; `ptype=g` for one that puts somebody into a role."""
        return {"id": None, "line": {"ptype": request.args.get("ptype", "p")}, **WORDS}

    @guard.creates(POLICY)
    @arguments(PolicyLineIn)
    @page()
    def post(self, fields, who, authz):
        """Add it."""
        line = policy_lines.written(authz, policy_lines.create(who, authz, _limits(fields)))
        return done(f"{line['origin']} has been added.", "policy_lines")


@blp.route("/policy/line/<int:id>/edit")
class PolicyLineEdit(MethodView):
    @guard.one(POLICY, Operation.EDIT, changes=None)
    @page("policy_line_form.html")
    def get(self, row, authz):
        """The form with what it says."""
        [line] = policy_lines.shown(authz, [row])
        return {"id": row.id, "line": line, **WORDS}

    @guard.edits(POLICY)
    @arguments(PolicyLinePatch)
    @page()
    def post(self, changes, who, authz, row):
        """Change it."""
        policy_lines.change(who, authz, row, _limits(changes))
        return done("The line has been changed.", "policy_lines")


@blp.route("/policy/line/<int:id>/delete")
class PolicyLineDeletion(MethodView):
    @guard.deletes(POLICY)
    @page()
    def post(self, authz, row):
        """Remove it."""
        policy_lines.remove(authz, row)
        return done("The line has been removed.", "policy_lines")


def _limits(fields):
    """What is left empty is no limit, and no comment."""
    optional = ("valid_from", "valid_until", "comment")
    return {name: None if name in optional and not text else text for name, text in fields.items()}
