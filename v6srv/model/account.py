"""`authenticatable`: what users and nodes have in common. They share one sequence of ids."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from v6srv.db import Base
from v6srv.errors import Invalid
from v6srv.model.queries import Queries


class Account(Queries, Base):
    """A user or a node; the id belongs to one or the other, and is never used again."""

    __tablename__ = "authenticatable"
    __table_args__ = (Index("ix_authenticatable_status", "status"), {"sqlite_autoincrement": True})
    __mapper_args__ = {"polymorphic_on": "type", "polymorphic_identity": "authenticatable"}

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(50))
    ip: Mapped[str | None] = mapped_column(Text)
    last_seen: Mapped[datetime | None]
    status: Mapped[str | None] = mapped_column(Text)
    token_version: Mapped[int] = mapped_column(default=0, server_default="0")
    """Part of every token of the account; raising it ends them all."""
    kept_session: Mapped[str | None] = mapped_column(String(36))
    """The one session (claim `sid`) whose older tokens live on: it changed the password (A12)."""

    def end_tokens(self, keep: str | None = None) -> None:
        """No token issued so far is valid any more, except those of the session `keep`."""
        self.token_version += 1
        self.kept_session = keep


def only_a_hash(value: str | None, instead: str) -> str | None:
    """`value`, unless it is a secret in clear. Raises Invalid, which names what to use instead.

    In the shell of 3.x an assigned password or API key was hashed on the way.
    """
    if value is None or _HASH.fullmatch(value):
        return value
    raise Invalid(f"This is stored as a hash, and what you assign is none: use {instead}")


_HASH = re.compile(r"(sha256:)?\$2[abxy]\$\d\d\$[./0-9A-Za-z]{53}")


class LoginSession(Base):
    """A session of a user; or of a node, if it was refreshed or has ended before its tokens.

    It goes with its last token.
    """

    __tablename__ = "login_session"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """Claim `sid` of its tokens."""
    account_id: Mapped[int] = mapped_column(
        ForeignKey("authenticatable.id", ondelete="CASCADE"), index=True
    )
    current: Mapped[str | None] = mapped_column(String(36))
    """Claim `jti` of the refresh token that its program was last seen to have taken over."""
    previous: Mapped[str | None] = mapped_column(String(36))
    """The one that it had before."""
    changed_at: Mapped[datetime] = mapped_column(index=True)
    """When that was, or the session ended, by the clock of the database."""
    ended: Mapped[bool] = mapped_column(default=False)
    """None of its tokens is good any more."""
    begun_at: Mapped[datetime | None]
    """When the user logged in. These are of users only, and null until the next refresh in rows
    that are older than the columns."""
    refreshed_at: Mapped[datetime | None]
    """When a token of it was issued last, as noted once in `refresh_grace_s` at most."""
    dialect: Mapped[int | None]
    version: Mapped[int | None]
    """The `token_version` that its tokens have."""


class SocketConnection(Base):
    """One live socket of an account. An account is online while it has one."""

    __tablename__ = "socket_connection"

    sid: Mapped[str] = mapped_column(String(100), primary_key=True)
    account_id: Mapped[int] = mapped_column(
        ForeignKey("authenticatable.id", ondelete="CASCADE"), index=True
    )
    process: Mapped[str] = mapped_column(String(100), index=True)
    """The server process that holds the socket."""
    seen_at: Mapped[datetime]
