"""Where users are told that their tasks have ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from v6srv.db import Base, database_now


class Notification(Base):
    """One place where a user is told: a mail, or a request to a program of theirs (a web hook)."""

    __tablename__ = "notification"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    url: Mapped[str | None] = mapped_column(Text)
    """Of the program; None: by mail, to the address of the account."""
    secret: Mapped[str | None] = mapped_column(Text)
    """What requests are signed with, sealed (`identity.vault`)."""
    created_at: Mapped[datetime] = mapped_column(default=database_now())
