"""What a session is about to write, in the words of policies.

Every table is of one kind. Rows of those with facts are decided themselves. Those that belong to an
owner are a field of its row: who changes the members of a collaboration edits the collaboration.
The rest are the server's own, each with its reason.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import get_history

from v6srv.authz.definition import Definition
from v6srv.authz.facts import TABLES
from v6srv.authz.fields import LINE_COLUMNS, SILENT, field_of
from v6srv.db import Base
from v6srv.model import (
    Account,
    AlgorithmStore,
    CasbinRule,
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Notification,
    Permission,
    PolicyRevision,
    Port,
    Result,
    Role,
    RoleRule,
    StudyMember,
    Task,
    TaskDatabase,
    User,
    UserPermission,
)
from v6srv.vocabulary import Operation

DECIDED: frozenset[str] = frozenset(
    {Account.__tablename__, *(model.__tablename__ for model in TABLES)}
)
"""Tables whose rows are decided; accounts are users and nodes."""

OWNED: Mapping[str, str] = {
    Member.name: "organization_ids of a collaboration",
    StudyMember.name: "organization_ids of a study",
    Permission.name: "roles of a user",
    UserPermission.name: "rules of a user",
    RoleRule.name: "rules of a role",
    NodeConfig.__tablename__: "config of a node",
    TaskDatabase.__tablename__: "databases of a task",
    AlgorithmStore.__tablename__: "algorithm_stores of a collaboration, or of all",
    Notification.__tablename__: "notifications of a user",
}
"""Tables that are a field of their owner's row, and which."""

SERVERS_ONLY: Mapping[str, str] = {
    "rule": "what can be granted is declared in the program and written at its start",
    "policy_version": "versions of the policy files are noted by who publishes them",
}
"""Tables that only the server itself writes (`unit_of_work.as_server`), and why."""

FREE: Mapping[str, str] = {
    "run": "a number that a task takes; it says nothing by itself",
    "outbox": "events of changes that are decided, in the same transaction",
    "mail": "mails, likewise",
    "one_time_password": "lets somebody in once who has just come in: a part of that log-in",
    "login_session": "sessions: the token is the proof, or who ends them is decided",
    "socket_connection": "sockets that are there, for presence",
    "server_process": "processes that are there",
    PolicyRevision.__tablename__: "a counter that tells processes to look",
}
"""Tables in which nothing is decided, and why."""

_OWNERS: Mapping[type[Base], tuple[str, type[Base], str]] = {
    AlgorithmStore: ("collaboration_id", Collaboration, "algorithm_stores"),
    Notification: ("user_id", User, "notifications"),
}
"""Rows that are a field of the one whose id they have in this column."""

_PARENTS: Mapping[type[Base], tuple[str, type[Base]]] = {
    Result: ("task_id", Task),
    Port: ("result_id", Result),
}
"""Rows that go with the one whose id they have in this column."""

_LINES = frozenset({CasbinRule.__tablename__, Role.__tablename__, RoleRule.name})
_MEMBERS = frozenset({Member.name, Permission.name, UserPermission.name, Node.__tablename__})
_MEMBERS_FIELDS = frozenset(
    {"organization_id", "collaboration_id", "organization_ids", "roles", "rules", "api_key"}
)
_SESSIONS = frozenset({"token_version", "kept_session"})


@dataclass(frozen=True, slots=True)
class Change:
    """One row that is about to be written."""

    row: Any
    """None: all collaborations there are or will be."""
    operation: Operation
    fields: frozenset[str] = frozenset()
    """What an edit changes; a row whose columns merely follow from others has none."""
    revisions: frozenset[str] = frozenset()
    """Which numbers of the policy revision it raises."""


