"""Nodes: the programs inside organizations that run algorithms on local data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, SmallInteger, String, Text, UniqueConstraint, exists, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from v6srv.db import Base, session
from v6srv.model.account import Account, only_a_hash
from v6srv.model.queries import Queries

if TYPE_CHECKING:
    from v6srv.model.collaboration import Collaboration
    from v6srv.model.organization import Organization


class Node(Account):
    """At most one node per organization and collaboration (Q-19)."""

    __tablename__ = "node"
    __table_args__ = (UniqueConstraint("organization_id", "collaboration_id"),)
    __mapper_args__ = {"polymorphic_identity": "node"}

    id: Mapped[int] = mapped_column(
        ForeignKey("authenticatable.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str | None] = mapped_column(Text)
    api_key: Mapped[str | None] = mapped_column(Text)
    """A bcrypt hash, only on nodes taken over from a 3.x server until their next login."""
    key_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Keyed digest of the API key: a node is found by it in one look-up."""
    collaboration_id: Mapped[int | None] = mapped_column(ForeignKey("collaboration.id"), index=True)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id"))
    generation: Mapped[int | None] = mapped_column(SmallInteger)
    """Whether its program was seen to be one of 3.x or of 4.x; None: it was not seen yet."""

    if TYPE_CHECKING:  # added in wire_columns
        config_rows: Mapped[list[list[Any]]]

    organization: Mapped[Organization | None] = relationship(back_populates="nodes")
    collaboration: Mapped[Collaboration | None] = relationship(back_populates="nodes")
    config: Mapped[list[NodeConfig]] = relationship(
        back_populates="node", cascade="all, delete-orphan", passive_deletes=True
    )

    @validates("api_key")
    def _hashed(self, _name: str, value: str | None) -> str | None:
        return only_a_hash(value, "POST /recover/node, which makes a new key")

    @classmethod
    def exists(  # type: ignore[override]  # 3.x asks nodes for their place
        cls, organization_id: int, collaboration_id: int
    ) -> bool:
        """Whether the organization has a node in the collaboration."""
        query = select(
            exists(
                select(cls.id).where(
                    cls.organization_id == organization_id,
                    cls.collaboration_id == collaboration_id,
                )
            )
        )
        return bool(session.scalar(query))


ALLOWED_USERS, ALLOWED_ORGS = RESTRICTIONS = ("allowed_users", "allowed_orgs")
"""The keys of what nodes share that say who may send them tasks."""


class NodeConfig(Queries, Base):
    """One value of what a connected node shares of its configuration (realtime.md 6).

    A node that goes leaves its restrictions here: they hold until it tells others (ADR 10).
    """

    __tablename__ = "nodeconfig"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    node_id: Mapped[int | None] = mapped_column(
        ForeignKey("node.id", ondelete="CASCADE"), index=True
    )
    key: Mapped[str | None] = mapped_column(Text)
    value: Mapped[str | None] = mapped_column(Text)
    live: Mapped[bool] = mapped_column(default=True, server_default="1")
    """A socket shares it now; otherwise it is what the node said last, and on no wire."""

    node: Mapped[Node | None] = relationship(back_populates="config")
