"""Sessions that were refreshed, or have ended before their tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "login_session",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("current", sa.String(length=36), nullable=True),
        sa.Column("previous", sa.String(length=36), nullable=True),
        sa.Column("changed_at", sa.DateTime(), nullable=False),
        sa.Column("ended", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["authenticatable.id"],
            name="fk_login_session_account_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_login_session"),
    )
    op.create_index("ix_login_session_account_id", "login_session", ["account_id"])
    op.create_index("ix_login_session_changed_at", "login_session", ["changed_at"])


def downgrade() -> None:
    op.drop_table("login_session")
