"""/console/policy: which policy is live, and every version that was."""

from flask.views import MethodView

from v6srv.api import guard
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.source.live import store_of
from v6srv.console.blueprint import blp, page
from v6srv.console.tables import table
from v6srv.service import policy_versions
from v6srv.vocabulary import Resource

POLICY = Resource.POLICY


@blp.route("/policy")
class Policy(MethodView):
    @guard.whole(POLICY)
    @page("policy.html")
    def get(self, authz):
        """The policy that this process decides by, and what keeps a newer one away."""
        live, texts = policy_versions.live(authz), store_of(authz).texts
        return {"live": live, "files": texts, "marks": marks(live["problems"])}


@blp.route("/policy/version")
class PolicyVersions(MethodView):
    @guard.whole(POLICY)
    @page("policy_versions.html")
    def get(self):
        """The versions of the policy files that were live."""
        found = table(AllowedRows(policy_versions.summaries(), {}))
        return {"table": found, "versions": policy_versions.checked(found.rows)}


@blp.route("/policy/version/<int:id>")
class PolicyVersion(MethodView):
    @guard.whole(POLICY)
    @page("policy_version.html")
    def get(self, id):
        """One version with its files."""
        found = policy_versions.version(id)
        return {"row": found, "files": found.files}


def marks(problems):
    """Problems by file, and by line of it; 0: by none."""
    found = {}
    for one in problems:
        found.setdefault(one.file, {}).setdefault(one.line, []).append(one)
    return found
