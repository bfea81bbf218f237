"""All nodes at a glance, for people who run the server."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select

from v6srv.db import session
from v6srv.model import Collaboration, Node, Organization


class Shown(NamedTuple):
    """What is known of a node."""

    id: int
    name: str | None
    organization: str | None
    collaboration: str | None
    status: str | None
    """`online`, `offline`, or None: it has never been there."""
    last_seen: datetime | None
    generation: int | None
    """3 or 4, of the program that last asked for its work; None: none has."""


def all_nodes() -> Sequence[Shown]:
    """By collaboration, organization and name."""
    query = (
        select(
            Node.id,
            Node.name,
            Organization.name,
            Collaboration.name,
            Node.status,
            Node.last_seen,
            Node.generation,
        )
        .outerjoin(Organization, Organization.id == Node.organization_id)
        .outerjoin(Collaboration, Collaboration.id == Node.collaboration_id)
        .order_by(Collaboration.name, Organization.name, Node.name, Node.id)
    )
    return [Shown(*row) for row in session.execute(query)]
