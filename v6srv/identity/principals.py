"""From verified claims to a Principal, in one query.

The same query reads the revision of the policy, so a decision is never made by a policy older than
the transaction it is made in, on any process.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, exists, select

from v6srv.authz.principal import Principal
from v6srv.authz.rules import WIDE_NODE
from v6srv.db import LARGEST_ID, json_rows, session
from v6srv.errors import Invalid, NotFound, Unauthenticated
from v6srv.identity.claims import Claims
from v6srv.model import (
    Account,
    LoginSession,
    Member,
    Node,
    Permission,
    PolicyRevision,
    Result,
    Role,
    Task,
    User,
    UserPermission,
)
from v6srv.settings import Settings
from v6srv.vocabulary import PrincipalKind

_policy = PolicyRevision.__table__.c
_roles_of_nodes: tuple[str, ...] = ()
_revision = select(_policy.lines).where(_policy.id == 1).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Known:
    """Who asks, and what else the query told."""

    principal: Principal
    policy_revision: int
    last_seen: datetime | None
    generation: int | None = None
    """Of the program of a node, or of the node that runs a container, as far as it is known."""


_session = LoginSession.__table__.c
_SESSION = "session"
_ID = "account"
_is_over = _session.ended | (_session.account_id != bindparam(_ID))
"""No login has made tokens of one account that name a session of another."""
_ended = exists().where(_session.id == bindparam(_SESSION), _is_over).label("ended")

# Tables, and queries made once: every request asks one of them.
_account, _user, _node = Account.__table__.c, User.__table__.c, Node.__table__.c
_role, _task, _result = Role.__table__.c, Task.__table__.c, Result.__table__.c

_user_query = select(
    _account.token_version,
    _account.kept_session,
    _account.last_seen,
    _revision.label("revision"),
    _user.organization_id,
    _user.username.label("name"),
    select(json_rows(Member.c.collaboration_id))
    .where(Member.c.organization_id == _user.organization_id)
    .scalar_subquery()
    .label("collaborations"),
    select(json_rows(_role.id, _role.slug))
    .join_from(Role.__table__, Permission, Permission.c.role_id == _role.id)
    .where(Permission.c.user_id == _user.id)
    .scalar_subquery()
    .label("roles"),
    select(json_rows(UserPermission.c.rule_id))
    .where(UserPermission.c.user_id == _user.id)
    .scalar_subquery()
    .label("rules"),
).select_from(Account.__table__.join(User.__table__, _account.id == _user.id))

_node_columns = (
    _account.token_version,
    _account.kept_session,
    _account.last_seen,
    _revision.label("revision"),
    _node.organization_id,
    _node.collaboration_id,
    _node.name,
    _node.generation,
)
_nodes = Account.__table__.join(Node.__table__, _account.id == _node.id)
_node_query = select(*_node_columns).select_from(_nodes)
_one_container = (
    select(
        *_node_columns,
        _task.run_id,
        _task.image,
        exists()
        .where(
            _result.task_id == _task.id,
            _result.organization_id == _node.organization_id,
            _result.finished_at.is_(None),
        )
        .label("open"),
        _ended,
    )
    .select_from(_nodes.join(Task.__table__, _task.collaboration_id == _node.collaboration_id))
    .where(_task.id == bindparam("task"), _node.id == bindparam(_ID))
)
_one_user = _user_query.add_columns(_ended).where(_user.id == bindparam(_ID))
_one_node = _node_query.add_columns(_ended).where(_node.id == bindparam(_ID))


def configure(settings: Settings) -> None:
    """Nodes are, in this process, what these settings say."""
    global _roles_of_nodes
    _roles_of_nodes = (WIDE_NODE,) if settings.between_collaborations == "reference" else ()


def _gone(claims: Claims) -> Unauthenticated:
    return Unauthenticated(f"Error loading the user {claims.account_id}")


def load(claims: Claims) -> Known:
    """The principal of verified claims, as the database knows it now.

    Raises Unauthenticated when the account is gone, its tokens were ended, or, for a container,
    its task is over at the node that runs it.
    """
    if claims.kind is PrincipalKind.USER:
        return _user_of(claims)
    return _container_of(claims) if claims.kind is PrincipalKind.CONTAINER else _node_of(claims)


def _row(claims: Claims, query: Select[Any], **values: Any) -> Any:
    values |= {_ID: claims.account_id, _SESSION: claims.session_id}
    row = session.execute(query, values).one_or_none()
    if row is None or not claims.honoured(row.token_version, row.kept_session, row.ended):
        raise _gone(claims)
    return row


def _user_of(claims: Claims) -> Known:
    row = _row(claims, _one_user)
    return _known_user(claims.account_id, row, claims.session_id)


def _known_user(id: int, row: Any, session_id: str | None = None) -> Known:
    roles = [f"role:{slug or id}" for id, slug in row.roles]
    rules = [f"rule:{id}" for id in row.rules]
    principal = Principal(
        PrincipalKind.USER,
        id,
        row.organization_id,
        frozenset(row.collaborations),
        (*roles, *rules),
        row.name or "",
        session_id=session_id,
    )
    return Known(principal, row.revision or 0, row.last_seen)


def _node_of(claims: Claims) -> Known:
    row = _row(claims, _one_node)
    return _known_node(claims.account_id, row, claims.session_id)


def _known_node(id: int, row: Any, session_id: str | None = None) -> Known:
    principal = Principal(
        PrincipalKind.NODE,
        id,
        row.organization_id,
        frozenset() if row.collaboration_id is None else frozenset((row.collaboration_id,)),
        _roles_of_nodes,
        row.name or "",
        session_id=session_id,
    )
    return Known(principal, row.revision or 0, row.last_seen, row.generation)


def load_all(claims: Iterable[Claims]) -> dict[Claims, Known]:
    """The principals of many claims of users and nodes, in one query per kind and 500 accounts,
    and one per 500 sessions.

    Claims that are no longer honoured are missing from the answer.
    """
    ways = (
        (PrincipalKind.USER, _user_query.add_columns(_user.id), _user.id, _known_user),
        (PrincipalKind.NODE, _node_query.add_columns(_node.id), _node.id, _known_node),
    )
    wanted = list(claims)
    owners = _owners_of({c.session_id for c in wanted if c.session_id is not None})
    found: dict[Claims, Known] = {}
    for kind, query, id_column, known in ways:
        of_kind = [c for c in wanted if c.kind is kind]
        ids = sorted({c.account_id for c in of_kind})
        rows = {
            row.id: row
            for start in range(0, len(ids), 500)
            for row in session.execute(query.where(id_column.in_(ids[start : start + 500])))
        }
        for c in of_kind:
            row = rows.get(c.account_id)
            over = c.account_id != owners.get(c.session_id or "", c.account_id)
            if row is not None and c.honoured(row.token_version, row.kept_session, over):
                found[c] = known(c.account_id, row, c.session_id)
    return found


def _owners_of(session_ids: Collection[str]) -> dict[str, int | None]:
    """Whose these sessions are, of those that are stored; nobody's when they have ended."""
    ids, known = sorted(session_ids), select(_session.id, _session.account_id, _session.ended)
    return {
        id: None if ended else account_id
        for start in range(0, len(ids), 500)
        for id, account_id, ended in session.execute(
            known.where(_session.id.in_(ids[start : start + 500]))
        )
    }


