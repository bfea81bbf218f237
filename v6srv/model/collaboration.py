"""Collaborations: which organizations analyse together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base
from v6srv.model.association import Member

if TYPE_CHECKING:
    from v6srv.model.node import Node
    from v6srv.model.organization import Organization
    from v6srv.model.task import Task


class Collaboration(Base):
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
