"""Nodes: where they belong. At most one per organization and collaboration (Q-19)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import exists, select

from v6srv import names
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import settle
from v6srv.db import session
from v6srv.errors import Denied, Invalid, NotFound, V6srvError
from v6srv.model import Collaboration, Member, Node, Organization
from v6srv.model.checks import require_fit
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Place:
    """An organization in a collaboration; either may not exist."""

    organization_id: int | None
    collaboration_id: int | None
    organization: Organization | None
    collaboration: Collaboration | None
    is_member: bool
    is_taken: bool
    """There is a node of the organization already."""

    @property
    def default_name(self) -> str:
        """The name of a node here that was given none."""
        organization = self.organization.name if self.organization else None
        collaboration = self.collaboration.name if self.collaboration else None
        return names.node_name(organization, collaboration)


def place(
    organization_id: int | None, collaboration_id: int | None, but: Node | None = None
) -> Place:
    """What is known of a place for a node; `but`: a node that does not count as taking it.

    Until the transaction ends, the organization cannot be taken out of the collaboration.
    """
    node = Node.__table__.c
    member = select(Member.c.organization_id).where(
        Member.c.organization_id == organization_id,
        Member.c.collaboration_id == collaboration_id,
    )
    taken = exists().where(
        node.organization_id == organization_id,
        node.collaboration_id == collaboration_id,
        node.id != (but.id if but else 0),
    )
    with session.no_autoflush:
        is_member = session.scalar(member.with_for_update(read=True, key_share=True)) is not None
        is_taken = bool(session.scalar(select(taken)))
        organization = organization_id and session.get(Organization, organization_id)
        collaboration = collaboration_id and session.get(Collaboration, collaboration_id)
    return Place(
        organization_id,
        collaboration_id,
        organization or None,
        collaboration or None,
        is_member,
        is_taken,
    )


def require_room(there: Place) -> None:
    """Raise Invalid unless a node can be there."""
    if not there.is_member:
        raise Invalid(
            f"Organization id={there.organization_id} is not a member of "
            f"collaboration id={there.collaboration_id}"
        )
    if there.is_taken:
        raise Invalid(
            f"Organization id={there.organization_id} already has a node in "
            f"collaboration id={there.collaboration_id}"
        )


def _unknown(there: Place) -> NotFound:
    return NotFound(f"Organization id={there.organization_id} is not found!")


def _problem(who: Principal, authz: Authorizer, there: Place) -> V6srvError | None:
    """Why a node cannot be there; None when it can.

    Those who may not view a collaboration do not learn whether it exists (Q-45).
    """
    try:
        if there.collaboration_id is not None:
            if not there.is_member:
                authz.fetch(who, Resource.COLLABORATION, Operation.VIEW, there.collaboration_id)
            require_room(there)
    except (Denied, NotFound, Invalid) as problem:
        return problem
    return None


def register(
    who: Principal,
    authz: Authorizer,
    fields: Mapping[str, Any],
    key_digest: str,
    *,
    strict: bool = False,
) -> Node:
    """A new node, found by the digest of its API key. `fields` is a loaded `wire.node.NodeIn`.

    What is wrong with the place is said after the policies have decided. Raises Denied, NotFound
    or Invalid. `strict`: as that of `checks.require_fit`, here and in `change`; an unknown
    organization is NotFound then, and not one that is no member.
    """
    require_fit(Node(), fields, strict=strict)
    there = place(fields.get("organization_id", who.organization_id), fields["collaboration_id"])
    problem = _problem(who, authz, there)
    if strict and there.organization is None:
        problem = _unknown(there)
    node = Node(
        name=fields.get("name") or there.default_name,
        organization_id=there.organization.id if there.organization else None,
        collaboration_id=None if problem else there.collaboration_id,
        key_digest=key_digest,
    )
    session.add(node)
    settle()
    if problem is not None:
        raise problem
    return node


def change(
    who: Principal,
    authz: Authorizer,
    node: Node,
    changes: Mapping[str, Any],
    *,
    strict: bool = False,
) -> Node:
    """Change the fields given. A node that moves must fit where it goes.

    `changes` is a loaded `wire.node.NodePatch`. Raises Denied, NotFound or Invalid.
    """
    require_fit(node, changes, strict=strict)
    if changes.get("name"):
        node.name = changes["name"]
    if changes.get("ip"):
        node.ip = changes["ip"]
    elif changes.get("clear_ip"):
        node.ip = None
    organization_id = changes.get("organization_id", node.organization_id)
    collaboration_id = changes.get("collaboration_id", node.collaboration_id)
    problem = None
    if (organization_id, collaboration_id) != (node.organization_id, node.collaboration_id):
        problem = _move(who, authz, node, place(organization_id, collaboration_id, but=node))
    settle()
    if problem is not None:
        raise problem
    return node


def remove(node: Node) -> None:
    """Remove a node; its results stay."""
    session.delete(node)


def _move(who: Principal, authz: Authorizer, node: Node, there: Place) -> V6srvError | None:
    """Put the node there as far as it can be; returns why it cannot, or None.

    As in `register`, the policies decide before anything is said.
    """
    if there.organization is None and there.organization_id != node.organization_id:
        problem: V6srvError | None = _unknown(there)
    else:
        problem = _problem(who, authz, there)
    node.organization_id = there.organization.id if there.organization else None
    node.collaboration_id = None if problem else there.collaboration_id
    return problem
