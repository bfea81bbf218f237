"""/policy: which policy is live, and every version that was."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.service import policy_versions
from v6srv.vocabulary import Resource
from v6srv.wire.errors import ErrorOut
from v6srv.wire.policy_version import PolicyOut, PolicyVersionOut, VersionSummaryOut

blp = Blueprint("policy version", __name__, description="The live policy and its history")
POLICY = Resource.POLICY


@blp.route("/policy")
class Policy(MethodView):
    @guard.whole(POLICY)
    @blp.response(200, PolicyOut)
    def get(self, authz):
        """The policy that this process decides by, and why a newer one could not go live."""
        return policy_versions.live(authz)


@blp.route("/policy/version")
class PolicyVersions(MethodView):
    @guard.whole(POLICY)
    @paged(VersionSummaryOut, show=policy_versions.checked)
    def get(self):
        """List the versions of the policy files that were live, newest first."""
        return policy_versions.summaries()


@blp.route("/policy/version/<int:id>")
class PolicyVersion(MethodView):
    @guard.whole(POLICY)
    @blp.response(200, PolicyVersionOut)
    @blp.alt_response(409, schema=ErrorOut, description="It is not what was recorded any more")
    def get(self, id):
        """One version with its files."""
        return policy_versions.version(id)
