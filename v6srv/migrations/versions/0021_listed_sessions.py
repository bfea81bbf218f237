"""Sessions of users are listed: when they began, when they were refreshed, and their dialect."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_TABLE = "login_session"
_COLUMNS = {
    "begun_at": sa.DateTime(),
    "refreshed_at": sa.DateTime(),
    "dialect": sa.Integer(),
    "version": sa.Integer(),
}


def upgrade() -> None:
    for name, type_ in _COLUMNS.items():
        op.add_column(_TABLE, sa.Column(name, type_, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table(_TABLE) as table:
        for name in _COLUMNS:
            table.drop_column(name)
