"""The releases whose databases can be taken over: their tables, and what they call rules.

Tables and columns have the keys that they have here and the names that they have there, so that
one copy does for all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text

from v6srv.dialect.rule_names import KNOWN_TO_3, RULES_BY_NAME
from v6srv.vocabulary import V3, V4

_Type = type[Any]
"""Of a column."""
_Name = tuple[str, str, str]
"""Resource, operation and scope, as rows of the table of rules have them."""


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A generation of servers."""

    name: str
    version: str
    """The one whose tables these are; older ones lack some columns."""
    command: str
    """What takes its databases over."""
    dialect: int
    """What its tasks were ordered in, and what its nodes speak."""
    tables: Mapping[str, Table]
    """By what they are called here."""
    rules: Mapping[_Name, str]
    """`task:organization:view` for each of its rules, by what the rule is called there."""


def _table(name: str, /, **columns: _Type | tuple[str, _Type]) -> Table:
    """A table of this name there; a column that has another name there is a pair."""
    made = []
    for key, column in columns.items():
        there, type_ = column if isinstance(column, tuple) else (key, column)
        made.append(Column(there, type_(), key=key))
    return Table(name, MetaData(), *made)


_OF_BOTH = {
    table.name: table
    for table in (
        _table("authenticatable", id=Integer, type=Text, ip=Text, last_seen=DateTime, status=Text),
        _table(
            "organization",
            id=Integer,
            name=Text,
            domain=Text,
            address1=Text,
            address2=Text,
            zipcode=Text,
            country=Text,
            _public_key=LargeBinary,
        ),
        _table("collaboration", id=Integer, name=Text, encrypted=Boolean),
        _table(
            "user",
            id=Integer,
            username=Text,
            password=Text,
            firstname=Text,
            lastname=Text,
            email=Text,
            organization_id=Integer,
            failed_login_attempts=Integer,
            last_login_attempt=DateTime,
            otp_secret=Text,
        ),
        _table(
            "node",
            id=Integer,
            name=Text,
            api_key=Text,
            collaboration_id=Integer,
            organization_id=Integer,
        ),
        _table("nodeconfig", id=Integer, node_id=Integer, key=Text, value=Text),
        _table("rule", id=Integer, name=Text, operation=Text, scope=Text),
        _table("role", id=Integer, name=Text, description=Text, organization_id=Integer),
        _table("Member", organization_id=Integer, collaboration_id=Integer),
        _table("Permission", role_id=Integer, user_id=Integer),
        _table("UserPermission", rule_id=Integer, user_id=Integer),
        _table("role_rule_association", role_id=Integer, rule_id=Integer),
    )
}

_TASK: Mapping[str, _Type] = {
    "id": Integer,
    "name": Text,
    "description": Text,
    "image": Text,
    "collaboration_id": Integer,
    "parent_id": Integer,
    "init_user_id": Integer,
    "created_at": DateTime,
}
_RESULT: Mapping[str, _Type] = {
    "id": Integer,
    "task_id": Integer,
    "organization_id": Integer,
    "input": Text,
    "result": Text,
    "log": Text,
    "assigned_at": DateTime,
    "started_at": DateTime,
    "finished_at": DateTime,
    "status": Text,
}

RELEASE_3 = Release(
    "3.x",
    "3.11",
    "import-v3",
    V3,
    {
        **_OF_BOTH,
        "task": _table("task", **_TASK, database=Text, run_id=Integer, initiator_id=Integer),
        "result": _table("result", **_RESULT),
        "algorithmport": _table(
            "algorithmport", id=Integer, port=Integer, label=Text, result_id=Integer
        ),
    },
    {
        (name, operation.upper(), scope.upper()): f"{name}:{scope}:{operation}"
        for name, scope, operation in (rule.split(":") for rule in KNOWN_TO_3)
    },
)

RELEASE_4 = Release(
    "4.x",
    "4.15",
    "import-v4",
    V4,
    {
        **_OF_BOTH,
        "study": _table("study", id=Integer, name=Text, collaboration_id=Integer),
        "StudyMember": _table("StudyMember", organization_id=Integer, study_id=Integer),
        "algorithmstore": _table(
            "algorithmstore", id=Integer, name=Text, url=Text, collaboration_id=Integer
        ),
        "task": _table(
            "task",
            **_TASK,
            run_id=("job_id", Integer),
            initiator_id=("init_org_id", Integer),
            study_id=Integer,
            algorithm_store_id=Integer,
        ),
        "task_database": _table(
            "taskdatabase",
            id=Integer,
            task_id=Integer,
            label=("database", Text),
            parameters=Text,
        ),
        "result": _table("run", **_RESULT, cleanup_at=DateTime, blob_storage_used=Boolean),
        "algorithmport": _table(
            "algorithmport",
            id=Integer,
            port=Integer,
            label=Text,
            result_id=("run_id", Integer),
        ),
    },
    RULES_BY_NAME,
)

RELEASES = (RELEASE_3, RELEASE_4)
