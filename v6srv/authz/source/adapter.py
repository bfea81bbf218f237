"""What the database adds to the policy files: rules, custom roles, and the lines of admins."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import Row, Text, cast, select

from v6srv.authz.line import DATABASE, Line
from v6srv.authz.parts import OF_ROLE, Roles
from v6srv.db import json_rows, session
from v6srv.model import CasbinRule, Role, RoleRule, Rule

ADDED = "db:casbin_rule:"
"""Origin of the lines that admins add, followed by the id of the row."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database adds to the files at one moment."""

    rules: Sequence[Line]
    """A line `p, rule:<id>` for each rule, which extra rules of users point to."""
    roles: Mapping[int, str]
    """The rules of each custom role that has some: their ids, as JSON.

    Most of it is what it was when it was read last: it is compared, not read again.
    """
    added: Sequence[Line]
    """The lines of `casbin_rule`."""

    def of_roles(self, roles: Iterable[int]) -> Roles:
        """The lines of custom roles, one for each rule; none of a role that has none."""
        values = {line.values[0]: line.values[1:] for line in self.rules}
        return {
            role: [
                Line("p", (f"role:{role}", *values[f"rule:{rule}"]), f"{OF_ROLE}{role}")
                for rule in sorted(json.loads(self.roles.get(role, "[]")))
            ]
            for role in roles
        }

    @property
    def lines(self) -> list[Line]:
        """All of them, in an order that is the same on every process and database."""
        of_roles = self.of_roles(sorted(self.roles)).values()
        return [*self.rules, *chain.from_iterable(of_roles), *self.added]


def stored() -> Stored:
    """What the tables of the contract and admins add to the files, in the current transaction.

    Fields are taken as stored, never parsed.
    """
    declared = select(Rule.id, Rule.name, Rule.scope, Rule.operation).order_by(Rule.id)
    rules = [
        (f"rule:{rule.id}", rule.name, rule.scope.value, rule.operation.value, "True", "allow")
        for rule in session.execute(declared)
    ]
    custom = (
        select(RoleRule.c.role_id, cast(json_rows(RoleRule.c.rule_id), Text))
        .join(Role, Role.id == RoleRule.c.role_id)
        .where(Role.slug.is_(None))
        .group_by(RoleRule.c.role_id)
    )
    added = select(CasbinRule.__table__).order_by(CasbinRule.id)
    return Stored(
        [Line("p", values, f"{DATABASE}{values[0]}") for values in rules],
        dict(session.execute(custom).tuples().all()),
        [line_of(row) for row in session.execute(added)],
    )


def database_lines() -> list[Line]:
    """The lines that `stored` is."""
    return stored().lines


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
