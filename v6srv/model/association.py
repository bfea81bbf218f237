"""The association tables (models.md 1.11; those of studies), each pair at most once (Q-59)."""

from sqlalchemy import Column, ForeignKey, Index, Table

from v6srv.db import Base


def _pair(name: str, left: tuple[str, str], right: tuple[str, str]) -> Table:
    columns = [
        Column(column, ForeignKey(target, ondelete="CASCADE"), primary_key=True)
        for column, target in (left, right)
    ]
    return Table(name, Base.metadata, *columns, Index(f"ix_{name}_{right[0]}", right[0]))


Member = _pair(
    "Member", ("organization_id", "organization.id"), ("collaboration_id", "collaboration.id")
)
"""An organization takes part in a collaboration."""

StudyMember = _pair("StudyMember", ("study_id", "study.id"), ("organization_id", "organization.id"))
"""An organization takes part in a study of one of its collaborations."""

Permission = _pair("Permission", ("user_id", "user.id"), ("role_id", "role.id"))
"""A user has a role."""

UserPermission = _pair("UserPermission", ("user_id", "user.id"), ("rule_id", "rule.id"))
"""A user has an extra rule, outside any role."""

RoleRule = _pair("role_rule_association", ("role_id", "role.id"), ("rule_id", "rule.id"))
"""A role grants a rule."""
