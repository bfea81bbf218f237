"""The filters of lists, for both dialects: from a value of the query to a condition."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, false, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from v6srv.model import (
    AlgorithmStore,
    Collaboration,
    Member,
    Node,
    Organization,
    Permission,
    Port,
    Result,
    Role,
    RoleRule,
    Rule,
    Study,
    StudyMember,
    Task,
    User,
    UserPermission,
)

_ESCAPE = "\\"

Filters = Mapping[str, Callable[[Any], ColumnElement[bool]]]


def conditions(filters: Filters, query: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """What the rows have to meet."""
    return [filters[name](value) for name, value in query.items()]


def like(column: InstrumentedAttribute[Any]) -> Callable[[str], ColumnElement[bool]]:
    """The wildcards `%` and `_`, and nothing else: PostgreSQL would take a backslash for more."""
    return lambda pattern: column.like(pattern.replace(_ESCAPE, _ESCAPE * 2), escape=_ESCAPE)


def _member_ids(collaboration_id: int) -> Select[int]:
    return select(Member.c.organization_id).where(Member.c.collaboration_id == collaboration_id)


def _of_organization(organization_id: int) -> ColumnElement[bool]:
    return Collaboration.id.in_(
        select(Member.c.collaboration_id).where(Member.c.organization_id == organization_id)
    )


_node = Node.__table__.c


def _of_node(node_id: int) -> ColumnElement[bool]:
    """Results that this node is to compute: of its organization, in its collaboration."""
    organization = select(_node.organization_id).where(_node.id == node_id).scalar_subquery()
    collaboration = select(_node.collaboration_id).where(_node.id == node_id).scalar_subquery()
    return (Result.organization_id == organization) & (Result.collaboration_id == collaboration)


def _of_study(organization_id: ColumnElement[int]) -> Callable[[int], ColumnElement[bool]]:
    """What is of an organization of a study, by the column of its id."""

    def of(study_id: int) -> ColumnElement[bool]:
        member = StudyMember.c.study_id == study_id
        return organization_id.in_(select(StudyMember.c.organization_id).where(member))

    return of


def _node_of_study(study_id: int) -> ColumnElement[bool]:
    """Nodes of the organizations of a study, in its collaboration."""
    collaboration = select(Study.collaboration_id).where(Study.id == study_id).scalar_subquery()
    return (Node.collaboration_id == collaboration) & _of_study(Node.organization_id)(study_id)


ORGANIZATION: Filters = {
    "name": like(Organization.name),
    "country": lambda country: Organization.country == country,
    "collaboration_id": lambda id: Organization.id.in_(_member_ids(id)),
    "ids": Organization.id.in_,
    "study_id": _of_study(Organization.id),
}

STUDY: Filters = {
    "name": like(Study.name),
    "organization_id": lambda id: Study.organizations.any(Organization.id == id),
    "collaboration_id": lambda id: Study.collaboration_id == id,
}


def _may_use(store_id: int) -> ColumnElement[bool]:
    """The store is for this collaboration, or for all."""
    store = select(AlgorithmStore.collaboration_id).where(AlgorithmStore.id == store_id)
    for_all = exists(store.where(AlgorithmStore.collaboration_id.is_(None)))
    return or_(Collaboration.id.in_(store), for_all)


COLLABORATION: Filters = {
    "name": like(Collaboration.name),
    "encrypted": lambda encrypted: Collaboration.encrypted.is_(encrypted),
    "organization_id": _of_organization,
    "algorithm_store_id": _may_use,
}

NODE: Filters = {
    "study_id": _node_of_study,
    "name": like(Node.name),
    "organization_id": lambda id: Node.organization_id == id,
    "collaboration_id": lambda id: Node.collaboration_id == id,
    "status": lambda status: Node.status == status,
    "ip": lambda ip: Node.ip == ip,
    "last_seen_from": lambda time: Node.last_seen >= time,
    "last_seen_till": lambda time: Node.last_seen <= time,
}

TASK: Filters = {
    "init_user_id": lambda id: Task.init_user_id == id,
    "collaboration_id": lambda id: Task.collaboration_id == id,
    "parent_id": lambda id: Task.parent_id == id,
    "name": like(Task.name),
    "image": like(Task.image),
    "description": like(Task.description),
}

RESULT: Filters = {
    "task_id": lambda id: Result.task_id == id,
    "organization_id": lambda id: Result.organization_id == id,
    "collaboration_id": lambda id: Result.collaboration_id == id,
    "node_id": _of_node,
    "state": lambda state: Result.finished_at.is_(None) if state == "open" else true(),
    "port": lambda port: exists().where(Port.result_id == Result.id, Port.port == port),
    "assigned_from": lambda time: Result.assigned_at >= time,
    "assigned_till": lambda time: Result.assigned_at <= time,
    "started_from": lambda time: Result.started_at >= time,
    "started_till": lambda time: Result.started_at <= time,
    "finished_from": lambda time: Result.finished_at >= time,
    "finished_till": lambda time: Result.finished_at <= time,
}

USER: Filters = {
    "username": like(User.username),
    "firstname": like(User.firstname),
    "lastname": like(User.lastname),
    "email": like(User.email),
    "organization_id": lambda id: User.organization_id == id,
    "collaboration_id": lambda id: User.organization_id.in_(_member_ids(id)),
    "role_id": lambda id: User.roles.any(Permission.c.role_id == id),
    "rule_id": lambda id: User.rules.any(UserPermission.c.rule_id == id),
    "last_seen_from": lambda time: User.last_seen >= time,
    "last_seen_till": lambda time: User.last_seen <= time,
}


def of_roles(query: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    """What roles have to meet; repeated values of one filter are alternatives."""
    for column, patterns in ((Role.name, "name"), (Role.description, "description")):
        if query.get(patterns):
            yield or_(*map(like(column), query[patterns]))
    root = Role.organization_id.is_(None) if query["include_root"] else false()
    if query.get("organization_id"):
        yield or_(Role.organization_id.in_(query["organization_id"]), root)
    if "collaboration_id" in query:
        yield or_(Role.organization_id.in_(_member_ids(query["collaboration_id"])), root)
    if "rule_id" in query:
        yield Role.rules.any(RoleRule.c.rule_id == query["rule_id"])
    if "user_id" in query:
        yield Role.users.any(Permission.c.user_id == query["user_id"])


def _held_by(user_id: int) -> ColumnElement[bool]:
    """A rule that a user has, by itself or through a role."""
    extra = select(UserPermission.c.rule_id).where(UserPermission.c.user_id == user_id)
    through = select(RoleRule.c.rule_id).join(
        Permission, Permission.c.role_id == RoleRule.c.role_id
    )
    return or_(Rule.id.in_(extra), Rule.id.in_(through.where(Permission.c.user_id == user_id)))


RULE: Filters = {
    "role_id": lambda id: Rule.roles.any(RoleRule.c.role_id == id),
    "user_id": _held_by,
}
