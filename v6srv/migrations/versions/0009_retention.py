"""How long the data of a task is kept, and when it was deleted."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0009"
down_revision = "0008"

_INDEX = "ix_task_keep_days_created_at"


def upgrade() -> None:
    with _task() as table:
        table.add_column(sa.Column("keep_days", sa.Integer(), nullable=True))
        table.add_column(sa.Column("cleanup_at", sa.DateTime(), nullable=True))
    full = sa.text("cleanup_at IS NULL")
    op.create_index(
        _INDEX, "task", ["keep_days", "created_at"], sqlite_where=full, postgresql_where=full
    )


def downgrade() -> None:
    op.drop_index(_INDEX, "task")
    with _task() as table:
        table.drop_column("cleanup_at")
        table.drop_column("keep_days")


def _task() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table(
        "task", recreate=recreate, table_kwargs={"sqlite_autoincrement": True}
    )
