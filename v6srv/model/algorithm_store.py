"""Algorithm stores: servers of others that say which images there are (4.x)."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from v6srv.db import Base
from v6srv.model.queries import Queries


class AlgorithmStore(Queries, Base):
    """A store for one collaboration, or for all. Several rows may have one address."""

    __tablename__ = "algorithmstore"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text, index=True)
    # It goes with its collaboration: without one it would be a store for all. Where it was is never
    # forgotten: who takes it away from there has to be asked, too (authz.changes).
    collaboration_id: Mapped[int | None] = mapped_column(
        ForeignKey("collaboration.id", ondelete="CASCADE"), index=True, active_history=True
    )
    """None: it is for all collaborations."""
