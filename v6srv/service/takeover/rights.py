"""Whose rights are other ones on this server than on the old server, and why."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from v6srv.db import session
from v6srv.errors import Conflict
from v6srv.model import Permission, RoleRule, Rule, User, UserPermission

Right = tuple[str, str, str]
"""Resource, scope, operation, in the words of policy lines."""


def right(rule: str) -> Right:
    """What is behind `task:organization:view`."""
    resource, scope, operation = rule.split(":")
    return resource, scope, operation


@dataclass(frozen=True, slots=True)
class Change:
    """A right that a user has on one of the two servers only, and why."""

    user_id: int
    username: str | None
    gained: bool
    """False: the user had it on the old server and does not have it here."""
    right: Right
    reason: str


Pairs = Mapping[str, Collection[tuple[int, int]]]
"""Of the source: `held` user and role, `extra` user and rule, `granted` role and rule."""


def differences(
    rights: Mapping[int, Right], pairs: Pairs, defaults: Mapping[int, str]
) -> list[Change]:
    """Every difference in the rights of users.

    `rights` are those behind the rule ids of the source, `defaults` the names of default roles by
    id. Raises Conflict for a difference without a reason.
    """
    extra = defaultdict(set)
    for user, rule in pairs["extra"]:
        extra[user].add(rights[rule])
    known = set(rules_here())
    changes = list(_changes(rights, pairs, defaults, extra, known))
    unexplained = [
        change
        for change in changes
        if not change.reason
        or (not change.gained and change.right in extra[change.user_id] and change.right in known)
    ]
    if unexplained:
        raise Conflict(
            "\n".join(
                f"user {change.user_id} {'gains' if change.gained else 'loses'} "
                f"{' '.join(change.right)} for no known reason"
                for change in unexplained
            )
        )
    return changes


def _changes(
    rights: Mapping[int, Right],
    pairs: Pairs,
    defaults: Mapping[int, str],
    extra: Mapping[int, set[Right]],
    known: Collection[Right],
) -> Iterator[Change]:
    granted, roles = defaultdict(set), defaultdict(set)
    for role, rule in pairs["granted"]:
        granted[role].add(rights[rule])
    for user, role in pairs["held"]:
        roles[user].add(role)
    now, by_role = _rights_here()
    for user, name in session.execute(select(User.id, User.username).order_by(User.id)):
        before = extra[user].union(*(granted[role] for role in roles[user]))
        for right in sorted(before ^ now[user]):
            gained = right not in before
            # Who makes the difference: roles that have the right on one side only.
            there = {role for role in roles[user] if right in granted[role]}
            here = {role for role in roles[user] if right in by_role[role]}
            if not gained and right not in known:
                reason = "this server has no such rule"
            elif (blamed := here if gained else there) and blamed <= defaults.keys():
                names = ", ".join(sorted(defaults[role] for role in blamed))
                reason = f"default role {names} follows the policy files"
            else:
                reason = ""
            yield Change(user, name, gained, right, reason)


def rules_here() -> dict[Right, int]:
    """The ids of the rules of this server."""
    query = select(Rule.id, Rule.name, Rule.scope, Rule.operation)
    return {
        (name, scope.value, operation.value): id_
        for id_, name, scope, operation in session.execute(query)
    }


def _rights_here() -> tuple[dict[int, set[Right]], dict[int, set[Right]]]:
    """What users and what roles may do by the rows of this database, by id."""
    rights = {id_: right for right, id_ in rules_here().items()}
    by_role: dict[int, set[Right]] = defaultdict(set)
    for role, rule in session.execute(select(RoleRule.c.role_id, RoleRule.c.rule_id)):
        by_role[role].add(rights[rule])
    by_user: dict[int, set[Right]] = defaultdict(set)
    for user, role in session.execute(select(Permission.c.user_id, Permission.c.role_id)):
        by_user[user] |= by_role[role]
    for user, rule in session.execute(select(UserPermission.c.user_id, UserPermission.c.rule_id)):
        by_user[user].add(rights[rule])
    return by_user, by_role
