"""The results of a task are found by both columns of their key.

SQLite took the index of the collaboration for it, and looked at all its results for each task that
was removed: 27 s for 2,500 tasks of 12,500 results, 1 s with this.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

_BOTH, _ONE = "ix_result_task_id_collaboration_id", "ix_result_task_id"


def upgrade() -> None:
    op.create_index(_BOTH, "result", ["task_id", "collaboration_id"])
    op.drop_index(_ONE, "result")


def downgrade() -> None:
    op.create_index(_ONE, "result", ["task_id"])
    op.drop_index(_BOTH, "result")
