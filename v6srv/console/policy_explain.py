"""/console/policy/explain: why somebody may or may not do something, by a link that asks it."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.console.blueprint import arguments, blp, page
from v6srv.policy.explain import explanation
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.policy_explain import ExplainQuery

ASKED = {"operation", "resource"}
"""What a question has at least."""


@blp.route("/policy/explain")
class PolicyExplain(MethodView):
    @guard.whole(Resource.POLICY)
    @arguments(ExplainQuery(partial=True), location="query")
    @page("policy_explain.html")
    def get(self, query, authz):
        """The question as a form, and below it the answer."""
        found = explanation.answer(authz.policy, query) if query.keys() >= ASKED else None
        return {"query": query, "found": found, "resources": Resource, "operations": Operation}
