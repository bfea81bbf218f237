"""What the 4.x protocol has more: studies, algorithm stores, several databases of a task.

Until now a task had one database or none. It becomes the first of the new table, and stays in the
task as 3.x reads it.
"""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0011"
down_revision = "0010"

_OF_TASK = {"study_id": "study", "algorithm_store_id": "algorithmstore"}


def upgrade() -> None:
    _studies()
    op.create_table(
        "algorithmstore",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        _id_of("collaboration", nullable=True),
        _refers("algorithmstore", "collaboration"),
        sa.PrimaryKeyConstraint("id", name="pk_algorithmstore"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_algorithmstore_collaboration_id", "algorithmstore", ["collaboration_id"])
    op.create_index("ix_algorithmstore_url", "algorithmstore", ["url"])
    with _table("task") as table:
        for column, target in _OF_TASK.items():
            table.add_column(sa.Column(column, sa.Integer(), nullable=True))
            name = f"fk_task_{column}"
            table.create_foreign_key(name, target, [column], ["id"], ondelete="SET NULL")
            table.create_index(f"ix_task_{column}", [column])
        dialect = sa.Column("dialect", sa.SmallInteger(), server_default="3", nullable=False)
        table.add_column(dialect)
    with _table("node") as table:
        table.add_column(sa.Column("generation", sa.SmallInteger(), nullable=True))
    _databases()


def downgrade() -> None:
    op.drop_table("task_database")
    with _table("node") as table:
        table.drop_column("generation")
    with _table("task") as table:
        table.drop_column("dialect")
        for column in _OF_TASK:
            table.drop_index(f"ix_task_{column}")
            table.drop_constraint(f"fk_task_{column}", type_="foreignkey")
            table.drop_column(column)
    for name in ("algorithmstore", "StudyMember", "study"):
        op.drop_table(name)


def _studies() -> None:
    op.create_table(
        "study",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        _id_of("collaboration"),
        _refers("study", "collaboration"),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
        sa.UniqueConstraint("name", name="uq_study_name"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_study_collaboration_id", "study", ["collaboration_id"])
    op.create_table(
        "StudyMember",
        _id_of("study"),
        _id_of("organization"),
        _refers("StudyMember", "organization"),
        _refers("StudyMember", "study"),
        sa.PrimaryKeyConstraint("study_id", "organization_id", name="pk_StudyMember"),
    )
    op.create_index("ix_StudyMember_organization_id", "StudyMember", ["organization_id"])


def _databases() -> None:
    op.create_table(
        "task_database",
        sa.Column("id", sa.Integer(), nullable=False),
        _id_of("task"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        _refers("task_database", "task"),
        sa.PrimaryKeyConstraint("id", name="pk_task_database"),
        sa.UniqueConstraint("task_id", "position", name="uq_task_database_task_id_position"),
        sqlite_autoincrement=True,
    )
    op.execute(
        "INSERT INTO task_database (task_id, position, label, parameters)"
        """ SELECT id, 0, "database", '{}' FROM task WHERE "database" <> '' ORDER BY id"""
    )


def _id_of(target: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(f"{target}_id", sa.Integer(), nullable=nullable)


def _refers(table: str, target: str) -> sa.ForeignKeyConstraint:
    column = f"{target}_id"
    name = f"fk_{table}_{column}"
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=name, ondelete="CASCADE")


def _table(name: str) -> AbstractContextManager[BatchOperations]:
    # SQLite adds a column behind the constraints; made anew, the table is as the models say.
    recreate = "always" if op.get_context().dialect.name == "sqlite" else "never"
    options = {"sqlite_autoincrement": True} if name == "task" else {}
    return op.batch_alter_table(name, recreate=recreate, table_kwargs=options)
