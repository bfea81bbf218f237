"""Users: people with an account."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, Text, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from v6srv.db import session, utcnow
from v6srv.model.account import Account, only_a_hash
from v6srv.model.association import Permission, UserPermission

if TYPE_CHECKING:
    from v6srv.model.organization import Organization
    from v6srv.model.role import Role
    from v6srv.model.rule import Rule
    from v6srv.model.task import Task


class User(Account):
    """A person of exactly one organization."""

    __tablename__ = "user"
    __mapper_args__ = {"polymorphic_identity": "user"}

    id: Mapped[int] = mapped_column(
        ForeignKey("authenticatable.id", ondelete="CASCADE"), primary_key=True
    )
    username: Mapped[str | None] = mapped_column(Text, unique=True)
    password: Mapped[str | None] = mapped_column(Text)
    """A bcrypt hash (`passwords`)."""
    firstname: Mapped[str | None] = mapped_column(Text)
    lastname: Mapped[str | None] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text, unique=True)
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id"), index=True)

    failed_login_attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    last_login_attempt: Mapped[datetime | None]
    """Time of the last failed attempt."""
    blocked_mail_at: Mapped[datetime | None]
    """When the owner was last told that the account is blocked: once per block (A8)."""

    otp_secret: Mapped[str | None] = mapped_column(Text)
    """The TOTP secret, encrypted (`identity.totp`); in no answer."""
    otp_confirmed: Mapped[bool] = mapped_column(default=False, server_default="0")
    """A first valid code has been given; until then the secret is pending (A6)."""
    otp_last_step: Mapped[int | None]
    """The time step of the last accepted code: it is not accepted again (A7)."""

    username_key: Mapped[str | None] = mapped_column(Text, unique=True, index=True)
    email_key: Mapped[str | None] = mapped_column(Text, unique=True, index=True)
    """What the name and the address are compared by (`names.key`): no two accounts share one.

    `model.checks` keeps them. Older accounts that are the same but for their case may have none.
    """

    wrong_codes: Mapped[int] = mapped_column(default=0, server_default="0")
    """Wrong or used codes after the right password, of the failed attempts that count now."""
    password_mail_at: Mapped[datetime | None]
    second_factor_mail_at: Mapped[datetime | None]
    """When a token for a new password or second factor was last asked for or sent by mail, by the
    clock of the database; None also when it was used (`service.mail_queue`)."""
    recovered_at: Mapped[datetime | None]
    """When the password was replaced with a mailed token; None again after the next login."""

    if TYPE_CHECKING:  # added in wire_columns
        role_ids: Mapped[list[int]]
        rule_rows: Mapped[list[tuple[int, str, str, str]]]
        created_task_ids: Mapped[list[int]]

    organization: Mapped[Organization | None] = relationship(back_populates="users")
    roles: Mapped[list[Role]] = relationship(secondary=Permission, back_populates="users")
    rules: Mapped[list[Rule]] = relationship(secondary=UserPermission, back_populates="users")
    created_tasks: Mapped[list[Task]] = relationship(
        back_populates="init_user", passive_deletes=True
    )

    @validates("password")
    def _hashed(self, _name: str, value: str | None) -> str | None:
        return only_a_hash(value, "set_password(user, '...')")

    @property
    def called(self) -> tuple[str | None, ...]:
        """What a password of this user is easily guessed from."""
        organization = self.organization.name if self.organization else None
        return self.username, self.email, self.firstname, self.lastname, organization

    @classmethod
    def get_by_username(cls, username: str) -> User:
        """The user of this name, compared exactly. Raises SQLAlchemy's NoResultFound."""
        return session.scalars(select(cls).where(cls.username == username)).one()

    @classmethod
    def get_by_email(cls, email: str) -> User:
        """The user with this address, compared exactly. Raises SQLAlchemy's NoResultFound."""
        return session.scalars(select(cls).where(cls.email == email)).one()

    @classmethod
    def username_exists(cls, username: str) -> bool:
        """Whether a user has exactly this name; others that differ by case only are refused too."""
        return cls.exists("username", username)

    def is_blocked(
        self,
        max_failed_attempts: int,
        inactivation_in_minutes: float,
        now: datetime | None = None,
    ) -> tuple[bool, str | None]:
        """Whether failed attempts lock the account now, and if so a text that says for how long."""
        left = self.minutes_blocked(max_failed_attempts, inactivation_in_minutes, now)
        if not left:
            return False, None
        return True, (
            f"The account {self.username} is blocked for another {left} minutes, because of"
            f" {self.failed_login_attempts} failed attempts to log in"
        )

    def minutes_blocked(
        self,
        max_failed_attempts: int,
        inactivation_in_minutes: float,
        now: datetime | None = None,
    ) -> int:
        """Begun minutes until the lock ends, 0 when the account is not locked (auth.md 4)."""
        last = self.last_login_attempt
        if last is None or (self.failed_login_attempts or 0) < max_failed_attempts:
            return 0
        left = timedelta(minutes=inactivation_in_minutes) - ((now or utcnow()) - last)
        return int(left.total_seconds()) // 60 + 1 if left > timedelta() else 0