def everyone(ids: Collection[int] | None = None) -> Iterator[Known]:
    """All users, then all nodes, by id, whether or not they hold a token; `ids` picks some.

    For what looks at the policy from above: who can do something, what would change.
    """
    for query, id_column, known in (
        (_user_query.add_columns(_user.id), _user.id, _known_user),
        (_node_query.add_columns(_node.id), _node.id, _known_node),
    ):
        chosen = query if ids is None else query.where(id_column.in_(ids))
        for row in session.execute(chosen.order_by(id_column)):
            yield known(row.id, row)


def named(subject: str) -> Known:
    """The principal that policies call by this name: `user:5`, `node:3`, or `container:9`.

    A container is that of the task of this number, at the first organization that works on it.
    Raises Invalid for a word that is no such name, and NotFound when there is none.
    """
    kind, _, number = subject.partition(":")
    if kind not in tuple(PrincipalKind) or not number.isascii() or not number.isdecimal():
        raise Invalid(f"{subject!r} is not user:<id>, node:<id> or container:<task id>")
    id = int(number)
    if id > LARGEST_ID:
        raise NotFound(f"There is no {subject}")
    if kind == PrincipalKind.CONTAINER:
        return _container_named(subject, id)
    for known in everyone([id]):
        if known.principal.kind == kind:
            return known
    raise NotFound(f"There is no {subject}")


def containers(tasks: Collection[int] | Select[Any] | None = None) -> Iterator[Known]:
    """The containers of tasks, by id of the task, whether or not they run; `tasks` picks some.

    Each is that at the first organization that works on the task.
    """
    query = (
        select(*_node_columns, _node.id, Task.id.label("task_id"), Task.run_id, Task.image)
        .select_from(_nodes.join(Task.__table__, Task.collaboration_id == _node.collaboration_id))
        .join(Result, Result.task_id == Task.id)
        .where(Result.organization_id == _node.organization_id)
        .order_by(Task.id, Result.id)
    )
    if tasks is not None:
        query = query.where(Task.id.in_(tasks))
    before = None
    for row in session.execute(query):
        if row.task_id != before:
            yield _known_container(row.id, row.task_id, row)
        before = row.task_id


def _container_named(subject: str, task_id: int) -> Known:
    for known in containers([task_id]):
        return known
    raise NotFound(f"There is no {subject}")


def _container_of(claims: Claims) -> Known:
    assert claims.container is not None
    task_id = claims.container["task_id"]
    row = _row(claims, _one_container, task=task_id)
    if not row.open:
        raise Unauthenticated("Container-token is not valid")
    return _known_container(claims.account_id, task_id, row)


def _known_container(node_id: int, task_id: int, row: Any) -> Known:
    principal = Principal(
        PrincipalKind.CONTAINER,
        node_id,
        row.organization_id,
        frozenset((row.collaboration_id,)),
        name=row.name or "",
        task_id=task_id,
        run_id=row.run_id,
        image=row.image,
    )
    return Known(principal, row.revision or 0, None, row.generation)
