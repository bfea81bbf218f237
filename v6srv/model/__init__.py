"""All tables. Importing this package maps every class and wires what needs several of them."""

from v6srv.model import checks as _checks  # noqa: F401 - it listens to what is assigned
from v6srv.model import wire_columns as _wire_columns  # noqa: F401 - it adds to the classes
from v6srv.model.account import Account, LoginSession, SocketConnection
from v6srv.model.algorithm_store import AlgorithmStore
from v6srv.model.association import Member, Permission, RoleRule, StudyMember, UserPermission
from v6srv.model.collaboration import Collaboration
from v6srv.model.node import Node, NodeConfig
from v6srv.model.notification import Notification
from v6srv.model.organization import Organization
from v6srv.model.result import Port, Result
from v6srv.model.role import Role
from v6srv.model.rule import Rule
from v6srv.model.study import Study
from v6srv.model.system import (
    CasbinRule,
    Mail,
    OneTimePassword,
    Outbox,
    PolicyRevision,
    PolicyVersion,
    ServerProcess,
)
from v6srv.model.task import Run, Task, TaskDatabase
from v6srv.model.user import User

__all__ = [
    "Account",
    "AlgorithmStore",
    "CasbinRule",
    "Collaboration",
    "LoginSession",
    "Mail",
    "Member",
    "Node",
    "NodeConfig",
    "Notification",
    "OneTimePassword",
    "Organization",
    "Outbox",
    "Permission",
    "PolicyRevision",
    "PolicyVersion",
    "Port",
    "Result",
    "Role",
    "RoleRule",
    "Rule",
    "Run",
    "ServerProcess",
    "SocketConnection",
    "Study",
    "StudyMember",
    "Task",
    "TaskDatabase",
    "User",
    "UserPermission",
]
