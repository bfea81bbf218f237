"""Events that were published are kept a while, for processes that could not hear them."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with _outbox() as table:
        table.add_column(sa.Column("sent_at", sa.DateTime(), nullable=True))
        table.create_index("ix_outbox_sent_at", ["sent_at"])


def downgrade() -> None:
    op.execute("DELETE FROM outbox WHERE sent_at IS NOT NULL")  # they would be sent once more
    with _outbox() as table:
        table.drop_index("ix_outbox_sent_at")
        table.drop_column("sent_at")


def _outbox() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table(
        "outbox", recreate=recreate, table_kwargs={"sqlite_autoincrement": True}
    )
