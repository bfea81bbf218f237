"""/policy/explain: why somebody may or may not do something."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.policy.explain import explanation
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.policy_explain import ExplainQuery, ExplanationOut

blp = Blueprint("policy explain", __name__, description="Why the policy decides as it does")


@blp.route("/policy/explain")
class Explain(MethodView):
    @guard.whole(Resource.POLICY, Operation.VIEW)
    @blp.arguments(ExplainQuery, location="query")
    @blp.response(200, ExplanationOut)
    def get(self, query, authz):
        """Why a principal may or may not do something, and what would change it.

        With `principal` or `as`, `operation` and `resource`; and of the row `id` or `row` (and
        `on`), or `room`, or nothing: then it is asked of the resource as a whole.
        """
        return explanation.answer(authz.policy, query)
