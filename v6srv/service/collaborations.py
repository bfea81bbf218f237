"""Collaborations: their members and their nodes."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from v6srv.authz.authorizer import AllowedRows, Authorizer
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import Cover, covered_by
from v6srv.db import session
from v6srv.errors import Invalid, NotFound
from v6srv.model import AlgorithmStore, Collaboration, Member, Node, Organization, Study, Task
from v6srv.model.checks import require_fit
from v6srv.service import dependents, lists, nodes, tasks
from v6srv.service.dependents import Dependents
from v6srv.service.presence import ONLINE
from v6srv.vocabulary import Operation, Resource

_NO_ROW = 0


def create(fields: Mapping[str, Any]) -> Collaboration:
    """A new collaboration. `fields` is a loaded `wire.collaboration.CollaborationIn`.

    Raises Invalid for a name that exists, NotFound for an unknown organization.
    """
    _require_free(fields["name"])
    collaboration = Collaboration(
        name=fields["name"],
        encrypted=fields["encrypted"],
        organizations=_organizations(fields["organization_ids"]),
    )
    session.add(collaboration)
    return collaboration


def change(
    who: Principal,
    authz: Authorizer,
    collaboration: Collaboration,
    changes: Mapping[str, Any],
    *,
    strict: bool = False,
) -> Collaboration:
    """Change the fields given; `organization_ids` replaces all members, by those one may view.

    `changes` is a loaded `wire.collaboration.CollaborationPatch`. Raises as `create` does.
    `strict`: as that of `checks.require_fit`.
    """
    require_fit(collaboration, changes, strict=strict)
    name = changes.get("name", collaboration.name)
    if name != collaboration.name:
        _require_free(name)
        collaboration.name = name
    if "encrypted" in changes:
        collaboration.encrypted = changes["encrypted"]
    if "organization_ids" in changes:
        stay = {one.id for one in collaboration.organizations}
        lists.require_seen(who, authz, Resource.ORGANIZATION, {*changes["organization_ids"]} - stay)
        _set_members(collaboration, _organizations(changes["organization_ids"]))
    return collaboration


def delete(
    who: Principal,
    authz: Authorizer,
    collaboration: Collaboration,
    *,
    with_dependents: bool = False,
) -> None:
    """Remove a collaboration. Raises Conflict while it has tasks, nodes (Q-17) or studies.

    Unless these are to go with it.
    """
    owner, going = f"Collaboration id={collaboration.id}", hanging(collaboration)
    dependents.dispose(who, authz, owner, going, go_along=with_dependents)
    session.delete(collaboration)


def hanging(collaboration: Collaboration) -> Sequence[Dependents]:
    """What goes with a collaboration."""
    id = collaboration.id
    return (
        tasks.hanging_on(Task.collaboration_id == id),
        Dependents(Resource.NODE, Node.collaboration_id == id, nodes.remove),
        Dependents(Resource.STUDY, Study.collaboration_id == id, session.delete),
    )


def require_view_of_store(who: Principal, authz: Authorizer, store_id: int) -> None:
    """Raise Denied unless `who` may view the collaboration of an algorithm store, if it has one.

    NotFound for an unknown store, to those who may view every collaboration.
    """
    store = session.get(AlgorithmStore, store_id)
    id = _NO_ROW if store is None else store.collaboration_id
    if id is None:
        return
    try:
        authz.fetch(who, Resource.COLLABORATION, Operation.VIEW, id)
    except NotFound:
        raise NotFound(f"Algorithm store id={store_id} is not found!") from None


# --- members


def members(who: Principal, authz: Authorizer, collaboration: Collaboration) -> AllowedRows:
    """The organizations of a collaboration that `who` may view, as the wire format shows them."""
    member = select(Member.c.organization_id).where(Member.c.collaboration_id == collaboration.id)
    return authz.shown(who, Organization).where(Organization.id.in_(member))


def add_member(
    who: Principal, authz: Authorizer, collaboration: Collaboration, organization_id: int
) -> None:
    """Make an organization a member; nothing changes if it is one (Q-59).

    Raises NotFound, also for one that `who` may not view.
    """
    lists.require_seen(who, authz, Resource.ORGANIZATION, [organization_id])
    [organization] = _organizations([organization_id])
    if organization not in collaboration.organizations:
        _set_members(collaboration, [*collaboration.organizations, organization])


def remove_member(
    who: Principal, authz: Authorizer, collaboration: Collaboration, organization_id: int
) -> None:
    """Take a member out, and its node with it (Q-18). Raises NotFound, or Invalid for no member."""
    if all(member.id != organization_id for member in collaboration.organizations):
        lists.require_seen(who, authz, Resource.ORGANIZATION, [organization_id])
        raise Invalid(
            f"Organization id={organization_id} is not a member of "
            f"collaboration id={collaboration.id}"
        )
    left = [member for member in collaboration.organizations if member.id != organization_id]
    _set_members(collaboration, left)


def _set_members(collaboration: Collaboration, organizations: list[Organization]) -> None:
    gone = {one.id for one in collaboration.organizations} - {one.id for one in organizations}
    collaboration.organizations = organizations
    here = Node.collaboration_id == collaboration.id, Node.organization_id.in_(gone)
    with covered_by(Cover.MEMBERS):
        for node in session.scalars(select(Node).where(*here)):
            node.collaboration_id = None
        taking_part = Study.organizations.any(Organization.id.in_(gone))
        studies = select(Study).where(Study.collaboration_id == collaboration.id, taking_part)
        for study in session.scalars(studies):
            study.organizations = [one for one in study.organizations if one.id not in gone]


# --- nodes


def nodes_in(who: Principal, authz: Authorizer, collaboration: Collaboration) -> AllowedRows:
    """The nodes of a collaboration that `who` may view, as the wire format shows them."""
    return authz.shown(who, Node).where(Node.collaboration_id == collaboration.id)


def nodes_there(ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """How many nodes are online in each of these collaborations, and how many there are.

    For who may view them, as `nodes_in`. One without nodes is left out.
    """
    online = func.count().filter(Node.status == ONLINE)
    place = Node.collaboration_id
    query = select(place, online, func.count()).where(place.in_(ids)).group_by(place)
    found = session.execute(query)
    return {id: (there, total) for id, there, total in found if id is not None}


def add_node(who: Principal, authz: Authorizer, collaboration: Collaboration, node_id: int) -> None:
    """Move a node here; it leaves where it was, which is an edit of that collaboration, too.

    Raises NotFound, Denied, or Invalid when it is here, when its organization is no member or has
    another node here (Q-19).
    """
    node = _node(who, authz, node_id, collaboration)
    if node.collaboration_id == collaboration.id:
        raise Invalid(f"Node id={node_id} is already in collaboration id={collaboration.id}")
    if node.collaboration_id is not None:
        asked = Resource.COLLABORATION, Operation.EDIT, node.collaboration_id
        authz.fetch(who, *asked, changes=frozenset({"node_ids"}))
    nodes.require_room(nodes.place(node.organization_id, collaboration.id, but=node))
    _move(node, collaboration.id)


def remove_node(
    who: Principal, authz: Authorizer, collaboration: Collaboration, node_id: int
) -> None:
    """Take a node out; it stays without a collaboration. Raises NotFound, or Invalid."""
    node = _node(who, authz, node_id, collaboration)
    if node.collaboration_id != collaboration.id:
        raise Invalid(f"Node id={node_id} is not in collaboration id={collaboration.id}")
    _move(node, None)


# --- parts


def _move(node: Node, collaboration_id: int | None) -> None:
    with covered_by(Cover.COLLABORATIONS):
        node.collaboration_id = collaboration_id


def _node(who: Principal, authz: Authorizer, id: int, collaboration: Collaboration) -> Node:
    """A node, which is here or may be viewed. Raises NotFound."""
    node = session.get(Node, id, with_for_update={"of": Node.__table__})
    if node is None or node.collaboration_id != collaboration.id:
        lists.require_seen(who, authz, Resource.NODE, [id])
    assert node is not None
    return node


def _organizations(ids: Collection[int]) -> list[Organization]:
    """The organizations with these ids, each once. Raises NotFound for an unknown one (Q-58)."""
    wanted = set(ids)
    query = select(Organization).where(Organization.id.in_(wanted)).order_by(Organization.id)
    found = list(session.scalars(query))
    for missing in sorted(wanted - {one.id for one in found}):
        raise NotFound(f"Organization id={missing} is not found!")
    return found


def _require_free(name: str) -> None:
    if Collaboration.name_exists(name):
        problem = f"Collaboration name '{name}' already exists"
        raise Invalid(problem, {"name": [problem]})
