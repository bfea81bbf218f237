"""/rule: GET list and by id. Rules are no secret: every user may read what can be granted."""

from collections.abc import Collection
from typing import Any

from flask.views import MethodView

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.authz.rules import OWN_RULES
from v6srv.dialect.rule_names import KNOWN_TO_4, NAMES
from v6srv.service import lists, roles
from v6srv.vocabulary import Resource
from v6srv.wire.v4.rule import RuleOut, RuleQuery

blp = Blueprint("rule", __name__, description="Rules that can be granted")

_WORDS = ("name", "operation", "scope")
_OWN = frozenset(rule.text for rule in OWN_RULES)

# Rules are what roles are made of: all of them are shown to who may view any role.
_views_roles = guard.rows(Resource.ROLE)


def _named(query: dict[str, Any], shown: Collection[str]) -> set[str]:
    """Those of the rules that are `shown` which the words of a query name; takes these out."""
    words = {place: query.pop(word) for place, word in enumerate(_WORDS) if word in query}
    return {
        rule for rule in shown if all(NAMES[rule][place] == word for place, word in words.items())
    }


@blp.route("/rule")
class Rules(MethodView):
    @_views_roles
    @blp.arguments(RuleQuery, location="query")
    @paged(RuleOut, dialect=4, whole="no_pagination")
    def get(self, query, who, authz):
        """List the rules that can be granted, all at once with `no_pagination=1`.

        Those of resources that the contract does not know (`policy`) are shown to who asks for
        them, by `name`, `role_id` or `user_id`.
        """
        query.pop("no_pagination")
        lists.require_view(who, authz, Resource.USER, query.get("user_id"))
        shown = KNOWN_TO_4 if {"name", "role_id", "user_id"} & query.keys() else KNOWN_TO_4 - _OWN
        found = roles.rules(who, authz, _named(query, shown), query.get("role_id"))
        return found.where(*filters.conditions(filters.RULE, query))


@blp.route("/rule/<int:id>")
class Rule(MethodView):
    @_views_roles
    @blp.response(200, RuleOut)
    def get(self, id, who, authz):
        """One rule."""
        return roles.rule(who, authz, id, KNOWN_TO_4)
