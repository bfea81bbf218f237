"""Restrictions of nodes are kept when the nodes go."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with _nodeconfig() as table:
        table.add_column(sa.Column("live", sa.Boolean(), server_default="1", nullable=False))


def downgrade() -> None:
    op.execute("DELETE FROM nodeconfig WHERE NOT live")  # it would look as if it were shared now
    with _nodeconfig() as table:
        table.drop_column("live")


def _nodeconfig() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table(
        "nodeconfig", recreate=recreate, table_kwargs={"sqlite_autoincrement": True}
    )
