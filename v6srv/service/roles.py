"""Roles: what has to be true before one is created, changed or deleted.

The guard decides whether the caller may touch the role at all. Here is what goes beyond: the
names of default roles are theirs. That these stay as they are, and that nobody moves rules that he
or she does not hold (permissions.md 5.2, 5.3), lines of the policy decide when it is written; what
the contract says of it is said here.

`known` are the rules that there are for the caller, in the words of policies.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import func, or_, select

from v6srv.authz.authorizer import AllowedRows, Authorizer
from v6srv.authz.facts import rule_text
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import settle
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Denied, Invalid, NotFound, Refusal, V6srvError
from v6srv.model import Organization, Permission, Role, RoleRule, Rule, User
from v6srv.model.checks import require_fit, require_own_name
from v6srv.service import dependents, lists
from v6srv.service.dependents import Dependents
from v6srv.service.refusals import in_words, lacking
from v6srv.service.users import beyond, rules_of
from v6srv.vocabulary import Operation, Resource

_FIELDS = ("name", "description", "rules")
_NOT_HELD = "You cannot put a rule into a role, or take it out, that you don't hold!"


def create(
    who: Principal, authz: Authorizer, fields: Mapping[str, Any], known: Collection[str]
) -> Role:
    """The role that `fields` describe (rest.md 3.9).

    Without an organization it is one of the caller's. Raises Invalid for a reserved name, NotFound
    for an unknown rule or organization, and Denied for a rule that the caller does not hold.
    """
    require_own_name(fields["name"])
    rules = rules_of(fields.get("rules") or [], known)
    organization_id = fields.get("organization_id") or who.organization_id
    if session.get(Organization, organization_id) is None:
        raise lists.unknown(who, authz, Resource.ORGANIZATION, organization_id, Resource.ROLE)
    role = Role(
        name=fields["name"],
        description=fields["description"],
        organization_id=organization_id,
        rules=rules,
    )
    session.add(role)
    with in_words(lambda refusal: _why(who, authz, role, rules, (), refusal)):
        settle()
    return role


def change(
    who: Principal,
    authz: Authorizer,
    role: Role,
    changes: Mapping[str, Any],
    known: Collection[str],
    *,
    strict: bool = False,
) -> Role:
    """Change the given fields of a role that the caller may edit.

    `rules` replaces those that are `known`; others stay. `strict`: as that of `checks.require_fit`.
    """
    require_fit(role, changes, strict=strict)
    name = changes.get("name")
    if name is not None and name != role.name:
        require_own_name(name)
    given = {field: changes[field] for field in _FIELDS if changes.get(field) is not None}
    moved = []
    if "rules" in given:
        moved = rules_of(given["rules"], known)
        given["rules"] = [*moved, *beyond(role.rules, known)]
    _set(who, authz, role, given, moved)
    return role


def add_rule(
    who: Principal, authz: Authorizer, role: Role, rule_id: int, known: Collection[str]
) -> None:
    """Put a rule that the caller holds into a role; no change when it is in there already."""
    found = rule(who, authz, rule_id, known)
    rules = [one for one in role.rules if one is not found]
    _set(who, authz, role, {"rules": [*rules, found]}, [found])


def remove_rule(
    who: Principal,
    authz: Authorizer,
    role: Role,
    rule_id: int,
    known: Collection[str],
    operation: Operation = Operation.DELETE,
) -> None:
    """Take a rule that the caller holds out of a role. Raises NotFound when it is not in there.

    `operation`: that is decided; for 3.x, who takes something out deletes.
    """
    found, before = rule(who, authz, rule_id, known), [*role.rules]
    rules = [one for one in before if one is not found]
    _set(who, authz, role, {"rules": rules}, [found], operation)
    if found not in before:
        if unheld := authz.may_hand_out(who, [found]):
            raise Denied(_NOT_HELD, unheld.decision)
        raise NotFound(f"Rule id={rule_id} is not part of role id={role.id}!")


def remove(who: Principal, authz: Authorizer, role: Role, *, unless_held: bool = False) -> None:
    """Remove a role; who had it loses it. Raises Invalid for a default role.

    `unless_held`: Conflict when anybody has it.
    """
    if unless_held and role.slug is None:
        held_by = User.roles.any(Role.id == role.id)
        hanging = [Dependents(Resource.USER, held_by)]
        dependents.dispose(who, authz, f"Role id={role.id}", hanging, go_along=False)
    held = [*role.rules]
    with in_words(lambda refusal: _why(who, authz, role, (), held, refusal)):
        session.delete(role)
        settle()


def to_hand_out(who: Principal, authz: Authorizer, organization_id: int | None) -> list[Role]:
    """The roles that `who` could give a user of this organization, of those that it may view."""
    lacks = authz.policy.lacks(who.facts)
    fitting = or_(Role.organization_id.is_(None), Role.organization_id == organization_id)
    found = authz.allowed_rows(who, Resource.ROLE).where(fitting)
    return found.where(~Role.rules.any(rule_text(Rule.__table__).in_(lacks))).read()


def has_others(role: Role) -> bool:
    """Whether somebody has it whom `Role.user_ids`, what was read of them, does not name."""
    held_by = select(func.count()).where(Permission.c.role_id == role.id)
    return (session.scalar(held_by) or 0) > len(role.user_ids or ())


def rules(
    who: Principal, authz: Authorizer, known: Collection[str], role_id: int | None = None
) -> AllowedRows:
    """The rules that there are, by id, with what the wire format shows of them to `who`.

    None if they are asked for by a role that `who` may not view.
    """
    seen = lists.seen(who, authz, Resource.ROLE, role_id)
    return authz.shown(who, Rule).where(seen, rule_text(Rule.__table__).in_(known))


def ids_of_rules(who: Principal, authz: Authorizer, known: Collection[str]) -> dict[str, int]:
    """The ids of those of all roles, by their texts."""
    rows = rules(who, authz, known)
    query = rows.select.with_only_columns(rule_text(Rule.__table__), Rule.id)
    return dict(session.execute(query, rows.parameters).tuples().all())


def rules_in(
    who: Principal, authz: Authorizer, role_id: int, known: Collection[str]
) -> AllowedRows:
    """Those of a role."""
    members = select(RoleRule.c.rule_id).where(RoleRule.c.role_id == role_id)
    return rules(who, authz, known).where(Rule.id.in_(members))


def rule(who: Principal, authz: Authorizer, rule_id: int, known: Collection[str]) -> Rule:
    """One of them. Raises NotFound."""
    found: list[Rule] = []
    if rule_id <= LARGEST_ID:
        found = rules(who, authz, known).where(Rule.id == rule_id).read()
    if not found:
        raise NotFound(f"Rule id={rule_id} is not found!")
    return found[0]


def _set(
    who: Principal,
    authz: Authorizer,
    role: Role,
    fields: Mapping[str, Any],
    moved: Iterable[Rule],
    operation: Operation = Operation.EDIT,
) -> None:
    """Change these fields of a role, all at once, which is decided as `operation` of it.

    What changes nothing is not written: it is asked where a change would be refused.
    """
    held = [*role.rules]
    same_rules = "rules" in fields and {*fields["rules"]} == {*held}
    with in_words(lambda refusal: _why(who, authz, role, moved, held, refusal)):
        if role.slug is not None or (same_rules and lacking(who, authz, moved)):
            authz.require(who, operation, role, frozenset(fields))
        for name, value in fields.items():
            if name != "rules" or not same_rules:
                setattr(role, name, value)
        settle()


def _why(
    who: Principal,
    authz: Authorizer,
    role: Role,
    moved: Iterable[Rule],
    held: Iterable[Rule],
    refusal: Refusal | None,
) -> V6srvError | None:
    """In the words of the contract, if there are any, why it is denied."""
    if role.slug is not None:  # what it grants stands in the policy files
        return Invalid(f"Role {role.name} is a default role and cannot be changed or deleted!")
    if lacking(who, authz, moved):
        return Denied(_NOT_HELD, refusal)
    if lacking(who, authz, held):
        return Denied("This role has rules that you do not hold!", refusal)
    return None
