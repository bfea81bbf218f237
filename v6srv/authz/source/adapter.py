"""What the database adds to the policy files: rules, custom roles, and the lines of admins."""

from typing import Any

from sqlalchemy import Row, select

from v6srv.authz.line import Line
from v6srv.db import session
from v6srv.model import CasbinRule, Role, RoleRule, Rule

ADDED = "db:casbin_rule:"
"""Origin of the lines that admins add, followed by the id of the row."""


def database_lines() -> list[Line]:
    """What the tables of the contract and admins add to the files, in the current transaction.

    A line `p, rule:<id>` for each rule, which extra rules of users point to; a line for each rule
    of each custom role; and the lines of `casbin_rule`. Fields are taken as stored, never parsed.
    """
    # In a fixed order: the version of the policy is the same on every process and database.
    declared = select(Rule.id, Rule.name, Rule.scope, Rule.operation).order_by(Rule.id)
    rules = {
        rule.id: (rule.name, rule.scope.value, rule.operation.value, "True", "allow")
        for rule in session.execute(declared)
    }
    lines = [Line("p", (f"rule:{id}", *values), f"db:rule:{id}") for id, values in rules.items()]
    custom = (
        select(RoleRule.c.role_id, RoleRule.c.rule_id)
        .join(Role, Role.id == RoleRule.c.role_id)
        .where(Role.slug.is_(None))
        .order_by(RoleRule.c.role_id, RoleRule.c.rule_id)
    )
    lines += [
        Line("p", (f"role:{role}", *rules[rule]), f"db:role:{role}")
        for role, rule in session.execute(custom)
    ]
    added = select(CasbinRule.__table__).order_by(CasbinRule.id)
    lines += [line_of(row) for row in session.execute(added)]
    return lines


def line_of(row: Row[Any] | CasbinRule) -> Line:
    """The line that a row of `casbin_rule` is."""
    values = (row.v0, row.v1, row.v2, row.v3, row.v4, row.v5)
    given = tuple(value for value in values if value is not None)
    return Line(
        row.ptype or "",
        given,
        f"{ADDED}{row.id}",
        valid_from=row.valid_from,
        valid_until=row.valid_until,
    )
