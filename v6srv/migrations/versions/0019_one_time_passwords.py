"""Passwords that let somebody in once who has just come in through the identity provider."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0015"

_TABLE = "one_time_password"


def upgrade() -> None:
    op.create_table(
        _TABLE,
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user.id"],
            name="fk_one_time_password_user_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_one_time_password"),
    )
    op.create_index("ix_one_time_password_user_id", _TABLE, ["user_id"])


def downgrade() -> None:
    op.drop_table(_TABLE)
