"""/console/policy/decision: what was decided, newest first, and one decision."""

from urllib.parse import urlencode

from flask import redirect, request, url_for
from flask.views import MethodView
from marshmallow import validate

from v6srv.api import guard
from v6srv.authz.facts import MODELS
from v6srv.console.blueprint import arguments, blp, page
from v6srv.policy import ask
from v6srv.policy.audit import trail
from v6srv.vocabulary import Effect, Operation, Resource
from v6srv.wire.base import Input, Text

POLICY = Resource.POLICY


class ActivityQuery(Input):
    """Which decisions to look at; all unless told."""

    principal = Text()
    effect = Text(validate=validate.OneOf([str(e) for e in Effect]))
    resource = Text(validate=validate.OneOf([str(r) for r in Resource]))
    operation = Text(validate=validate.OneOf([str(o) for o in Operation]))
    id = Text()
    since = Text()
    until = Text()
    start = Text()
    """Where in the log to go on."""


@blp.route("/policy/decision")
class PolicyActivity(MethodView):
    @guard.whole(POLICY)
    @arguments(ActivityQuery, location="query")
    @page("policy_activity.html")
    def get(self, query, authz):
        """The decisions that were written down, newest first."""
        if query.get("id"):
            return redirect(url_for("console.policy_decision", id=query["id"].strip()), 303)
        wanted = trail.Wanted(
            **{name: query[name] for name in _ALIKE if query.get(name)},
            **{name: ask.moment(query[name]) for name in _TIMES if query.get(name)},
        )
        log = authz.decisions
        past = trail.look_back(log.series, wanted, query.get("start")) if log else None
        return {
            "query": query,
            "past": past,
            "older": past and past.older and _url(start=past.older),
            "newest": "start" in query and _url(start=None),
            "sample": log.sample if log else 0,
            "resources": Resource,
            "operations": Operation,
        }


_ALIKE, _TIMES = ("principal", "effect", "resource", "operation"), ("since", "until")


def _url(**changed):
    """This page with something else in its query; None: without it."""
    kept = {name: text for name, text in request.args.items() if name not in changed}
    return f"{request.path}?{urlencode(kept | {k: v for k, v in changed.items() if v})}"


@blp.route("/policy/decision/<string:id>")
class PolicyDecision(MethodView):
    @guard.whole(POLICY)
    @page("policy_decision.html")
    def get(self, id, authz):
        """One decision, with a way to ask the same again."""
        found = trail.look_up(authz.decisions, id)
        return {"found": found, "again": again(found)}


def again(record):
    """The query that asks the policy of now what was asked then; None where it has no words."""
    asked = {
        "principal": record["principal"]["id"],
        "operation": record["operation"],
        "resource": record["resource"],
    }
    if record["question"] in ("any", "whole", "rows", "caller"):
        return asked
    if record["question"] != "row" or not isinstance(record.get("row"), int):
        return None
    table = next((r for r, m in MODELS.items() if m.__name__ == record.get("table")), None)
    if table is None:
        return None
    asked |= {"id": record["row"]} | ({} if table == record["resource"] else {"on": table.value})
    if record.get("changes"):
        asked["changes"] = ",".join(record["changes"])
    return asked
