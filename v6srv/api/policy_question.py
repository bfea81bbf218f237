"""/policy/who-can, /policy/can and /policy/matrix: what the policy grants, seen from above."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.policy.who import overview
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.policy_question import (
    MatrixOut,
    MatrixQuery,
    WhatCanOut,
    WhatCanQuery,
    WhoCanOut,
    WhoCanQuery,
)

blp = Blueprint("policy question", __name__, description="Who may do what")
POLICY, VIEW = Resource.POLICY, Operation.VIEW


@blp.route("/policy/who-can")
class WhoCan(MethodView):
    @guard.whole(POLICY, VIEW)
    @blp.arguments(WhoCanQuery, location="query")
    @blp.response(200, WhoCanOut)
    def get(self, query, authz):
        """All users, nodes and running containers that may do something, by why they may.

        Of the row `id` or `row` (and `on`), or `room`, or nothing: then who may for some row.
        """
        return overview.who_can(authz.policy, query)


@blp.route("/policy/can")
class WhatCan(MethodView):
    @guard.whole(POLICY, VIEW)
    @blp.arguments(WhatCanQuery, location="query")
    @blp.response(200, WhatCanOut)
    def get(self, query, authz):
        """What a principal may do: scopes, conditions and denials for each operation."""
        return overview.what_can(authz.policy, query)


@blp.route("/policy/matrix")
class Matrix(MethodView):
    @guard.whole(POLICY, VIEW)
    @blp.arguments(MatrixQuery, location="query")
    @blp.response(200, MatrixOut)
    def get(self, query, authz):
        """What each role grants by itself: default roles, custom ones, and kinds of principals."""
        return overview.matrix(authz.policy, query)
