"""An index from organizations to the tasks of their results."""

from alembic import op

revision = "0007"
down_revision = "0006"

_NAME = "ix_result_organization_id_task_id"


def upgrade() -> None:
    op.create_index(_NAME, "result", ["organization_id", "task_id"])


def downgrade() -> None:
    op.drop_index(_NAME, "result")
