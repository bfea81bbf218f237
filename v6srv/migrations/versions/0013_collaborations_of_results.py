"""Results say themselves in which collaboration they are, as their tasks do.

What a collaboration may view is found by an index then, without a look at the task of each result.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_TASKS = "ix_task_id_collaboration_id"
_RESULTS = "ix_result_collaboration_id_id"
_KEY = "fk_result_task_id_collaboration_id"
_PAIR = ["task_id", "collaboration_id"]


def upgrade() -> None:
    op.create_index(_TASKS, "task", ["id", "collaboration_id"], unique=True)
    # On SQLite the table is made anew, so the key comes with the values.
    with op.batch_alter_table("result", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("collaboration_id", sa.Integer(), nullable=True))
        table.create_foreign_key(
            _KEY, "task", _PAIR, ["id", "collaboration_id"], onupdate="CASCADE", ondelete="CASCADE"
        )
    op.execute(
        "UPDATE result SET collaboration_id ="
        " (SELECT collaboration_id FROM task WHERE task.id = result.task_id)"
    )
    op.create_index(_RESULTS, "result", ["collaboration_id", "id"])


def downgrade() -> None:
    op.drop_index(_RESULTS, "result")
    with op.batch_alter_table("result", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_constraint(_KEY, type_="foreignkey")
        table.drop_column("collaboration_id")
    op.drop_index(_TASKS, "task")
