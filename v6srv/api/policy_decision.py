"""/policy/decision: what was decided, by the id that a refusal carries."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.policy.audit import trail
from v6srv.vocabulary import Resource
from v6srv.wire.policy_decision import LoggedDecisionOut

blp = Blueprint("policy decision", __name__, description="Decisions that were made")


@blp.route("/policy/decision/<string:id>")
class PolicyDecision(MethodView):
    @guard.whole(Resource.POLICY)
    @blp.response(200, LoggedDecisionOut)
    def get(self, id, authz):
        """One decision of the log: who asked what, the effect, and the lines it came from."""
        return trail.look_up(authz.decisions, id)
