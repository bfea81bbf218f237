"""Organizations."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import Cover, covered_by
from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import Node, Organization, Result, Role, Study, Task, User
from v6srv.model.checks import require_fit
from v6srv.model.result import TEXTS
from v6srv.service import dependents, nodes, roles, tasks, users
from v6srv.service.dependents import Dependents
from v6srv.vocabulary import Resource


def create(fields: Mapping[str, Any], *, strict: bool = False) -> Organization:
    """A new organization. Raises Invalid for what breaks a rule, or is no public key.

    `strict`: as that of `checks.require_fit`, here and in `change`.
    """
    require_fit(Organization(), fields, strict=strict)
    organization = Organization(**fields)
    session.add(organization)
    return organization


def change(
    organization: Organization, changes: Mapping[str, Any], *, strict: bool = False
) -> Organization:
    """Change the fields given. Raises Invalid for what breaks a rule, or is no public key."""
    require_fit(organization, changes, strict=strict)
    for name, value in changes.items():
        setattr(organization, name, value)
    return organization


def remove(
    who: Principal, authz: Authorizer, organization: Organization, *, with_dependents: bool
) -> None:
    """Remove an organization, from its collaborations and studies as well.

    Raises Conflict while it has tasks, results, nodes, users or roles that are not to go with it,
    Invalid for the own organization.
    """
    if organization.id == who.organization_id:
        raise Invalid("You cannot delete your own organization!")
    id = organization.id
    going = hanging(who, authz, organization)
    dependents.dispose(who, authz, f"Organization id={id}", going, go_along=with_dependents)
    studies = select(Study).where(Study.organizations.any(Organization.id == id))
    with covered_by(Cover.REMOVAL):
        for each in (*organization.collaborations, *session.scalars(studies)):
            each.organizations = [one for one in each.organizations if one is not organization]
    session.delete(organization)


def hanging(who: Principal, authz: Authorizer, organization: Organization) -> Sequence[Dependents]:
    """What goes with an organization."""
    id = organization.id
    return (
        tasks.hanging_on(Task.initiator_id == id),
        Dependents(Resource.RESULT, Result.organization_id == id, session.delete, large=TEXTS),
        Dependents(Resource.NODE, Node.organization_id == id, nodes.remove),
        Dependents(Resource.USER, User.organization_id == id, partial(users.remove, who, authz)),
        Dependents(Resource.ROLE, Role.organization_id == id, partial(roles.remove, who, authz)),
    )
