"""The filters of lists that both dialects have: from a value of the query to a condition."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.errors import Invalid, NotFound
from v6srv.model import Collaboration, Member, Node, Organization
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
            authz.fetch(who, resource, Operation.VIEW, id, on)
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


ORGANIZATION: Filters = {
    "name": Organization.name.like,
    "country": lambda country: Organization.country == country,
    "collaboration_id": _members_of,
    "ids": Organization.id.in_,
}

COLLABORATION: Filters = {
    "name": Collaboration.name.like,
    "encrypted": lambda encrypted: Collaboration.encrypted.is_(encrypted),
    "organization_id": _of_organization,
}

NODE: Filters = {
    "name": Node.name.like,
    "organization_id": lambda id: Node.organization_id == id,
    "collaboration_id": lambda id: Node.collaboration_id == id,
    "status": lambda status: Node.status == status,
    "ip": lambda ip: Node.ip == ip,
    "last_seen_from": lambda time: Node.last_seen >= time,
    "last_seen_till": lambda time: Node.last_seen <= time,
}
