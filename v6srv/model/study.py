"""Studies: the organizations of a collaboration that answer one question together (4.x)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base
from v6srv.model.association import StudyMember
from v6srv.model.queries import Queries

if TYPE_CHECKING:
    from v6srv.model.collaboration import Collaboration
    from v6srv.model.organization import Organization


class Study(Queries, Base):
    """Some of the organizations of one collaboration; it goes with the collaboration."""

    __tablename__ = "study"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    collaboration_id: Mapped[int] = mapped_column(
        ForeignKey("collaboration.id", ondelete="CASCADE"), index=True
    )

    if TYPE_CHECKING:  # added in wire_columns
        organization_ids: Mapped[list[int]]

    collaboration: Mapped[Collaboration] = relationship()
    organizations: Mapped[list[Organization]] = relationship(secondary=StudyMember)
