"""Rules that only 4.x has names for.

They are declared, so the server adds them at its start. An older server would show them, and cannot
read a scope that it does not know: on the way down they go, from roles and users, too.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_rule = sa.table("rule", *(sa.column(name) for name in ("id", "name", "scope", "operation")))
_COLLABORATION = (
    *(("node", operation) for operation in ("VIEW", "EDIT", "CREATE", "DELETE")),
    *(("user", operation) for operation in ("VIEW", "EDIT", "CREATE", "DELETE")),
    *(("role", operation) for operation in ("VIEW", "EDIT", "CREATE", "DELETE")),
    ("collaboration", "EDIT"),
    ("collaboration", "DELETE"),
    ("organization", "EDIT"),
)
_OTHERS = (
    ("organization", "GLOBAL", "DELETE"),
    ("task", "OWN", "VIEW"),
    ("task", "OWN", "DELETE"),
    ("result", "OWN", "VIEW"),
)


def upgrade() -> None:
    """The tables are as they have to be."""


def downgrade() -> None:
    new = sa.select(_rule.c.id).where(
        sa.or_(
            _rule.c.scope == "OWN_ORGANIZATION",
            _rule.c.name == "study",
            *(_is(name, "COLLABORATION", operation) for name, operation in _COLLABORATION),
            *(_is(*words) for words in _OTHERS),
        )
    )
    for name in ("role_rule_association", "UserPermission"):
        holds = sa.table(name, sa.column("rule_id"))
        op.execute(sa.delete(holds).where(holds.c.rule_id.in_(new)))
    op.execute(sa.delete(_rule).where(_rule.c.id.in_(new)))


def _is(name: str, scope: str, operation: str) -> sa.ColumnElement[bool]:
    words = _rule.c.name == name, _rule.c.scope == scope, _rule.c.operation == operation
    return sa.and_(*words)
