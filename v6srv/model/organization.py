"""Organizations: who owns users, nodes and data."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from sqlalchemy import LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base
from v6srv.errors import Invalid
from v6srv.model.association import Member

if TYPE_CHECKING:
    from v6srv.model.collaboration import Collaboration
    from v6srv.model.node import Node
    from v6srv.model.role import Role
    from v6srv.model.user import User


class Organization(Base):
    """A hospital, registry or research group."""

    __tablename__ = "organization"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text, index=True)
    domain: Mapped[str | None] = mapped_column(Text)
    address1: Mapped[str | None] = mapped_column(Text)
    address2: Mapped[str | None] = mapped_column(Text)
    zipcode: Mapped[str | None] = mapped_column(Text)
    country: Mapped[str | None] = mapped_column(Text, index=True)
    _public_key: Mapped[bytes | None] = mapped_column(LargeBinary)

    if TYPE_CHECKING:  # added in wire_columns
        collaboration_ids: Mapped[list[int]]
        node_ids: Mapped[list[int]]
        user_ids: Mapped[list[int]]
        role_ids: Mapped[list[int]]
        result_ids: Mapped[list[int]]

    collaborations: Mapped[list[Collaboration]] = relationship(
        secondary=Member, back_populates="organizations"
    )
    nodes: Mapped[list[Node]] = relationship(back_populates="organization")
    users: Mapped[list[User]] = relationship(back_populates="organization")
    roles: Mapped[list[Role]] = relationship(back_populates="organization")

    @property
    def public_key(self) -> str:
        """The base64 text as it was uploaded (clients.md 8); empty when there is none.

        Assigning None or "" removes the key; text that is not base64 raises Invalid.
        """
        return b64encode(self._public_key or b"").decode()

    @public_key.setter
    def public_key(self, text: str | None) -> None:
        try:
            self._public_key = b64decode(text or "", validate=True) or None
        except (binascii.Error, ValueError) as error:
            problem = "not valid base64"
            raise Invalid(f"public_key: {problem}", {"public_key": [problem]}) from error
