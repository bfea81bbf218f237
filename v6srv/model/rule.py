"""Rules: what can be granted. Filled from `authz.rules` at start, read-only in the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Enum, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base, session
from v6srv.model.association import RoleRule, UserPermission
from v6srv.model.queries import Queries
from v6srv.vocabulary import Operation, Scope

if TYPE_CHECKING:
    from v6srv.model.role import Role
    from v6srv.model.user import User


class Rule(Queries, Base):
    """A grantable (resource, scope, operation)."""

    __tablename__ = "rule"
    __table_args__ = (
        UniqueConstraint("name", "scope", "operation"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    """The resource."""
    operation: Mapped[Operation] = mapped_column(Enum(Operation, native_enum=False, length=20))
    scope: Mapped[Scope] = mapped_column(Enum(Scope, native_enum=False, length=20))
    description: Mapped[str | None] = mapped_column(Text)

    if TYPE_CHECKING:  # added in wire_columns
        user_ids: Mapped[list[int]]

    roles: Mapped[list[Role]] = relationship(secondary=RoleRule, back_populates="rules")
    users: Mapped[list[User]] = relationship(secondary=UserPermission, back_populates="rules")

    @property
    def text(self) -> str:
        """What policy lines call this rule: `task:organization:view`."""
        return f"{self.name}:{self.scope.value}:{self.operation.value}"

    @classmethod
    def get_by_(cls, name: str, scope: str, operation: str) -> Rule | None:
        """The rule for this resource, scope and operation, each word in any case; None if none."""
        try:
            reach, act = Scope(scope.lower()), Operation(operation.lower())
        except ValueError:
            return None
        query = select(cls).where(
            cls.name == name.lower(), cls.scope == reach, cls.operation == act
        )
        return session.scalars(query).one_or_none()
