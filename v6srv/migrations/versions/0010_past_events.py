"""Events that were sent stay, each with its place, for those who were away."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with _outbox() as table:
        table.add_column(sa.Column("position", sa.BigInteger(), nullable=True))
        table.create_index("ix_outbox_position", ["position"], unique=True)
        # What is to be sent is found by `sent_at`, however much that was sent there is beside it.
        table.drop_index("ix_outbox_process")
        table.drop_index("ix_outbox_created_at")
    op.execute("UPDATE outbox SET position = id WHERE sent_at IS NOT NULL")


def downgrade() -> None:
    with _outbox() as table:
        table.create_index("ix_outbox_created_at", ["created_at"])
        table.create_index("ix_outbox_process", ["process"])
        table.drop_index("ix_outbox_position")
        table.drop_column("position")


def _outbox() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table(
        "outbox", recreate=recreate, table_kwargs={"sqlite_autoincrement": True}
    )
