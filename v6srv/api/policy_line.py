"""/policy/line: GET list, POST, and GET, PATCH, DELETE by id. Lines that admins add."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.service import policy_lines
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import MessageOut
from v6srv.wire.policy_line import (
    PolicyLineIn,
    PolicyLineOut,
    PolicyLinePatch,
    PolicyLineQuery,
)

blp = Blueprint("policy line", __name__, description="Lines that are added to the policy")
POLICY, VIEW = Resource.POLICY, Operation.VIEW


def _shown(rows):
    return policy_lines.shown(guard.authorizer(), rows)


@blp.route("/policy/line")
class PolicyLines(MethodView):
    @guard.rows(POLICY, VIEW)
    @blp.arguments(PolicyLineQuery, location="query")
    @paged(PolicyLineOut, show=_shown)
    def get(self, query, authz, rows):
        """List the lines that were added to those of the files, in the order of their ids."""
        return rows.where(*policy_lines.narrowed(authz, query))

    @guard.creates(POLICY)
    @blp.arguments(PolicyLineIn)
    @blp.response(201, PolicyLineOut)
    def post(self, fields, who, authz):
        """Add a line. It counts from the next request on, and for sockets within a second.

        A line that the policy cannot take is refused, with what is wrong with each field.
        """
        return policy_lines.written(authz, policy_lines.create(who, authz, fields))


@blp.route("/policy/line/<int:id>")
class PolicyLine(MethodView):
    @guard.one(POLICY, VIEW)
    @blp.response(200, PolicyLineOut)
    def get(self, row, authz):
        """One line."""
        [line] = policy_lines.shown(authz, [row])
        return line

    @guard.edits(POLICY)
    @blp.arguments(PolicyLinePatch)
    @blp.response(200, PolicyLineOut)
    def patch(self, changes, who, authz, row):
        """Change the fields given; null takes a time limit or the comment away."""
        return policy_lines.written(authz, policy_lines.change(who, authz, row, changes))

    @guard.deletes(POLICY)
    @blp.response(200, MessageOut)
    def delete(self, authz, row):
        """Remove a line, unless the policy would not be valid without it."""
        policy_lines.remove(authz, row)
        return {"msg": f"policy line id={row.id} successfully deleted"}
