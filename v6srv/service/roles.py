"""Roles: what has to be true before one is created, changed or deleted.

The guard decides whether the caller may touch the role at all. Here is what goes beyond: default
roles are as the policy files say, and nobody puts a rule into a role that he or she does not hold
(permissions.md 5.2, 5.3). Everything is checked before anything is changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from v6srv.authz.authorizer import AllowedRows, Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Denied, Invalid, NotFound
from v6srv.model import Organization, Role, RoleRule, Rule
from v6srv.model.checks import require_fit, require_own_name
from v6srv.service.users import rules_of


def create(who: Principal, authz: Authorizer, fields: Mapping[str, Any]) -> Role:
    """The role that `fields` describe (rest.md 3.9).

    Without an organization it is one of the caller's. Raises Invalid for a reserved name, NotFound
    for an unknown rule or organization, and Denied for a rule that the caller does not hold.
    """
    require_own_name(fields["name"])
    rules = rules_of(fields.get("rules") or [])
    _require_holding(who, authz, rules)
    organization_id = fields.get("organization_id") or who.organization_id
    if session.get(Organization, organization_id) is None:
        raise NotFound(f"Organization id={organization_id} is not found!")
    role = Role(
        name=fields["name"],
        description=fields["description"],
        organization_id=organization_id,
        rules=rules,
    )
    session.add(role)
    return role


def change(who: Principal, authz: Authorizer, role: Role, changes: Mapping[str, Any]) -> Role:
    """Change the given fields of a role that the caller may edit; `rules` replaces the set."""
    require_fit(role, changes)
    name, rules = changes.get("name"), changes.get("rules")
    if name is not None and name != role.name:
        require_own_name(name)
    require_custom(role)
    if rules is not None:
        rules = rules_of(rules)
        _require_holding(who, authz, rules)
    if name is not None:
        role.name = name
    if changes.get("description") is not None:
        role.description = changes["description"]
    if rules is not None:
        role.rules = rules
    return role


def add_rule(who: Principal, authz: Authorizer, role: Role, rule_id: int) -> None:
    """Put a rule that the caller holds into a role; no change when it is in there already."""
    rule = _rule_to_move(who, authz, role, rule_id)
    if rule not in role.rules:
        role.rules.append(rule)


def remove_rule(who: Principal, authz: Authorizer, role: Role, rule_id: int) -> None:
    """Take a rule that the caller holds out of a role. Raises NotFound when it is not in there."""
    rule = _rule_to_move(who, authz, role, rule_id)
    if rule not in role.rules:
        raise NotFound(f"Rule id={rule_id} is not part of role id={role.id}!")
    role.rules.remove(rule)


def remove(role: Role) -> None:
    """Remove a role; who had it loses it. Raises Invalid for a default role."""
    require_custom(role)
    session.delete(role)


def require_custom(role: Role) -> None:
    """Raise Invalid for a default role: what it grants stands in the policy files (Q-23)."""
    if role.slug is not None:
        raise Invalid(f"Role {role.name} is a default role and cannot be changed or deleted!")


def rules_in(who: Principal, authz: Authorizer, role_id: int) -> AllowedRows:
    """The rules of a role, by id, with what the wire format shows of them to `who`."""
    members = select(RoleRule.c.rule_id).where(RoleRule.c.role_id == role_id)
    return authz.shown(who, Rule).where(Rule.id.in_(members))


def rule(who: Principal, authz: Authorizer, rule_id: int) -> Rule:
    """One rule, with what the wire format shows of it to `who`. Raises NotFound."""
    found: list[Rule] = []
    if rule_id <= LARGEST_ID:
        found = authz.shown(who, Rule).where(Rule.id == rule_id).read()
    if not found:
        raise NotFound(f"Rule id={rule_id} is not found!")
    return found[0]


def _rule_to_move(who: Principal, authz: Authorizer, role: Role, rule_id: int) -> Rule:
    found = rule(who, authz, rule_id)
    require_custom(role)
    _require_holding(who, authz, [found])
    return found


def _require_holding(who: Principal, authz: Authorizer, rules: Iterable[Rule]) -> None:
    lacking = authz.may_hand_out(who, rules)
    if lacking:
        raise Denied(
            "You cannot put a rule into a role, or take it out, that you don't hold!",
            lacking.decision,
        )
