"""Collaborations: which organizations analyse together."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sqlalchemy import Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base, session
from v6srv.model.association import Member
from v6srv.model.node import Node
from v6srv.model.queries import Queries
from v6srv.model.task import Task

if TYPE_CHECKING:
    from v6srv.model.organization import Organization


class Collaboration(Queries, Base):
    """A set of organizations with a shared purpose."""

    __tablename__ = "collaboration"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text, unique=True)
    encrypted: Mapped[bool | None] = mapped_column(default=True)
    """Inputs and results are end-to-end encrypted; only the nodes enforce it."""

    if TYPE_CHECKING:  # added in wire_columns
        organization_ids: Mapped[list[int]]
        node_ids: Mapped[list[int]]
        task_ids: Mapped[list[int]]

    organizations: Mapped[list[Organization]] = relationship(
        secondary=Member, back_populates="collaborations"
    )
    nodes: Mapped[list[Node]] = relationship(back_populates="collaboration")
    tasks: Mapped[list[Task]] = relationship(back_populates="collaboration")

    @classmethod
    def find_by_name(cls, name: str) -> Collaboration | None:
        """The collaboration of this name, compared exactly; names are unique."""
        return session.scalars(select(cls).where(cls.name == name)).one_or_none()

    @classmethod
    def name_exists(cls, name: str) -> bool:
        """Whether a collaboration has this name."""
        return cls.exists("name", name)

    def get_organization_ids(self) -> list[int]:
        """The ids of the members, in order."""
        query = select(Member.c.organization_id).where(Member.c.collaboration_id == self.id)
        return list(session.scalars(query.order_by(Member.c.organization_id)))

    def get_task_ids(self) -> list[int]:
        """The ids of the tasks, subtasks included, in order."""
        query = select(Task.id).where(Task.collaboration_id == self.id).order_by(Task.id)
        return list(session.scalars(query))

    def get_node_from_organization(self, organization: Organization) -> Node | None:
        """The node of this organization here; None when it has none."""
        found = self.get_nodes_from_organizations([organization.id])
        return found[0] if found else None

    def get_nodes_from_organizations(self, ids: Collection[int]) -> list[Node]:
        """The nodes here of the organizations with these ids, by id; at most one of each."""
        query = select(Node).where(Node.collaboration_id == self.id, Node.organization_id.in_(ids))
        return list(session.scalars(query.order_by(Node.id)))
