"""What names and addresses of users are compared by.

The columns are filled when the server starts, or anything else prepares the database: of accounts
that have been different by case only, one gets the key, and the others keep working without.
"""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0006"
down_revision = "0005"

_KEYS = ("username_key", "email_key")


def upgrade() -> None:
    with _user() as table:
        for key in _KEYS:
            table.add_column(sa.Column(key, sa.Text(), nullable=True))
    for key in _KEYS:
        op.create_index(f"ix_user_{key}", "user", [key], unique=True)


def downgrade() -> None:
    for key in _KEYS:
        op.drop_index(f"ix_user_{key}", "user")
    with _user() as table:
        for key in _KEYS:
            table.drop_column(key)


def _user() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table("user", recreate=recreate)
