"""When an account was last sent a token, and what is known of its second factor and its lock."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0015"
down_revision = "0014"

_TIMES = ("password_mail_at", "second_factor_mail_at", "recovered_at")


def upgrade() -> None:
    with _user() as table:
        table.add_column(sa.Column("wrong_codes", sa.Integer(), server_default="0", nullable=False))
        for column in _TIMES:
            table.add_column(sa.Column(column, sa.DateTime(), nullable=True))


def downgrade() -> None:
    with _user() as table:
        for column in (*_TIMES, "wrong_codes"):
            table.drop_column(column)


def _user() -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    return op.batch_alter_table("user", recreate=recreate)
