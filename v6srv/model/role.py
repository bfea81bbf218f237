"""Roles: named sets of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base
from v6srv.model.association import Permission, RoleRule
from v6srv.model.queries import Queries

if TYPE_CHECKING:
    from v6srv.model.organization import Organization
    from v6srv.model.rule import Rule
    from v6srv.model.user import User


class Role(Queries, Base):
    """A custom role of an organization, or a server-wide default role."""

    __tablename__ = "role"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text, index=True)
    description: Mapped[str | None] = mapped_column(Text)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id"), index=True)
    slug: Mapped[str | None] = mapped_column(String(50), unique=True)
    """The name of a default role in `policies/*.csv` (`viewer` for `role:viewer`).

    None for custom roles, which policies know by id (`role:12`).
    """

    if TYPE_CHECKING:  # added in wire_columns
        rule_rows: Mapped[list[tuple[int, str, str, str]]]
        user_ids: Mapped[list[int]]

    organization: Mapped[Organization | None] = relationship(back_populates="roles")
    rules: Mapped[list[Rule]] = relationship(secondary=RoleRule, back_populates="roles")
    users: Mapped[list[User]] = relationship(secondary=Permission, back_populates="roles")

    @property
    def subject(self) -> str:
        """What policy lines call this role."""
        return f"role:{self.slug or self.id}"
