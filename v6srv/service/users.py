"""User accounts: what has to be true before one is created, changed or deleted.

The guard decides whether the caller may touch the account at all. Here is what goes beyond: no
self-elevation (permissions.md 5.2), unique names, and nobody takes over a more powerful account.
Everything is checked before anything is changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select, union

from v6srv import passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound
from v6srv.model import Organization, Permission, Role, RoleRule, Rule, User, UserPermission
from v6srv.model.checks import require_fit, require_free


def create(
    who: Principal, authz: Authorizer, fields: Mapping[str, Any], sealed: str | None
) -> User:
    """The account that `fields` describe (rest.md 3.8).

    `sealed` is the hash of the password; None for one that breaks a rule. Raises Invalid, NotFound
    for an unknown organization, role or rule, and Denied.
    """
    require_free(username=fields["username"], email=fields["email"])
    organization_id = fields.get("organization_id") or who.organization_id
    if session.get(Organization, organization_id) is None:
        raise NotFound(f"Organization id={organization_id} is not found!")
    roles = _roles(fields.get("roles") or [], organization_id)
    rules = rules_of(fields.get("rules") or [])
    _require_holding(who, authz, [*_rules_in(roles), *rules])
    if sealed is None:
        raise Invalid(passwords.password_problem(fields["password"]) or "password: cannot be read")
    user = User(
        username=fields["username"],
        firstname=fields["firstname"],
        lastname=fields["lastname"],
        email=fields["email"],
        password=sealed,
        organization_id=organization_id,
        roles=roles,
        rules=rules,
    )
    session.add(user)
    return user


def change(who: Principal, authz: Authorizer, user: User, changes: Mapping[str, Any]) -> User:
    """Change the given fields of an account that the caller may edit (rest.md 3.8)."""
    if changes.get("password"):
        raise Invalid("You cannot change your password here!")
    require_fit(user, changes)
    username, email = changes.get("username"), changes.get("email")
    if username is not None and username != user.username:
        if user.id != who.account_id:
            raise Invalid("You cannot change the username of another user!")
        require_free(user, username=username)
    if email is not None and email != user.email:
        require_free(user, email=email)
        # Recovery mails go to this address: whoever changes it can take the account over.
        require_power_over(who, authz, user)
    new_roles, new_rules = changes.get("roles"), changes.get("rules")
    if new_roles is not None:
        new_roles = _roles(new_roles, user.organization_id)
    if new_rules is not None:
        new_rules = rules_of(new_rules)
    if new_roles is not None or new_rules is not None:
        roles = [] if new_roles is None else [*new_roles, *user.roles]
        rules = [] if new_rules is None else [*new_rules, *user.rules]
        _require_holding(who, authz, [*_rules_in(roles), *rules])
    for name in ("username", "firstname", "lastname", "email"):
        if changes.get(name) is not None:
            setattr(user, name, changes[name])
    if new_roles is not None:
        user.roles = new_roles
    if new_rules is not None:
        user.rules = new_rules
    return user


def remove(who: Principal, authz: Authorizer, user: User) -> None:
    """Remove an account; the tasks stay. Raises Denied for somebody more powerful."""
    require_power_over(who, authz, user)
    session.delete(user)


def require_power_over(who: Principal, authz: Authorizer, user: User) -> None:
    """Raise Denied unless `user` is the caller or has no rule that the caller lacks (Q-38)."""
    if user.id == who.account_id:
        return
    through_roles = (
        select(RoleRule.c.rule_id)
        .join(Permission, Permission.c.role_id == RoleRule.c.role_id)
        .where(Permission.c.user_id == user.id)
    )
    extra = select(UserPermission.c.rule_id).where(UserPermission.c.user_id == user.id)
    held = union(through_roles, extra).subquery()
    rules = session.scalars(select(Rule).where(Rule.id.in_(select(held.c.rule_id))))
    lacking = authz.may_hand_out(who, rules)
    if lacking:
        raise Denied("This user has permissions that you do not have!", lacking.decision)


def rules_of(ids: Iterable[int]) -> list[Rule]:
    """The rules with these ids, each once. Raises NotFound for the first unknown one."""
    wanted = set(ids)
    found = list(session.scalars(select(Rule).where(Rule.id.in_(wanted)).order_by(Rule.id)))
    for missing in sorted(wanted - {rule.id for rule in found}):
        raise NotFound(f"Rule id={missing} is not found!")
    return found


def _roles(ids: Iterable[int], organization_id: int | None) -> list[Role]:
    """The roles with these ids; Denied for those of another organization than the user's."""
    wanted = set(ids)
    found = list(session.scalars(select(Role).where(Role.id.in_(wanted)).order_by(Role.id)))
    for missing in sorted(wanted - {role.id for role in found}):
        raise NotFound(f"Role id={missing} is not found!")
    for role in found:
        if role.organization_id not in (None, organization_id):
            raise Denied(f"Role id={role.id} belongs to another organization than the user!")
    return found


def _rules_in(roles: Iterable[Role]) -> list[Rule]:
    ids = {role.id for role in roles}
    if not ids:
        return []
    query = select(Rule).where(
        Rule.id.in_(select(RoleRule.c.rule_id).where(RoleRule.c.role_id.in_(ids)))
    )
    return list(session.scalars(query))


def _require_holding(who: Principal, authz: Authorizer, rules: Iterable[Rule]) -> None:
    lacking = authz.may_hand_out(who, rules)
    if lacking:
        rule = lacking[0]
        raise Denied(
            f"You don't have the rule ({rule.name}, {rule.scope.name}, {rule.operation.name}) "
            "that you want to assign or take away!",
            lacking.decision,
        )
