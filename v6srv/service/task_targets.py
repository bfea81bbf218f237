"""To whom a task is addressed: organizations of the collaboration, and what their nodes are."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, select

from v6srv.db import session
from v6srv.errors import Invalid
from v6srv.model import Member, Node, Organization
from v6srv.vocabulary import V3

_node = Node.__table__.c


@dataclass(frozen=True, slots=True)
class _Target:
    """What starting a task needs to know of an organization, within one collaboration."""

    id: int
    name: str | None
    is_member: bool
    node_id: int | None
    generation: int | None
    """Of the program of its node; None: it was not seen yet."""


def problem_of(
    collaboration_id: int, order: Mapping[str, Any], dialect: int, *, mixes: bool
) -> Invalid | None:
    """The first reason why the task cannot run there, in the order of rest.md 3.6.

    `mixes`: whether programs of one generation may send tasks to nodes of the other.
    """
    ids = [target["id"] for target in order["organizations"]]
    known = _organizations(collaboration_id, ids)
    strangers = [id for id in ids if id not in known or not known[id].is_member]
    if strangers:
        return Invalid(
            "These organizations are not in the collaboration: "
            + ", ".join(str(id) for id in strangers)
        )
    if len(set(ids)) < len(ids):
        return Invalid("An organization is named more than once")
    targets = [known[id] for id in ids]
    without_node = [target for target in targets if target.node_id is None]
    if without_node:
        return Invalid(
            f"These organizations have no node in the collaboration: {_named(without_node)}"
        )
    return _problem_of_programs(targets, order["databases"], dialect, mixes=mixes)


def _organizations(collaboration_id: int, ids: Collection[int]) -> dict[int, _Target]:
    """The organizations with these ids, members or not, in one query."""
    query = (
        select(
            Organization.id,
            Organization.name,
            Member.c.collaboration_id,
            _node.id,
            _node.generation,
        )
        .outerjoin(
            Member,
            and_(
                Member.c.organization_id == Organization.id,
                Member.c.collaboration_id == collaboration_id,
            ),
        )
        .outerjoin(
            Node.__table__,
            and_(
                _node.organization_id == Organization.id,
                _node.collaboration_id == collaboration_id,
            ),
        )
        .where(Organization.id.in_(ids))
    )
    return {
        id: _Target(id, name, member is not None, node_id, generation)
        for id, name, member, node_id, generation in session.execute(query)
    }


def _problem_of_programs(
    targets: Sequence[_Target],
    databases: Sequence[tuple[str, Mapping[str, Any]]],
    dialect: int,
    *,
    mixes: bool,
) -> Invalid | None:
    """Whether a node would not understand the task, or not see all of it (mixed.md 5)."""
    others = [target for target in targets if target.generation not in (None, dialect)]
    if others and not mixes:
        return Invalid(
            f"A task of a {dialect}.x program is not understood by the nodes of these"
            f" organizations, which are of {others[0].generation}.x: {_named(others)}"
        )
    old = [target for target in targets if target.generation == V3]
    if old and (len(databases) > 1 or any(parameters for _, parameters in databases)):
        return Invalid(
            "The nodes of these organizations are of 3.x, and see one database only, without"
            f" parameters: {_named(old)}"
        )
    return None


def _named(targets: Iterable[_Target]) -> str:
    return ", ".join(target.name or str(target.id) for target in targets)
