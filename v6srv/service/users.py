"""User accounts: what has to be true before one is created, changed or deleted.

What one may do with them is decided by lines of the policy alone, when it is written: nobody hands
out what is not theirs, and nobody takes over a more powerful account. What the contract says where
they refuse is said here. Everything else is checked before anything is changed.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import Subquery, func, select, union

from v6srv import passwords
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import settle
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound, Refusal, V6srvError
from v6srv.model import (
    Member,
    Organization,
    Permission,
    Role,
    RoleRule,
    Rule,
    Task,
    User,
    UserPermission,
)
from v6srv.model.checks import require_fit, require_free
from v6srv.service import dependents, lists, tasks
from v6srv.service.refusals import in_words, lacking
from v6srv.vocabulary import Operation, Resource

_OWN_FIELDS = ("username", "firstname", "lastname", "email")


def create(
    who: Principal,
    authz: Authorizer,
    fields: Mapping[str, Any],
    sealed: str | None,
    known: Collection[str],
) -> User:
    """The account that `fields` describe (rest.md 3.8).

    `sealed` is the hash of the password; None for one that breaks a rule. `known`: the rules that
    there are for the caller. Raises Invalid, NotFound for an unknown organization, role or rule,
    and Denied.
    """
    require_free(username=fields["username"], email=fields["email"])
    organization_id = fields.get("organization_id") or who.organization_id
    organization = session.get(Organization, organization_id)
    if organization is None:
        raise lists.unknown(who, authz, Resource.ORGANIZATION, organization_id, Resource.USER)
    roles = _roles(who, authz, fields.get("roles") or [], organization_id)
    rules = rules_of(fields.get("rules") or [], known)
    passwords.require_good(fields["password"], [*map(fields.get, _OWN_FIELDS), organization.name])
    if sealed is None:
        raise Invalid("password: cannot be read")
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
    with in_words(lambda refusal: _of_rights(who, authz, organization_id, roles, rules, refusal)):
        settle()
    return user


def change(
    who: Principal,
    authz: Authorizer,
    user: User,
    changes: Mapping[str, Any],
    known: Collection[str],
    *,
    strict: bool = False,
) -> User:
    """Change the given fields of an account that the caller may edit (rest.md 3.8).

    `rules` replaces those that are `known` to the caller; others stay. `strict`: as that of
    `checks.require_fit`.
    """
    if changes.get("password"):
        raise Invalid("You cannot change your password here!")
    require_fit(user, changes, strict=strict)
    given = {name: changes[name] for name in _OWN_FIELDS if changes.get(name) is not None}
    given = {name: value for name, value in given.items() if value != getattr(user, name)}
    ids, here = changes.get("roles"), user.organization_id
    roles = None if ids is None else _roles(who, authz, ids, here, user.roles)
    rules = None
    if changes.get("rules") is not None:
        rules = [*rules_of(changes["rules"], known), *beyond(user.rules, known)]

    def refused(refusal: Refusal | None) -> V6srvError | None:
        if "username" in given and user.id != who.account_id:
            return Invalid("You cannot change the username of another user!")
        if "email" in given and (denied := _more_powerful(who, authz, user, refusal)):
            return denied
        moved = [*(roles or ()), *old_roles], [*(rules or ()), *old_rules]
        return _of_rights(who, authz, user.organization_id, *moved, refusal)

    require_free(user, **{name: given[name] for name in ("username", "email") if name in given})
    old_roles = [] if roles is None else [*user.roles]
    old_rules = [] if rules is None else [*user.rules]
    with in_words(refused):
        if user.id != who.account_id:
            _ask_for_what_stays(who, authz, user, roles, rules)
        for name, value in given.items():
            setattr(user, name, value)
        if roles is not None:
            user.roles = roles
        if rules is not None:
            user.rules = rules
        settle()
    return user


def remove(
    who: Principal, authz: Authorizer, user: User, *, with_dependents: bool | None = None
) -> None:
    """Remove an account. Raises Denied for somebody more powerful.

    The tasks stay, or go with it, or are in the way (Conflict), by `with_dependents`.
    """
    hanging = [tasks.hanging_on(Task.init_user_id == user.id)]
    if with_dependents is not None:
        owner = f"User id={user.id}"
        dependents.dispose(who, authz, owner, hanging, go_along=with_dependents)
    with in_words(lambda refusal: _more_powerful(who, authz, user, refusal)):
        session.delete(user)
        settle()


def permissions(
    who: Principal, authz: Authorizer, user: User, known: Collection[str]
) -> dict[str, list[int]]:
    """Ids: of the roles of a user, of the `known` rules that it has by them and by itself, and of
    the organizations in the collaborations of its own. As far as `who` may view them.
    """
    held = select(Rule).where(Rule.id.in_(select(_held_by(user).c.rule_id))).order_by(Rule.id)
    mine = select(Member.c.collaboration_id).where(Member.c.organization_id == user.organization_id)
    with_mine = select(Member.c.organization_id).where(Member.c.collaboration_id.in_(mine))
    partners = Organization.id.in_(with_mine)
    return {
        "roles": list(user.role_ids or ()),
        "rules": [rule.id for rule in session.scalars(held) if rule.text in known],
        "orgs_in_collabs": lists.ids(who, authz, Resource.ORGANIZATION, partners),
    }


def rights(user: User) -> tuple[list[str], list[int]]:
    """What policies call its roles and extra rules, and the ids of the latter."""
    rules = [rule.id for rule in user.rules]
    return [*(role.subject for role in user.roles), *(f"rule:{id}" for id in rules)], rules


def has_other_roles(user: User) -> bool:
    """Whether it has roles that `User.role_ids`, what was read of them, does not name."""
    has = select(func.count()).where(Permission.c.user_id == user.id)
    return (session.scalar(has) or 0) > len(user.role_ids or ())


def rules_of(ids: Iterable[int], known: Collection[str]) -> list[Rule]:
    """The rules with these ids, each once. Raises NotFound for the first that is not `known`."""
    wanted = set(ids)
    there = select(Rule).where(Rule.id.in_(wanted)).order_by(Rule.id)
    found = [rule for rule in session.scalars(there) if rule.text in known]
    for missing in sorted(wanted - {rule.id for rule in found}):
        raise NotFound(f"Rule id={missing} is not found!")
    return found


def beyond(rules: Iterable[Rule], known: Collection[str]) -> list[Rule]:
    """Those of which the caller does not know."""
    return [rule for rule in rules if rule.text not in known]


def _held_by(user: User) -> Subquery:
    """The ids of the rules that a user has, through roles and by itself."""
    through_roles = (
        select(RoleRule.c.rule_id)
        .join(Permission, Permission.c.role_id == RoleRule.c.role_id)
        .where(Permission.c.user_id == user.id)
    )
    extra = select(UserPermission.c.rule_id).where(UserPermission.c.user_id == user.id)
    return union(through_roles, extra).subquery()


def _roles(
    who: Principal,
    authz: Authorizer,
    ids: Iterable[int],
    organization_id: int | None,
    held: Collection[Role] = (),
) -> list[Role]:
    """The roles with these ids. One of another organization that one may not view is not found."""
    wanted = set(ids)
    found = list(session.scalars(select(Role).where(Role.id.in_(wanted)).order_by(Role.id)))
    known = (None, organization_id, who.organization_id)
    foreign = {role.id for role in found if role.organization_id not in known and role not in held}
    lists.require_seen(who, authz, Resource.ROLE, foreign)
    for missing in sorted(wanted - {role.id for role in found}):
        raise NotFound(f"Role id={missing} is not found!")
    return found


def _ask_for_what_stays(
    who: Principal,
    authz: Authorizer,
    user: User,
    roles: list[Role] | None,
    rules: list[Rule] | None,
) -> None:
    """What changes nothing is not written: it is asked where a change would be refused."""
    if roles is not None and {*roles} == {*user.roles} and lacking(who, authz, _rules_in(roles)):
        authz.require(who, Operation.EDIT, user, frozenset({"roles"}))
    if rules is not None and {*rules} == {*user.rules} and lacking(who, authz, rules):
        authz.require(who, Operation.EDIT, user, frozenset({"rules"}))


# --- why it is denied


def _more_powerful(
    who: Principal, authz: Authorizer, user: User, refusal: Refusal | None
) -> Denied | None:
    """Whoever changes the address of an account can take it over, by recovery mails (Q-38)."""
    if user.id == who.account_id:
        return None
    rules = session.scalars(select(Rule).where(Rule.id.in_(select(_held_by(user).c.rule_id))))
    if lacking(who, authz, rules) is None:
        return None
    return Denied("This user has permissions that you do not have!", refusal)


def _of_rights(
    who: Principal,
    authz: Authorizer,
    organization_id: int | None,
    roles: Iterable[Role],
    rules: Iterable[Rule],
    refusal: Refusal | None,
) -> Denied | None:
    """Of roles and rules that are given or taken away."""
    roles = [*roles]
    for role in roles:
        if role.organization_id not in (None, organization_id):
            place = Organization.id == organization_id
            if not lists.ids(who, authz, Resource.ORGANIZATION, place):
                return None  # that there is such an organization is said by no other words
            message = f"Role id={role.id} belongs to another organization than the user!"
            return Denied(message, refusal)
    rule = lacking(who, authz, [*_rules_in(roles), *rules])
    if rule is None:
        return None
    return Denied(
        f"You don't have the rule ({rule.name}, {rule.scope.name}, {rule.operation.name}) "
        "that you want to assign or take away!",
        refusal,
    )


def _rules_in(roles: Iterable[Role]) -> list[Rule]:
    ids = {role.id for role in roles}
    members = select(RoleRule.c.rule_id).where(RoleRule.c.role_id.in_(ids))
    return list(session.scalars(select(Rule).where(Rule.id.in_(members)).order_by(Rule.id)))
