"""Which rooms a principal may be in. Joining a room is viewing an object of resource `event`."""

from collections.abc import Callable, Iterable

from sqlalchemy import select

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.facts import room_facts
from v6srv.authz.principal import Principal
from v6srv.db import session
from v6srv.model import Collaboration, PolicyRevision
from v6srv.service.events import collaboration_room, organization_room
from v6srv.vocabulary import Operation, PrincipalKind, Resource

ALL_NODES = "all_nodes"
"""Every node is in it, and nothing is ever sent to it (S4)."""

MOST_TOLD = 20
"""Sockets in a room up to which its nodes are told who comes and goes. Nodes do nothing with it,
and a thousand that come at once would be told a million times; users are told of everybody."""


def told(room: str) -> str:
    """The room of those in `room` who are told who comes to it and goes."""
    return f"{room} is told"


def collaborations() -> tuple[int, ...]:
    """The ids of all collaborations: each has rooms."""
    return tuple(session.scalars(select(Collaboration.id).order_by(Collaboration.id)))


def revision() -> tuple[int, int]:
    """Differs from before when rooms may have to be decided again. Begins a session and
    ends it: on SQLite what was read before would hide what was committed meanwhile."""
    session.remove()
    try:
        row = session.execute(select(PolicyRevision.lines, PolicyRevision.members)).one_or_none()
        return (0, 0) if row is None else (row.lines, row.members)
    finally:
        session.remove()


MayHear = Callable[[int, int | None], bool]
"""Whether the room of a collaboration is allowed, or of one organization in it."""


def allowed(
    authz: Authorizer, who: Principal, candidates: Iterable[int] | None = None
) -> frozenset[str]:
    """The rooms that `who` belongs in, of the collaborations `candidates`: all, if not given.

    A user gets the widest allowed room of each collaboration, so that nothing arrives twice; a
    node gets both rooms of its own, as far as policies let it, and `all_nodes`.
    """

    def may_hear(collaboration_id: int, organization_id: int | None) -> bool:
        facts = room_facts(collaboration_id, organization_id)
        return authz.decide_facts(who, Resource.EVENT, Operation.VIEW, facts)

    return allowed_by(may_hear, who, candidates)


def allowed_by(
    may_hear: MayHear, who: Principal, candidates: Iterable[int] | None = None
) -> frozenset[str]:
    """As `allowed`, for whoever only asks, and decides nothing."""
    if who.kind is PrincipalKind.NODE:
        return _rooms_of_node(may_hear, who)
    rooms = set()
    for collaboration_id in collaborations() if candidates is None else candidates:
        if may_hear(collaboration_id, None):
            rooms.add(collaboration_room(collaboration_id))
        elif (
            who.organization_id is not None
            and collaboration_id in who.collaboration_ids
            and may_hear(collaboration_id, who.organization_id)
        ):
            rooms.add(organization_room(collaboration_id, who.organization_id))
    return frozenset(rooms)


def _rooms_of_node(may_hear: MayHear, who: Principal) -> frozenset[str]:
    rooms = {ALL_NODES}
    for collaboration_id in who.collaboration_ids:
        if may_hear(collaboration_id, None):
            rooms.add(collaboration_room(collaboration_id))
        if who.organization_id is not None and may_hear(collaboration_id, who.organization_id):
            rooms.add(organization_room(collaboration_id, who.organization_id))
    return frozenset(rooms)
