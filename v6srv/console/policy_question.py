"""/console/policy/who-can, can and matrix: what the policy grants, seen from above."""

from urllib.parse import urlencode

from flask import render_template, request, url_for
from flask.views import MethodView
from marshmallow import fields, validate
from werkzeug import Response

from v6srv.api import guard
from v6srv.console.blueprint import arguments, blp, page
from v6srv.console.policy_explain import ASKED
from v6srv.policy.who import matrix, overview, spreadsheet
from v6srv.vocabulary import Operation, Resource
from v6srv.wire.base import Input, Text
from v6srv.wire.policy_question import MatrixQuery, WhatCanQuery, WhoCanQuery

POLICY = Resource.POLICY
WORDS = {"resources": Resource, "operations": Operation}
ROLES = 25
"""Of the access map at a time: each has a cell for every operation on every resource."""


@blp.route("/policy/who-can")
class PolicyWhoCan(MethodView):
    @guard.whole(POLICY)
    @arguments(WhoCanQuery(partial=True), location="query")
    @page("policy_who_can.html")
    def get(self, query, authz):
        """All who may do something, by why they may."""
        found = overview.who_can(authz.policy, query) if query.keys() >= ASKED else None
        return {"query": query, "found": found, "file": _file("policy_who_can_csv"), **WORDS}


@blp.route("/policy/who-can.csv")
class PolicyWhoCanCsv(MethodView):
    @guard.whole(POLICY)
    @arguments(WhoCanQuery, location="query")
    @page()
    def get(self, query, authz):
        """The same as a file."""
        return _sheet("who-can", spreadsheet.of_who_can(overview.who_can(authz.policy, query)))


@blp.route("/policy/can")
class PolicyCan(MethodView):
    @guard.whole(POLICY)
    @arguments(WhatCanQuery, location="query")
    @page("policy_can.html")
    def get(self, query, authz):
        """What somebody may do."""
        is_asked = "principal" in query or "made_up" in query
        found = overview.what_can(authz.policy, query) if is_asked else None
        return {"query": query, "found": found, "file": _file("policy_can_csv"), **WORDS}


@blp.route("/policy/can.csv")
class PolicyCanCsv(MethodView):
    @guard.whole(POLICY)
    @arguments(WhatCanQuery, location="query")
    @page()
    def get(self, query, authz):
        """The same as a file."""
        return _sheet("can", spreadsheet.of_what_can(overview.what_can(authz.policy, query)))


# --- the access map


class MapQuery(MatrixQuery):
    """Which roles and resources, and which part of the roles."""

    page = fields.Integer(load_default=1, validate=validate.Range(1, 1_000_000))


class CellQuery(Input):
    """One cell."""

    role = Text(required=True)
    resource = Text(required=True, validate=validate.OneOf([str(r) for r in Resource]))
    operation = Text(required=True, validate=validate.OneOf([str(o) for o in Operation]))


@blp.route("/policy/matrix")
class PolicyMatrix(MethodView):
    @guard.whole(POLICY)
    @arguments(MapQuery, location="query")
    @page("policy_matrix.html")
    def get(self, query, authz):
        """What each role grants, as a map and as a table."""
        return {**_map(authz, query), "file": _file("policy_matrix_csv"), **WORDS}


@blp.route("/policy/matrix.svg")
class PolicyMatrixPicture(MethodView):
    @guard.whole(POLICY)
    @arguments(MapQuery, location="query")
    @page()
    def get(self, query, authz):
        """The map alone, as a picture."""
        shown = render_template("console/policy_matrix.svg", alone=True, **_map(authz, query))
        return _download("access-map.svg", shown, "image/svg+xml")


@blp.route("/policy/matrix.csv")
class PolicyMatrixCsv(MethodView):
    @guard.whole(POLICY)
    @arguments(MatrixQuery, location="query")
    @page()
    def get(self, query, authz):
        """All of it, as a table."""
        found = overview.matrix(authz.policy, query)["roles"]
        return _sheet("access-map", spreadsheet.of_matrix(found))


@blp.route("/policy/matrix/cell")
class PolicyMatrixCell(MethodView):
    @guard.whole(POLICY)
    @arguments(CellQuery, location="query")
    @page("policy_matrix_cell.html")
    def get(self, query, authz):
        """The lines behind a cell."""
        about = Resource(query["resource"]), Operation(query["operation"])
        return {
            "found": matrix.behind(authz.policy, query["role"], *about),
            "words": matrix.cell_words,
        }


def _map(authz, query):
    known = [one.subject for one in matrix.holders(authz.policy)]
    chosen = query.get("role") or known
    first = (query["page"] - 1) * ROLES
    some = query | {"role": chosen[first : first + ROLES]}
    found = overview.matrix(authz.policy, some)["roles"] if some["role"] else []
    return {
        "query": query,
        "found": found,
        "first": first + 1,
        "total": len(chosen),
        "is_last": first + ROLES >= len(chosen),
        "words": matrix.cell_words,
        "width": matrix.width,
    }


# --- files


def _sheet(name, text):
    return _download(f"{name}.csv", text, "text/csv")


def _download(name, text, kind):
    answer = Response(text, mimetype=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _file(endpoint):
    """The same question, answered as a file."""
    return f"{url_for(f'console.{endpoint}')}?{urlencode([*request.args.items(multi=True)])}"
