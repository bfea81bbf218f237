"""What the wire format shows of related rows.

Apart from the classes because most of it needs several tables. Lists are sorted by id; `wire` turns
them into links, ids or objects. What is declared with `link` holds what the reader may view, and
None when that is nothing (`authz.links`); the rest are deferred columns.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, select, type_coerce

from v6srv.db import UtcDateTime, json_rows
from v6srv.model.account import Account
from v6srv.model.association import Member, Permission, RoleRule, StudyMember, UserPermission
from v6srv.model.collaboration import Collaboration
from v6srv.model.derived import link, on_wire, rows_of
from v6srv.model.node import Node, NodeConfig
from v6srv.model.organization import Organization
from v6srv.model.result import Port, Result
from v6srv.model.role import Role
from v6srv.model.rule import Rule
from v6srv.model.study import Study
from v6srv.model.task import Task, TaskDatabase
from v6srv.model.user import User
from v6srv.vocabulary import V3, V4, ResultStatus

_account = Account.__table__
_node = Node.__table__
_user = User.__table__
_role = Role.__table__
_task = Task.__table__
_result = Result.__table__

# --- organization, collaboration
link(
    Organization,
    "collaboration_ids",
    Collaboration,
    Member.c.collaboration_id,
    where=Member.c.organization_id == Organization.id,
    dialect=V3,
)
link(
    Organization,
    "node_ids",
    Node,
    _node.c.id,
    where=_node.c.organization_id == Organization.id,
    dialect=V3,
)
link(
    Organization,
    "user_ids",
    User,
    _user.c.id,
    where=_user.c.organization_id == Organization.id,
    dialect=V3,
)
link(
    Organization,
    "role_ids",
    Role,
    _role.c.id,
    where=_role.c.organization_id == Organization.id,
    dialect=V3,
)
link(
    Organization,
    "result_ids",
    Result,
    _result.c.id,
    where=_result.c.organization_id == Organization.id,
    dialect=V3,
)
link(
    Collaboration,
    "organization_ids",
    Organization,
    Member.c.organization_id,
    where=Member.c.collaboration_id == Collaboration.id,
)
link(
    Collaboration,
    "node_ids",
    Node,
    _node.c.id,
    where=_node.c.collaboration_id == Collaboration.id,
    dialect=V3,
)
link(
    Collaboration,
    "task_ids",
    Task,
    _task.c.id,
    where=_task.c.collaboration_id == Collaboration.id,
    dialect=V3,
)

link(
    Study,
    "organization_ids",
    Organization,
    StudyMember.c.organization_id,
    where=StudyMember.c.study_id == Study.id,
)

# --- user, role, rule
link(User, "role_ids", Role, Permission.c.role_id, where=Permission.c.user_id == User.id)
_rule = Rule.__table__
_words = (_rule.c.name, _rule.c.scope, _rule.c.operation)
link(
    User,
    "rule_rows",
    Rule,
    UserPermission.c.rule_id,
    *_words,
    where=and_(UserPermission.c.user_id == User.id, UserPermission.c.rule_id == _rule.c.id),
    dialect=V3,
)
link(User, "created_task_ids", Task, _task.c.id, where=_task.c.init_user_id == User.id, dialect=V3)
link(
    Role,
    "rule_rows",
    Rule,
    RoleRule.c.rule_id,
    *_words,
    where=and_(RoleRule.c.role_id == Role.id, RoleRule.c.rule_id == _rule.c.id),
    dialect=V3,
)
link(
    Role, "user_ids", User, Permission.c.user_id, where=Permission.c.role_id == Role.id, dialect=V3
)
link(
    Rule,
    "user_ids",
    User,
    UserPermission.c.user_id,
    where=UserPermission.c.rule_id == Rule.id,
    dialect=V3,
)

# --- node
Node.config_rows = on_wire(
    rows_of(
        NodeConfig.id,
        NodeConfig.key,
        NodeConfig.value,
        where=and_(NodeConfig.node_id == _node.c.id, NodeConfig.live),
    )
)
"""`[id, key, value]` of each value that is shared now."""

# --- task
_child = _task.alias("child")
link(Task, "child_ids", Task, _child.c.id, where=_child.c.parent_id == Task.id, dialect=V3)
link(Task, "result_ids", Result, _result.c.id, where=_result.c.task_id == Task.id, dialect=V3)
link(Task, "shown_collaboration_id", Collaboration, Task.__table__.c.collaboration_id)


def _any(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return func.max(case((condition, 1), else_=0)) == 1


def _is_any(status: ResultStatus) -> ColumnElement[bool]:
    return _any(_result.c.status == status.value)


# Null counts as failed.
_has_failed = func.coalesce(_result.c.status, "").not_in(ResultStatus.unfailed())
_unfailed = (
    (_is_any(ResultStatus.ACTIVE), "active"),
    (_is_any(ResultStatus.INITIALIZING), "initializing"),
    (_is_any(ResultStatus.PENDING), "pending"),
)


def _of_results(value: ColumnElement[Any]) -> Select[Any]:
    """What the results of a task are together."""
    return select(value).where(_result.c.task_id == Task.id).correlate(_task)


# models.md 3.2, in its order; null counts as failed unless all are null.
_status = case(
    (func.count(_result.c.status) == 0, "unknown"),
    (_any(_has_failed), "failed"),
    *_unfailed,
    else_="completed",
)
Task.status = on_wire(_of_results(_status), V3)
_failure = case((_has_failed, func.coalesce(_result.c.status, "failed")))
_status_in_4 = case(
    (func.min(_failure) == func.max(_failure), func.min(_failure)),
    (_any(_has_failed), "failed"),
    *_unfailed,
    else_="completed",
)
Task.status_in_4 = on_wire(_of_results(_status_in_4), V4)
"""As 4.x derives it: all that failed in one way say which, and nothing to do is done."""
_unfinished = _of_results(func.count()).where(_result.c.finished_at.is_(None))
Task.unfinished = on_wire(_unfinished, V3)
"""How many results are not finished; 0 means the task is complete."""
Task.last_finished_at = on_wire(
    _of_results(type_coerce(func.max(_result.c.finished_at), UtcDateTime()))
)
_database = TaskDatabase.__table__.c
Task.database_rows = on_wire(
    rows_of(
        _database.position,
        _database.label,
        _database.parameters,
        where=_database.task_id == Task.id,
    ),
    V4,
)
"""`[position, label, parameters]` of each database."""

# --- result
_config_ids = (
    select(json_rows(NodeConfig.id))
    .where(NodeConfig.node_id == _node.c.id, NodeConfig.live)
    .scalar_subquery()
)
Result.node_rows = on_wire(
    select(json_rows(_node.c.id, _node.c.name, _account.c.status, _account.c.ip, _config_ids))
    .select_from(_node.join(_account, _account.c.id == _node.c.id))
    .where(
        and_(
            _node.c.collaboration_id == Result.collaboration_id,
            _node.c.organization_id == Result.organization_id,
        )
    )
)
"""`[id, name, status, ip, config ids]` of the node that runs this result; at most one."""
Result.cleanup_at = on_wire(select(_task.c.cleanup_at).where(_task.c.id == Result.task_id), V4)
"""When it was emptied, with all of its task."""
link(Result, "shown_organization_id", Organization, _result.c.organization_id)
_port = Port.__table__.c
link(
    Result,
    "port_rows",
    Port,
    _port.id,
    _port.port,
    _port.label,
    where=_port.result_id == Result.id,
)

# --- port
link(Port, "shown_result_id", Result, _port.result_id)
