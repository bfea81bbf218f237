"""Tasks and runs: what is to be computed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    event,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from v6srv.db import Base, session, utcnow
from v6srv.model.queries import Queries
from v6srv.model.result import Result

if TYPE_CHECKING:
    from v6srv.model.collaboration import Collaboration
    from v6srv.model.node import Node
    from v6srv.model.organization import Organization
    from v6srv.model.user import User


class Run(Base):
    """The source of `run_id`: one row per run, so a number is never given twice (Q-05)."""

    __tablename__ = "run"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)


class Task(Queries, Base):
    """One algorithm to be run by several organizations."""

    __tablename__ = "task"
    __table_args__ = (
        # What is due is found without a look at what is long empty, or not due for long.
        Index(
            "ix_task_keep_days_created_at",
            "keep_days",
            "created_at",
            sqlite_where=text("cleanup_at IS NULL"),
            postgresql_where=text("cleanup_at IS NULL"),
        ),
        # What results refer to with their copy of the collaboration.
        Index("ix_task_id_collaboration_id", "id", "collaboration_id", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    image: Mapped[str | None] = mapped_column(Text, index=True)
    database: Mapped[str | None] = mapped_column(Text)
    """The label of the first of `databases`, empty when there is none: what 3.x knows of them."""
    collaboration_id: Mapped[int | None] = mapped_column(ForeignKey("collaboration.id"), index=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"), index=True)
    """Shared by a task and its whole subtree."""
    parent_id: Mapped[int | None] = mapped_column(
        ForeignKey("task.id", ondelete="CASCADE"), index=True
    )
    initiator_id: Mapped[int | None] = mapped_column(ForeignKey("organization.id"), index=True)
    """The organization the results are encrypted for."""
    init_user_id: Mapped[int | None] = mapped_column(
        ForeignKey("user.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime | None] = mapped_column(default=utcnow)
    keep_days: Mapped[int | None]
    """How long its data is to be kept after its run; None: as long as the server keeps any."""
    cleanup_at: Mapped[datetime | None]
    """When the inputs, results and logs of its results were deleted."""
    study_id: Mapped[int | None] = mapped_column(
        ForeignKey("study.id", ondelete="SET NULL"), index=True
    )
    algorithm_store_id: Mapped[int | None] = mapped_column(
        ForeignKey("algorithmstore.id", ondelete="SET NULL"), index=True
    )
    """The store that its image comes from."""
    dialect: Mapped[int] = mapped_column(SmallInteger, default=3, server_default="3")
    """In which form it was ordered, 3.x or 4.x."""

    if TYPE_CHECKING:  # added in wire_columns
        child_ids: Mapped[list[int]]
        result_ids: Mapped[list[int]]
        status: Mapped[str]
        status_in_4: Mapped[str]
        database_rows: Mapped[list[Any]]
        unfinished: Mapped[int]
        last_finished_at: Mapped[datetime | None]

    collaboration: Mapped[Collaboration | None] = relationship(back_populates="tasks")
    initiator: Mapped[Organization | None] = relationship()
    init_user: Mapped[User | None] = relationship(back_populates="created_tasks")
    parent: Mapped[Task | None] = relationship(back_populates="children", remote_side=[id])
    children: Mapped[list[Task]] = relationship(back_populates="parent", passive_deletes=True)
    results: Mapped[list[Result]] = relationship(
        back_populates="task",
        foreign_keys=Result.task_id,
        passive_deletes=True,
        cascade="all, delete-orphan",
        order_by="Result.id",
    )
    databases: Mapped[list[TaskDatabase]] = relationship(
        viewonly=True, order_by="TaskDatabase.position"
    )

    @property
    def runs(self) -> list[Result]:
        """What 4.x calls runs; what comes of them it calls results."""
        return self.results

    @classmethod
    def next_run_id(cls) -> int:
        """A number for a new run. It is taken with this: no other call ever gets it (Q-05)."""
        run = Run()
        session.add(run)
        session.flush()
        return run.id

    def results_for_node(self, node: Node) -> list[Result]:
        """The results of this task that the node computes, by id.

        Empty for a node of another collaboration, even if its organization takes part.
        """
        if node.collaboration_id is None or node.collaboration_id != self.collaboration_id:
            return []
        query = select(Result).where(
            Result.task_id == self.id, Result.organization_id == node.organization_id
        )
        return list(session.scalars(query.order_by(Result.id)))


@event.listens_for(Task, "after_update")
def _take_results_along(_mapper: object, connection: Connection, task: Task) -> None:
    """Into its first collaboration: from there on the key of the results does it."""
    if inspect(task).attrs.collaboration_id.history.has_changes():
        connection.execute(
            update(Result.__table__)
            .where(Result.task_id == task.id, Result.collaboration_id.is_(None))
            .values(collaboration_id=task.collaboration_id)
        )


class TaskDatabase(Base):
    """One of the databases that a task reads at each node, by the label it has there."""

    __tablename__ = "task_database"
    __table_args__ = (UniqueConstraint("task_id", "position"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(default=0)
    """Its place among those of the task, from 0."""
    label: Mapped[str] = mapped_column(Text)
    parameters: Mapped[str] = mapped_column(Text, default="{}")
    """What else is said of it, as the text of a JSON object."""
