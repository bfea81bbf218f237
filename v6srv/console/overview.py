"""/console: what is going on, as far as somebody may see it."""

from collections import Counter
from datetime import timedelta
from itertools import islice

from flask.views import MethodView

from v6srv.api import guard
from v6srv.authz import clock
from v6srv.console import bars
from v6srv.console.blueprint import blp, page
from v6srv.policy.audit import trail
from v6srv.service import health, past_events, policy_versions, task_overview
from v6srv.vocabulary import Effect, Operation, Resource

DAYS = 14
HOURS = 24
MOST_DENIALS = 5_000
"""So many of the last are counted: the log can be large."""
EVENTS_OF = timedelta(hours=1)
SHOWN_EVENTS = 12


@blp.route("/")
class Overview(MethodView):
    @guard.own(Resource.USER, Operation.VIEW)
    @page("overview.html")
    def get(self, row, who, authz, may):
        """What somebody may see at once. What changes by itself is asked for again by the page."""
        return {"user": row, "runs": _runs(who, authz), **_now(who, authz, may)}


@blp.route("/now")
class Now(MethodView):
    @guard.own(Resource.USER, Operation.VIEW)
    @page("now.html")
    def get(self, who, authz, may):
        """What can be another any second; runs are counted less often."""
        return _now(who, authz, may)


@blp.route("/runs")
class Runs(MethodView):
    @guard.own(Resource.USER, Operation.VIEW)
    @page("runs.html")
    def get(self, who, authz):
        """How many runs of each day there are."""
        return {"runs": _runs(who, authz)}


@blp.route("/denials")
class Denials(MethodView):
    @guard.whole(Resource.POLICY)
    @page("denials.html")
    def get(self, authz):
        """How much was denied in each of the last hours."""
        log, now = authz.decisions, clock.now()
        hours = [now - timedelta(hours=back) for back in reversed(range(HOURS))]
        found: Counter[str] = Counter()
        if log is not None:
            wanted = trail.Wanted(effect=Effect.DENY.value, since=now - timedelta(hours=HOURS - 1))
            for record in islice(trail.query(log.series.files(), wanted), MOST_DENIALS):
                found[record["time"][:13]] += 1
        counted = {f"{hour:%H}:00": {"denied": found[f"{hour:%Y-%m-%dT%H}"]} for hour in hours}
        return {"denials": bars.stacked(counted), "kept": log is not None, "most": MOST_DENIALS}


def _now(who, authz, may):
    online, nodes = task_overview.nodes(who, authz)
    rules = may.whole(Resource.POLICY)
    return {
        "online": online,
        "nodes": nodes,
        "problems": health.look(authz).get("problems", []) if rules else [],
        "policy": policy_versions.live(authz) if rules else None,
        "events": _events(who, authz, may),
    }


def _runs(who, authz):
    runs = task_overview.by_day(who, authz, DAYS)
    return bars.stacked({f"{day:%m-%d}": states for day, states in runs.items()})


def _events(who, authz, may):
    """The last of what the sockets of this person heard in the last hour."""
    if not may.any(Resource.EVENT):
        return []
    page = past_events.page(authz, who, clock.now() - EVENTS_OF)
    return page.data[: -SHOWN_EVENTS - 1 : -1]
