"""The facts of rows as Python values, read by the same definitions as every WHERE.

For what looks at rows one by one, such as explanations: lists and decisions ask in SQL.
"""

from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, Select, join, select, true

from v6srv.authz.facts import TABLES, SetOf, TableFacts, rule_text
from v6srv.db import Base, session
from v6srv.model import Account, Collaboration, Organization, Rule
from v6srv.vocabulary import Resource

_ACCOUNT = Account.__table__.alias("fact_of_account")
_COLLABORATION = Collaboration.__table__.alias("fact_of_collaboration")
_ORGANIZATION = Organization.__table__.alias("fact_of_organization")
_RULE = Rule.__table__.alias("fact_of_rule")

_MEMBERS: Mapping[str, tuple[Any, ColumnElement[Any]]] = {
    "orgs": (_ORGANIZATION, _ORGANIZATION.c.id),
    "owner_orgs": (_ORGANIZATION, _ORGANIZATION.c.id),
    "collabs": (_COLLABORATION, _COLLABORATION.c.id),
    "owners": (_ACCOUNT, _ACCOUNT.c.id),
    "refused": (_ACCOUNT, _ACCOUNT.c.id),
    "rules": (_RULE, rule_text(_RULE)),
    "role_rules": (_RULE, rule_text(_RULE)),
}
"""Where the members of each set fact are, and what it compares of them."""


def row_facts(
    model: type[Base], ids: Collection[int], resource: Resource
) -> dict[int, SimpleNamespace]:
    """The facts of rows of a table, by id, as `r.obj` of this resource; unknown ids are missing.

    One query for the single values and one for each set, whatever the number of rows.
    """
    table = TABLES[model]
    scalars: list[ColumnElement[Any]] = [s.column.label(n) for n, s in table.scalars.items()]
    query = select(table.key.label("policy_key"), *scalars).where(table.key.in_(ids))
    found: dict[int, SimpleNamespace] = {}
    for row in session.execute(query).mappings():
        values = dict(row)
        id = values.pop("policy_key")
        found[id] = SimpleNamespace(type=resource.value, **values)
    for name, fact in table.sets.items():
        members = {} if fact.never else _members(table, ids, name, fact)
        for id, facts in found.items():
            setattr(facts, name, frozenset(members.get(id, ())))
    return found


def _members(
    table: TableFacts, ids: Collection[int], name: str, fact: SetOf
) -> dict[int, set[Any]]:
    candidates, value = _MEMBERS[name]
    # The one candidate of the outer query, as a set of one: `meets` is asked as in every list.
    one: Select[Any] = select(value).correlate(candidates)
    query = (
        select(table.key, value)
        .select_from(join(table.model.__table__, candidates, true()))
        .where(table.key.in_(ids), fact.meets(one))
    )
    members: dict[int, set[Any]] = {}
    for id, member in session.execute(query):
        members.setdefault(id, set()).add(f"{fact.kind}:{member}" if fact.kind else member)
    return members
