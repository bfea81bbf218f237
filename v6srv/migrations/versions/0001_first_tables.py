"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "authenticatable",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(length=50), nullable=False),
        sa.Column("ip", sa.Text()),
        sa.Column("last_seen", sa.DateTime()),
        sa.Column("status", sa.Text()),
        sa.Column("token_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kept_session", sa.String(length=36)),
        sa.PrimaryKeyConstraint("id", name="pk_authenticatable"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_authenticatable_status", "authenticatable", ["status"])
    op.create_table(
        "casbin_rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("ptype", sa.String(length=255)),
        sa.Column("v0", sa.String(length=255)),
        sa.Column("v1", sa.String(length=255)),
        sa.Column("v2", sa.String(length=255)),
        sa.Column("v3", sa.String(length=255)),
        sa.Column("v4", sa.String(length=255)),
        sa.Column("v5", sa.String(length=255)),
        sa.PrimaryKeyConstraint("id", name="pk_casbin_rule"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "collaboration",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("encrypted", sa.Boolean()),
        sa.PrimaryKeyConstraint("id", name="pk_collaboration"),
        sa.UniqueConstraint("name", name="uq_collaboration_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("domain", sa.Text()),
        sa.Column("address1", sa.Text()),
        sa.Column("address2", sa.Text()),
        sa.Column("zipcode", sa.Text()),
        sa.Column("country", sa.Text()),
        sa.Column("_public_key", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_organization"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_organization_country", "organization", ["country"])
    op.create_index("ix_organization_name", "organization", ["name"])
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("process", sa.String(length=100), nullable=False),
        sa.Column("event", sa.String(length=100), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("rooms", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_created_at", "outbox", ["created_at"])
    op.create_index("ix_outbox_process", "outbox", ["process"])
    op.create_table(
        "policy_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), server_default="0", nullable=False),
        sa.Column("members", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policy_revision"),
    )
    op.create_table(
        "rule",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "operation",
            sa.Enum(
                "VIEW", "EDIT", "CREATE", "DELETE", name="operation", native_enum=False, length=20
            ),
            nullable=False,
        ),
        sa.Column(
            "scope",
            sa.Enum(
                "OWN",
                "ORGANIZATION",
                "COLLABORATION",
                "GLOBAL",
                name="scope",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("description", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_rule"),
        sa.UniqueConstraint("name", "scope", "operation", name="uq_rule_name_scope_operation"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_run"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "Member",
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("collaboration_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collaboration_id"],
            ["collaboration.id"],
            name="fk_Member_collaboration_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name="fk_Member_organization_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "collaboration_id", name="pk_Member"),
    )
    op.create_index("ix_Member_collaboration_id", "Member", ["collaboration_id"])
    op.create_table(
        "node",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("api_key", sa.Text()),
        sa.Column("key_digest", sa.String(length=64)),
        sa.Column("collaboration_id", sa.Integer()),
        sa.Column("organization_id", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["collaboration_id"], ["collaboration.id"], name="fk_node_collaboration_id"
        ),
        sa.ForeignKeyConstraint(
            ["id"], ["authenticatable.id"], name="fk_node_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_node_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_node"),
        sa.UniqueConstraint("key_digest", name="uq_node_key_digest"),
        sa.UniqueConstraint(
            "organization_id", "collaboration_id", name="uq_node_organization_id_collaboration_id"
        ),
    )
    op.create_index("ix_node_collaboration_id", "node", ["collaboration_id"])
    op.create_table(
        "role",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("organization_id", sa.Integer()),
        sa.Column("slug", sa.String(length=50)),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_role_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_role"),
        sa.UniqueConstraint("slug", name="uq_role_slug"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_role_name", "role", ["name"])
    op.create_index("ix_role_organization_id", "role", ["organization_id"])
    op.create_table(
        "socket_connection",
        sa.Column("sid", sa.String(length=100), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("process", sa.String(length=100), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["authenticatable.id"],
            name="fk_socket_connection_account_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sid", name="pk_socket_connection"),
    )
    op.create_index("ix_socket_connection_account_id", "socket_connection", ["account_id"])
    op.create_index("ix_socket_connection_process", "socket_connection", ["process"])
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.Text()),
        sa.Column("password", sa.Text()),
        sa.Column("firstname", sa.Text()),
        sa.Column("lastname", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("organization_id", sa.Integer()),
        sa.Column("failed_login_attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_login_attempt", sa.DateTime()),
        sa.Column("blocked_mail_at", sa.DateTime()),
        sa.Column("otp_secret", sa.Text()),
        sa.Column("otp_confirmed", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("otp_last_step", sa.Integer()),
        sa.ForeignKeyConstraint(
            ["id"], ["authenticatable.id"], name="fk_user_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_user_organization_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("email", name="uq_user_email"),
        sa.UniqueConstraint("username", name="uq_user_username"),
    )
    op.create_index("ix_user_organization_id", "user", ["organization_id"])
    op.create_table(
        "Permission",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["role.id"], name="fk_Permission_role_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_Permission_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "role_id", name="pk_Permission"),
    )
    op.create_index("ix_Permission_role_id", "Permission", ["role_id"])
    op.create_table(
        "UserPermission",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["rule.id"], name="fk_UserPermission_rule_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="fk_UserPermission_user_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "rule_id", name="pk_UserPermission"),
    )
    op.create_index("ix_UserPermission_rule_id", "UserPermission", ["rule_id"])
    op.create_table(
        "nodeconfig",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.Integer()),
        sa.Column("key", sa.Text()),
        sa.Column("value", sa.Text()),
        sa.ForeignKeyConstraint(
            ["node_id"], ["node.id"], name="fk_nodeconfig_node_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_nodeconfig"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_nodeconfig_node_id", "nodeconfig", ["node_id"])
    op.create_table(
        "role_rule_association",
        sa.Column("role_id", sa.Integer(), nullable=False),
        sa.Column("rule_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["role.id"], name="fk_role_rule_association_role_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"], ["rule.id"], name="fk_role_rule_association_rule_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_id", "rule_id", name="pk_role_rule_association"),
    )
    op.create_index("ix_role_rule_association_rule_id", "role_rule_association", ["rule_id"])
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("image", sa.Text()),
        sa.Column("database", sa.Text()),
        sa.Column("collaboration_id", sa.Integer()),
        sa.Column("run_id", sa.Integer()),
        sa.Column("parent_id", sa.Integer()),
        sa.Column("initiator_id", sa.Integer()),
        sa.Column("init_user_id", sa.Integer()),
        sa.Column("created_at", sa.DateTime()),
        sa.ForeignKeyConstraint(
            ["collaboration_id"], ["collaboration.id"], name="fk_task_collaboration_id"
        ),
        sa.ForeignKeyConstraint(
            ["init_user_id"], ["user.id"], name="fk_task_init_user_id", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["initiator_id"], ["organization.id"], name="fk_task_initiator_id"),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["task.id"], name="fk_task_parent_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name="fk_task_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_task"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_task_collaboration_id", "task", ["collaboration_id"])
    op.create_index("ix_task_image", "task", ["image"])
    op.create_index("ix_task_init_user_id", "task", ["init_user_id"])
    op.create_index("ix_task_initiator_id", "task", ["initiator_id"])
    op.create_index("ix_task_parent_id", "task", ["parent_id"])
    op.create_index("ix_task_run_id", "task", ["run_id"])
    op.create_table(
        "result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer()),
        sa.Column("organization_id", sa.Integer()),
        sa.Column("input", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("log", sa.Text()),
        sa.Column("assigned_at", sa.DateTime()),
        sa.Column("started_at", sa.DateTime()),
        sa.Column("finished_at", sa.DateTime()),
        sa.Column("status", sa.Text()),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name="fk_result_organization_id"
        ),
        sa.ForeignKeyConstraint(
            ["task_id"], ["task.id"], name="fk_result_task_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_result"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_result_organization_id_finished_at", "result", ["organization_id", "finished_at"]
    )
    op.create_index("ix_result_task_id", "result", ["task_id"])
    op.create_table(
        "algorithmport",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("port", sa.Integer()),
        sa.Column("result_id", sa.Integer()),
        sa.Column("label", sa.Text()),
        sa.ForeignKeyConstraint(
            ["result_id"], ["result.id"], name="fk_algorithmport_result_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_algorithmport"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_algorithmport_result_id", "algorithmport", ["result_id"])


def downgrade() -> None:
    for table in (
        "algorithmport",
        "result",
        "task",
        "role_rule_association",
        "nodeconfig",
        "UserPermission",
        "Permission",
        "user",
        "socket_connection",
        "role",
        "node",
        "Member",
        "run",
        "rule",
        "policy_revision",
        "outbox",
        "organization",
        "collaboration",
        "casbin_rule",
        "authenticatable",
    ):
        op.drop_table(table)
