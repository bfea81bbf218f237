"""The filters of lists, for both dialects: from a value of the query to a condition."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, exists, or_, select, true

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.errors import Invalid, NotFound
from v6srv.model import (
    AlgorithmStore,
    Collaboration,
    Member,
    Node,
    Organization,
    Port,
    Result,
    Study,
    StudyMember,
    Task,
)
from v6srv.vocabulary import Operation, Resource

Filters = Mapping[str, Callable[[Any], ColumnElement[bool]]]


def conditions(filters: Filters, query: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    """What the rows have to meet."""
    return [filters[name](value) for name, value in query.items()]


def require_view(
    who: Principal,
    authz: Authorizer,
    resource: Resource,
    id: int | None,
    on: type[Any] | None = None,
) -> None:
    """Refuse a filter by something that one may not view, as 4.x does.

    `id`: of a row of `resource`, or of `on`; None: nothing is asked. Raises Denied, or Invalid for
    an unknown row.
    """
    if id is not None:
        try:
            authz.fetch(who, resource, Operation.VIEW, id, on, lenient=on is not None)
        except NotFound as unknown:
            raise Invalid(str(unknown)) from unknown


def _members_of(collaboration_id: int) -> ColumnElement[bool]:
    return Organization.id.in_(
        select(Member.c.organization_id).where(Member.c.collaboration_id == collaboration_id)
    )


def _of_organization(organization_id: int) -> ColumnElement[bool]:
    return Collaboration.id.in_(
        select(Member.c.collaboration_id).where(Member.c.organization_id == organization_id)
    )


_node, _task = Node.__table__.c, Task.__table__.alias("queue_task").c


def _in_collaboration(id: Any) -> ColumnElement[bool]:
    """Results of tasks of a collaboration."""
    return exists().where(_task.id == Result.task_id, _task.collaboration_id == id)


def _of_node(node_id: int) -> ColumnElement[bool]:
    """Results that this node is to compute: of its organization, in its collaboration."""
    organization = select(_node.organization_id).where(_node.id == node_id).scalar_subquery()
    collaboration = select(_node.collaboration_id).where(_node.id == node_id).scalar_subquery()
    return (Result.organization_id == organization) & _in_collaboration(collaboration)


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
    "name": Organization.name.like,
    "country": lambda country: Organization.country == country,
    "collaboration_id": _members_of,
    "ids": Organization.id.in_,
    "study_id": _of_study(Organization.id),
}

STUDY: Filters = {
    "name": Study.name.like,
    "organization_id": lambda id: Study.organizations.any(Organization.id == id),
    "collaboration_id": lambda id: Study.collaboration_id == id,
}


def _may_use(store_id: int) -> ColumnElement[bool]:
    """The store is for this collaboration, or for all."""
    store = select(AlgorithmStore.collaboration_id).where(AlgorithmStore.id == store_id)
    for_all = exists(store.where(AlgorithmStore.collaboration_id.is_(None)))
    return or_(Collaboration.id.in_(store), for_all)


COLLABORATION: Filters = {
    "name": Collaboration.name.like,
    "encrypted": lambda encrypted: Collaboration.encrypted.is_(encrypted),
    "organization_id": _of_organization,
    "algorithm_store_id": _may_use,
}

NODE: Filters = {
    "study_id": _node_of_study,
    "name": Node.name.like,
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
    "name": Task.name.like,
    "image": Task.image.like,
    "description": Task.description.like,
}

RESULT: Filters = {
    "task_id": lambda id: Result.task_id == id,
    "organization_id": lambda id: Result.organization_id == id,
    "collaboration_id": _in_collaboration,
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
