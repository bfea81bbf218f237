"""Results: one run of a task by one organization, and the ports it opened."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    column,
    event,
    select,
    table,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.orm.attributes import get_history

from v6srv.db import Base, utcnow
from v6srv.model.queries import Queries

if TYPE_CHECKING:
    from v6srv.model.organization import Organization
    from v6srv.model.task import Task

_task = table("task", column("id"), column("collaboration_id"))


def _collaboration_of(connection: Connection, task_id: int | None) -> int | None:
    return connection.scalar(select(_task.c.collaboration_id).where(_task.c.id == task_id))


def _of_its_task(context: DefaultExecutionContext) -> int | None:
    """For whoever inserts a result and does not say it: a query for each."""
    task_id = context.get_current_parameters().get("task_id")
    return None if task_id is None else _collaboration_of(context.connection, task_id)


class Result(Queries, Base):
    """What one organization computes for a task. `input` and `result` are opaque text."""

    __tablename__ = "result"
    __table_args__ = (
        Index("ix_result_organization_id_finished_at", "organization_id", "finished_at"),
        # Which results of an organization may be viewed, and which tasks it computes, without a
        # look at any row.
        Index(
            "ix_result_organization_id_collaboration_id",
            "organization_id",
            "collaboration_id",
            "task_id",
        ),
        # Pages and totals of what one's collaborations may view, without a look at each task.
        Index("ix_result_collaboration_id_id", "collaboration_id", "id"),
        # What goes with a task: by one of the columns SQLite would take the index above.
        Index("ix_result_task_id_collaboration_id", "task_id", "collaboration_id"),
        # Beside the key of `task_id` alone: this one says nothing where the task has none.
        ForeignKeyConstraint(
            ["task_id", "collaboration_id"],
            ["task.id", "task.collaboration_id"],
            name="fk_result_task_id_collaboration_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    organization_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id"))
    input: Mapped[str | None] = mapped_column(Text)
    result: Mapped[str | None] = mapped_column(Text)
    log: Mapped[str | None] = mapped_column(Text)
    assigned_at: Mapped[datetime | None] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    status: Mapped[str | None] = mapped_column(Text)
    collaboration_id: Mapped[int | None] = mapped_column(default=_of_its_task)
    """That of its task: nobody needs to write it, and the database takes no other."""

    if TYPE_CHECKING:  # added in wire_columns
        node_rows: Mapped[list[Any]]
        port_rows: Mapped[list[Any]]
        cleanup_at: Mapped[datetime | None]

    task: Mapped[Task | None] = relationship(back_populates="results", foreign_keys=task_id)
    organization: Mapped[Organization | None] = relationship()
    ports: Mapped[list[Port]] = relationship(
        back_populates="result_row", passive_deletes=True, cascade="all, delete-orphan"
    )

    @property
    def complete(self) -> bool:
        """Whether the algorithm has ended, however it ended (models.md 3.1)."""
        return self.finished_at is not None


TEXTS = (Result.input, Result.result, Result.log)
"""Of any size: to be read and compared only where that is asked for."""


@event.listens_for(Result, "before_update")
def _follow_its_task(_mapper: object, connection: Connection, result: Result) -> None:
    """A result of no collaboration could otherwise go to any task as such."""
    if get_history(result, "task_id").has_changes():
        result.collaboration_id = _collaboration_of(connection, result.task_id)


class Port(Queries, Base):
    """A VPN port of a running algorithm."""

    __tablename__ = "algorithmport"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    port: Mapped[int | None]
    result_id: Mapped[int | None] = mapped_column(
        ForeignKey("result.id", ondelete="CASCADE"), index=True
    )
    label: Mapped[str | None] = mapped_column(Text)

    result_row: Mapped[Result | None] = relationship(back_populates="ports")
