"""Organizations: who owns users, nodes and data."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from sqlalchemy import LargeBinary, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base, session
from v6srv.errors import Invalid
from v6srv.model.association import Member
from v6srv.model.queries import Queries
from v6srv.model.result import Result

if TYPE_CHECKING:
    from v6srv.model.collaboration import Collaboration
    from v6srv.model.node import Node
    from v6srv.model.role import Role
    from v6srv.model.task import Task
    from v6srv.model.user import User


class Organization(Queries, Base):
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
    results: Mapped[list[Result]] = relationship(viewonly=True, order_by="Result.id")
    created_tasks: Mapped[list[Task]] = relationship(viewonly=True, order_by="Task.id")
    """Tasks that the organization initiated. Both lists can be long, and are only for reading."""

    @property
    def public_key(self) -> str:
        """The base64 text as it was uploaded (clients.md 8); empty when there is none.

        Assigning None or "" removes the key; other text is checked by `decoded_key`.
        """
        return b64encode(self._public_key or b"").decode()

    @public_key.setter
    def public_key(self, text: str | None) -> None:
        self._public_key = decoded_key(text or "") or None

    @classmethod
    def get_by_name(cls, name: str) -> Organization | None:
        """The organization of this name, compared exactly; the oldest if several have it."""
        query = select(cls).where(cls.name == name).order_by(cls.id).limit(1)
        return session.scalars(query).one_or_none()

    def get_result_ids(self) -> list[int]:
        """The ids of the results that the organization computes or computed, in order."""
        query = select(Result.id).where(Result.organization_id == self.id).order_by(Result.id)
        return list(session.scalars(query))


def decoded_key(text: str) -> bytes:
    """The public key that clients and nodes send as base64 of its PEM text (clients.md 8).

    Raises Invalid, which says how to send it, for anything else; it never repeats what was sent.
    """
    try:
        # Whoever has the PEM text in hand is told what is missing, not that "-" is no base64.
        key = text.encode() if _PEM in text else b64decode(text, validate=True)
        problem = _NOT_BASE64 if _PEM in text else None
    except (binascii.Error, ValueError):
        key, problem = b"", "not valid base64"
    if _PRIVATE in key:
        problem = "this is a private key, which must stay secret: send the public key"
    if problem is not None:
        raise Invalid(f"public_key: {problem}", {"public_key": [problem]})
    return key


_PEM = "-----BEGIN "
_PRIVATE = b"PRIVATE KEY-----"
_NOT_BASE64 = (
    "this is PEM text: send it base64-encoded once more, on one line, as clients do"
    " (base64 -w0 public_key.pem)"
)
