"""Time limits and authors of added policy lines; published versions of the policy files."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ADDED = (
    ("valid_from", sa.DateTime()),
    ("valid_until", sa.DateTime()),
    ("comment", sa.Text()),
    ("author", sa.String(length=100)),
    ("created_at", sa.DateTime()),
)


def upgrade() -> None:
    for name, type_ in _ADDED:
        op.add_column("casbin_rule", sa.Column(name, type_))
    op.create_table(
        "policy_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_version"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    op.drop_table("policy_version")
    for name, _ in reversed(_ADDED):
        op.drop_column("casbin_rule", name)
