"""What an answer shows of related rows: those that its reader may view.

One condition for each linked table, from the same plans as lists and single rows, inside the query
that reads the row, as the wire format of the request has them. Nothing is asked or logged for each
link: the reader asked for the row.
"""

import logging
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import true
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.authz.attempt import attempt
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import RESOURCES, TABLES
from v6srv.authz.principal import Principal
from v6srv.authz.sql import Where
from v6srv.db import Base
from v6srv.dialect import asked
from v6srv.model import Rule
from v6srv.model.derived import Linked, links_of, with_wire
from v6srv.vocabulary import Operation, Resource

log = logging.getLogger(__name__)

_RESOURCES = RESOURCES | {Rule: Resource.ROLE}
"""Rules have no lines of their own: who may view any role may view all of them (`api/rule.py`)."""

_shown: WeakKeyDictionary[Where, dict[Linked, ORMOption]] = WeakKeyDictionary()
"""Loader options by the condition they cut with: making one takes longer than many a query."""

ALL = Where(true(), {})
"""No condition at all."""


def wire(
    policy: Enforcer, who: Principal, model: type[Base]
) -> tuple[list[ORMOption], dict[str, Any]]:
    """Loader options that read what the wire format shows of rows of `model` to `who`.

    And the parameters to execute such a query with.
    """
    dialect = asked.current().dialect
    options: list[ORMOption] = [*with_wire[dialect]]
    parameters: dict[str, Any] = {}
    for linked in links_of(model, dialect):
        found, error = attempt(_limit, policy, who, linked.model)
        if error is not None:
            message = "policy %s failed for %s: no links"
            log.error(message, policy.version, who.subject, exc_info=error)
        if found is not None:
            where, values = found
            options.append(_option(linked, where))
            parameters |= values
    return options, parameters


def _limit(
    policy: Enforcer, who: Principal, model: type[Base]
) -> tuple[Where, dict[str, Any]] | None:
    """Which rows of a table `who` may view, and the parameters; None when there can be none."""
    asked = policy.asked(who.facts, _RESOURCES[model], Operation.VIEW, TABLES.get(model))
    if asked.plan.never:
        return None
    if asked.plan.always or model is Rule:
        return ALL, {}
    where = asked.where(f"link_{model.__tablename__}")
    return where, where.parameters(who.facts, Operation.VIEW.value)


def _option(linked: Linked, where: Where) -> ORMOption:
    known = _shown.setdefault(where, {})
    if linked not in known:
        known[linked] = linked.shown(None if where is ALL else where.condition)
    return known[linked]
