"""/rule: GET list and by id. Rules are no secret: every user may read what can be granted."""

from flask.views import MethodView
from sqlalchemy import false

from v6srv.api import filters, guard
from v6srv.api.blueprint import Blueprint
from v6srv.api.paging import paged
from v6srv.authz.rules import OWN_RULES
from v6srv.dialect.rule_names import KNOWN_TO_3
from v6srv.model import Rule as Row
from v6srv.service import roles
from v6srv.vocabulary import Operation, Resource, Scope
from v6srv.wire.v3.rule import RuleOut, RuleQuery

blp = Blueprint("rule", __name__, description="Rules that can be granted")


def _is_word(column, words):
    """The column is the word that is written like this in capitals; other text matches nothing."""
    return lambda text: column == words[text] if text in words.__members__ else false()


_FILTERS = {
    "name": lambda name: Row.name == name,
    "scope": _is_word(Row.scope, Scope),
    "operation": _is_word(Row.operation, Operation),
    "role_id": filters.RULE["role_id"],
}
_OF_CONTRACT = Row.name.not_in({rule.resource.value for rule in OWN_RULES})

# Rules are what roles are made of: all of them are shown to who may view any role.
_views_roles = guard.rows(Resource.ROLE)


@blp.route("/rule")
class Rules(MethodView):
    @_views_roles
    @blp.arguments(RuleQuery, location="query")
    @paged(RuleOut)
    def get(self, query, who, authz):
        """List the rules that can be granted.

        Those of resources that 3.x does not know (`policy`) are shown to who asks for them, by
        `name` or by `role_id`.
        """
        asked_for = {"name", "role_id"} & query.keys()
        narrowed = filters.conditions(_FILTERS, query)
        found = roles.rules(who, authz, KNOWN_TO_3, query.get("role_id"))
        return found.where(*narrowed, *(() if asked_for else (_OF_CONTRACT,)))


@blp.route("/rule/<int:id>")
class Rule(MethodView):
    @_views_roles
    @blp.response(200, RuleOut)
    def get(self, id, who, authz):
        """One rule."""
        return roles.rule(who, authz, id, KNOWN_TO_3)