def changes_in(sess: Session, definition: Definition | None) -> Iterator[Change]:
    """The rows with facts that the session is about to write, and how.

    `definition` names the fields of policy lines; None where nobody asks for names.
    """
    for row in sess.new:
        if type(row) in TABLES:
            yield Change(row, Operation.CREATE, revisions=_raised_by_existence(row))
    for row in _written(sess, lambda row: type(row) in _OWNERS):
        yield from _edits_of_owner(sess, row)
    for row in sess.dirty:
        if type(row) in TABLES:
            changed = _changed(row)
            if changed:
                fields = _named(row, changed, definition)
                yield Change(row, Operation.EDIT, fields, _raised_by(row, changed, fields))
    gone = {(type(row), row.id) for row in sess.deleted if hasattr(row, "id")}
    for row in sess.deleted:
        if type(row) in TABLES and not _goes_with_its_parent(row, gone):
            yield Change(row, Operation.DELETE, revisions=_raised_by_existence(row))


def undecided_rows(sess: Session) -> Iterator[str]:
    """Tables without facts that only the server writes, of rows that are about to be written."""
    for row in _written(sess, _is_the_servers):
        yield row.__tablename__


def revisions_of(table: str) -> frozenset[str]:
    """Which numbers of the policy revision a statement that writes to a table raises."""
    if table in _LINES:
        return frozenset({"lines"})
    return frozenset({"members"}) if table in _MEMBERS else frozenset()


# --- parts


def _written(sess: Session, wanted: Callable[[Any], bool]) -> Iterator[Any]:
    """Rows of some kind that are about to be written."""
    yield from filter(wanted, sess.new)
    yield from filter(sess.is_modified, filter(wanted, sess.dirty))
    yield from filter(wanted, sess.deleted)


def _is_the_servers(row: Base) -> bool:
    known = type(row) in TABLES or row.__tablename__ in FREE
    return not known and type(row) not in _OWNERS


def _edits_of_owner(sess: Session, row: Any) -> Iterator[Change]:
    """Of the row that has it, and of the one that had it."""
    column, model, field = _OWNERS[type(row)]
    history = get_history(row, column)
    for id in {*history.unchanged, *history.deleted, *history.added} or {None}:
        owner = None if id is None else sess.get(model, id)
        yield Change(owner, Operation.EDIT, frozenset({field}))


def _changed(row: Base) -> frozenset[str]:
    """The attributes of a row that differ from what is stored, as far as they are the row's."""
    state = inspect(row)
    keys = (key for key in list(state.committed_state) if field_of(type(row), key))
    return frozenset(key for key in keys if get_history(row, key).has_changes())


def _named(row: Base, changed: Collection[str], definition: Definition | None) -> frozenset[str]:
    names = (field_of(type(row), key) for key in changed if key not in SILENT)
    found = frozenset(name for name in names if name is not None)
    if isinstance(row, CasbinRule) and definition is not None:
        words = dict(zip(LINE_COLUMNS, definition.words(row.ptype), strict=False))
        return frozenset(words.get(name, name) for name in found)
    return found


def _raised_by(row: Base, changed: Collection[str], fields: frozenset[str]) -> frozenset[str]:
    if isinstance(row, CasbinRule) or (isinstance(row, Role) and fields & {"rules", "slug"}):
        return frozenset({"lines"})
    if fields & _MEMBERS_FIELDS and isinstance(row, (User, Node, Collaboration)):
        return frozenset({"members"})
    return frozenset({"members"}) if _SESSIONS.intersection(changed) else frozenset()


def _raised_by_existence(row: Base) -> frozenset[str]:
    if isinstance(row, CasbinRule):
        return frozenset({"lines"})
    new = inspect(row).pending
    if isinstance(row, Role):
        return frozenset({"lines"} if new else {"lines", "members"})
    if isinstance(row, User) and new and not (row.roles or row.rules):
        return frozenset()  # nobody hears, or may do, anything else
    return frozenset({"members"} if isinstance(row, (Node, Collaboration, User)) else ())


def _goes_with_its_parent(row: Base, gone: Collection[tuple[type[Base], int]]) -> bool:
    if type(row) not in _PARENTS:
        return False
    column, parent = _PARENTS[type(row)]
    return (parent, getattr(row, column)) in gone
