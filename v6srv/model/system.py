"""Tables of the server itself: policy, processes, and what is still to be sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, Text, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from v6srv.db import Base, database_now, utcnow


class PolicyRevision(Base):
    """One row, id 1. Read with every principal, so every process follows at once."""

    __tablename__ = "policy_revision"

    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[int] = mapped_column(default=0, server_default="0")
    """Raised in the transaction that changes what a role or an admin line grants."""
    members: Mapped[int] = mapped_column(default=0, server_default="0")
    """Raised in the transaction that changes who has what, or who is where: live sockets look."""

    @classmethod
    def lock(cls, sess: Session) -> None:
        """Until the transaction of a session ends, who else does this, or raises them, waits."""
        same = update(cls).where(cls.id == 1).values({cls.lines: cls.lines})
        sess.execute(same.execution_options(synchronize_session=False))

    @classmethod
    def raise_(cls, sess: Session, *columns: InstrumentedAttribute[int]) -> None:
        """Raise these numbers by one in the transaction of a session."""
        sess.execute(
            update(cls)
            .where(cls.id == 1)
            .values({column: column + 1 for column in columns})
            .execution_options(synchronize_session=False)
        )
        sess.info["policy_changed"] = True  # the listeners of this process, see service.events


class Outbox(Base):
    """An event, written in the transaction that causes it; its promise to be sent.

    It stays a while then, for those that could not hear it (`service.events`).
    """

    __tablename__ = "outbox"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    process: Mapped[str] = mapped_column(String(100))
    """The process that sends it: the one that wrote it, until another takes over."""
    event: Mapped[str] = mapped_column(String(100))
    payload: Mapped[Any] = mapped_column(JSON)
    rooms: Mapped[list[str]] = mapped_column(JSON)
    sent_at: Mapped[datetime | None] = mapped_column(index=True)
    """When that it was sent was noted, by the clock of the database; None: not yet."""
    position: Mapped[int | None] = mapped_column(BigInteger, index=True, unique=True)
    """Its place among what was sent, given together with `sent_at`: whoever has seen one has seen
    all before it that will ever be. Ids are not so: the lower one may be committed later."""


class Mail(Base):
    """A mail, written in the transaction that causes it and deleted once it is sent or given up.

    It holds no secret: address and name are those of the account, and a token is made, when it is
    sent.
    """

    __tablename__ = "mail"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=database_now())
    kind: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), index=True
    )
    """To whom; None: to nobody, see `service.mail_queue.put`."""
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What it says beside what is known of the account."""
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(default=database_now(), index=True)
    """When to try next; while somebody tries, when others may."""


class CasbinRule(Base):
    """Policy lines that admins add, in Casbin's standard table."""

    __tablename__ = "casbin_rule"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    ptype: Mapped[str | None] = mapped_column(String(255))
    v0: Mapped[str | None] = mapped_column(String(255))
    v1: Mapped[str | None] = mapped_column(String(255))
    v2: Mapped[str | None] = mapped_column(String(255))
    v3: Mapped[str | None] = mapped_column(String(255))
    v4: Mapped[str | None] = mapped_column(String(255))
    v5: Mapped[str | None] = mapped_column(String(255))
    valid_from: Mapped[datetime | None]
    """The line counts from this moment on; None: from ever."""
    valid_until: Mapped[datetime | None]
    """The line counts until just before this moment; None: for ever."""
    comment: Mapped[str | None] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(String(100))
    """Who wrote it last, as policies know principals (`user:5`); None: not written through REST."""
    created_at: Mapped[datetime | None] = mapped_column(default=utcnow)

    @property
    def values(self) -> tuple[str, ...]:
        """The fields that are given, without the type of the line."""
        fields = (self.v0, self.v1, self.v2, self.v3, self.v4, self.v5)
        return tuple(field for field in fields if field is not None)


class PolicyVersion(Base):
    """Policy files that were live once: what history shows and rollback brings back."""

    __tablename__ = "policy_version"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    author: Mapped[str] = mapped_column(String(100))
    """Who published it, in the words of the one who ran the command."""
    message: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(String(64))
    """SHA-256 over the names and texts of the files."""
    files: Mapped[dict[str, str]] = mapped_column(JSON)
    """Text of each file by its path below the policy folder."""


class ServerProcess(Base):
    """A process that serves this database now (`service.agreement`).

    When it is not there any more, others send what it left in the outbox.
    """

    __tablename__ = "server_process"

    process: Mapped[str] = mapped_column(String(100), primary_key=True)
    key_digest: Mapped[str] = mapped_column(String(64))
    """A fingerprint of the key that it signs with; the key cannot be found from it."""
    policy_digest: Mapped[str] = mapped_column(String(64))
    """A digest of the policy files that it decides by."""
    seen_at: Mapped[datetime]
    """When it last said so, by the clock of the database."""


class OneTimePassword(Base):
    """Lets a user in once, instead of the password (`identity.one_time`)."""

    __tablename__ = "one_time_password"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    version: Mapped[int]
    """`token_version` of the account when it was made: it ends with the tokens."""
    ends_at: Mapped[datetime]
