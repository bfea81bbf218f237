"""Nothing is written that no policy decided: a request is a unit of work.

Every way in, request, socket or loop, says for whom it acts (`acting`). Before it is stored, each
row that was made, changed or deleted is decided: an edit on the row as it was and as it stands,
with what was changed. What the policy does not grant is Denied, and nothing is kept.

What the server does by itself is written inside `as_server`, with a reason of a short list. All
else, bulk statements and SQL text among it, raises `Undecided`, which is a mistake in this program.
Scripts and the shell, where nobody acts, write as they like.

The same look at what is written says which number of the policy revision goes up.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Session, SessionTransaction, UOWTransaction
from sqlalchemy.sql.dml import UpdateBase

from v6srv.authz.authorizer import Authorizer
from v6srv.authz.changes import (
    FREE,
    Change,
    changes_in,
    revisions_of,
    undecided_rows,
)
from v6srv.authz.facts import RESOURCES
from v6srv.authz.principal import Principal
from v6srv.authz.revision import raise_revisions
from v6srv.db import AS_A_WHOLE, FLUSHING, Base, has_written, session
from v6srv.vocabulary import Operation, Resource


class Undecided(RuntimeError):
    """Somebody wrote what no policy decides and no reason covers: a mistake in this program."""


class Cover(StrEnum):
    """What allows a change that nothing else grants to who makes it. Denials hold all the same."""

    COLLABORATIONS = "a node moves: who may edit both collaborations may move it"
    RETENTION = "data is deleted in time: settings and tasks say when, and lines can forbid it"
    MEMBERS = (
        "an organization leaves with its node, and its studies: who may change the members may"
    )
    REMOVAL = "an organization is removed: it leaves collaborations and studies"


class ServerWrite(StrEnum):
    """Why the server writes by itself what policies decide otherwise. Nothing else does."""

    LOGIN = "logging in: failed attempts, lock-out, second factor, when an account was last seen"
    OIDC = "logging in through the identity provider: settings say who gets an account, and which"
    RECOVERY = "recovery: a mailed token is the proof, and its owner has no other"
    SESSIONS = "the sessions of a user end: whether somebody may end them is decided"
    PRESENCE = "presence: who is online, what a connected node shares until it goes, what it is"
    PARTS = (
        "a task is made with its databases, and a result for each organization: who may create it"
    )
    KILL = "stopping a task ends its results: who may stop or delete it may do that"
    SIBLINGS = (
        "a run of a 4.x task fails: those not begun end, whether its node may say so is decided"
    )
    LOG = "a line is added to the log of a run: whether its node may write the log is decided"
    PORTS = "the ports of a result are closed together: who may close those of the result may"
    RETENTION = "the results of a task are emptied with it: whether it may be emptied is decided"
    KEYS = "a node that logs in with a key of a 3.x server gets the digest of it"
    CLOCK = "the clock was set back: what was noted for later than now was now"
    SETUP = "what the program and the policy files declare: rules, default roles, versions, root"
    COMMAND = "a command on the machine of the server: import, take-over, the shell"


@dataclass(slots=True)
class _Touched:
    """What is still to be decided of a row as it stands."""

    operation: Operation
    fields: set[str] = field(default_factory=set)


class Unit:
    """What one principal changes in one transaction. `who` is None where nobody is known."""

    def __init__(self, authz: Authorizer, who: Principal | None = None) -> None:
        self.who = who
        self.read_again: Callable[[], Principal] | None = None
        """Reads who acts anew. Raises Unauthenticated."""
        self._authz = authz
        self._asked_as: dict[Base, Operation] = {}
        self._decided: dict[Base, frozenset[str]] = {}
        self._made: set[Base] = set()
        self._touched: dict[Base, _Touched] = {}
        self._covering: list[Change] | None = None

    def is_about(
        self, row: Base, operation: Operation, decided: frozenset[str] | None = None
    ) -> None:
        """This row is about to be changed: `operation` of it is what is to be decided.

        It has been decided already as far as nothing is known of what will change; with `decided`,
        the fields that change, as it was: if these are changed, and nothing else before them.
        """
        self._asked_as[row] = operation
        if decided is not None:
            self._decided[row] = decided
        if operation is not Operation.DELETE:
            self._touch(row, operation)

    @contextmanager
    def covering(self) -> Iterator[None]:
        """What is edited inside is allowed by another decision, where no line denies it."""
        session.flush()
        changes = self._covering = []
        try:
            yield
            session.flush()
            for change in changes:
                self._require_no_denial(change, prospective=True)
        finally:
            self._covering = None

    def before(self, changes: list[Change]) -> None:
        """Decide rows as they were. The database has them like that still. Raises Denied."""
        who = self._principal(changes)
        for change in changes:
            if change.row is None:
                whole = Resource.COLLABORATION, change.operation, change.fields
                self._authz.require_whole(who, *whole)
                continue
            if change.operation is Operation.CREATE or change.row in self._made:
                self._made.add(change.row)
                self._touch(change.row, Operation.CREATE)
                continue
            if self._covering is not None and change.operation is Operation.EDIT:
                self._require_no_denial(change)
                self._covering.append(change)
                continue
            operation = self._operation(change)
            if not self._is_decided(who, change, operation):
                self._authz.require(who, operation, change.row, change.fields)
            if change.operation is Operation.DELETE:
                self._touched.pop(change.row, None)
            else:
                self._add(self._touch(change.row, operation), change)

    def settle(self) -> None:
        """Decide what was written as it stands; the rows are read again. Raises Denied."""
        _write_pending()
        while self._touched:
            row, touched = next(iter(self._touched.items()))
            self._authz.fetch(
                self._principal([]),
                RESOURCES[type(row)],
                touched.operation,
                row.id,  # type: ignore[attr-defined]
                type(row),
                refresh=True,
                changes=frozenset(touched.fields),
            )
            del self._touched[row]  # not before: who catches the denial is denied again

    @staticmethod
    def _add(touched: _Touched, change: Change) -> None:
        """What was changed before has been decided without this, on a row that is no more."""
        if touched.fields and not change.fields <= touched.fields:
            raise Undecided(f"in pieces, somebody {_spoken([change])}")
        touched.fields |= change.fields

    def _require_no_denial(self, change: Change, *, prospective: bool = False) -> None:
        who, edit = self._principal([change]), Operation.EDIT
        self._authz.require(
            who, edit, change.row, change.fields, covered=True, prospective=prospective
        )

    def _principal(self, changes: list[Change]) -> Principal:
        if self.who is None:
            raise Undecided(f"nobody is known who {_spoken(changes)}")
        return self.who

    def _touch(self, row: Base, operation: Operation) -> _Touched:
        return self._touched.setdefault(row, _Touched(operation))

    def _operation(self, change: Change) -> Operation:
        if change.operation is Operation.DELETE:
            return Operation.DELETE
        return self._asked_as.get(change.row, Operation.EDIT)

    def _is_decided(self, who: Principal, change: Change, operation: Operation) -> bool:
        row = change.row
        if self._asked_as.get(row) is not operation:
            return False
        if self._decided.get(row) == change.fields and not has_written(session()):
            return True
        return not self._authz.asks_for_changes(who, type(row), operation)


_actor: ContextVar[Unit | ServerWrite | None] = ContextVar("v6srv_actor", default=None)
_REVISIONS = "v6srv_revisions"
"""Key of `Session.info`: which numbers of the revision the transaction raises."""


@contextmanager
def acting(authz: Authorizer, who: Principal | None = None) -> Iterator[Unit]:
    """What is written inside is written by `who`, who may be told later, and decided so.

    Around the transaction: the last look is taken when that ends. Queries do not write what was
    changed before them: half of a change would be decided as if it was all.
    """
    unit = Unit(authz, who)
    token, whole = _actor.set(unit), AS_A_WHOLE.set(True)
    try:
        yield unit
    finally:
        AS_A_WHOLE.reset(whole)
        _actor.reset(token)


@contextmanager
def as_server(reason: ServerWrite) -> Iterator[None]:
    """What is written inside is written by the server itself, and not decided."""
    _write_pending()
    token = _actor.set(reason)
    try:
        yield
        _write_pending()
    finally:
        _actor.reset(token)


@contextmanager
def covered_by(_cover: Cover) -> Iterator[None]:
    """What is edited inside needs no allowance of its own: see `Cover`. Denials hold."""
    actor = _actor.get()
    with actor.covering() if isinstance(actor, Unit) else nullcontext():
        yield


def is_about(row: Base, operation: Operation, decided: frozenset[str] | None = None) -> None:
    """Say that who acts is about to change this row: see `Unit.is_about`."""
    actor = _actor.get()
    if isinstance(actor, Unit):
        actor.is_about(row, operation, decided)


def time_has_passed() -> None:
    """What somebody who acts might do a while ago decides nothing now. Raises Unauthenticated."""
    actor = _actor.get()
    if isinstance(actor, Unit) and actor.read_again is not None:
        actor.who = actor.read_again()


def settle() -> None:
    """Decide now what the caller has changed so far, and read it as it stands. Raises Denied."""
    actor = _actor.get()
    if isinstance(actor, Unit):
        actor.settle()


def _write_pending() -> None:
    """What was changed so far, for who changed it."""
    if session.registry.has():
        session.flush()


# --- what the session tells


@event.listens_for(session, "before_flush")
def _before_flush(sess: Session, _context: UOWTransaction, _instances: object) -> None:
    actor = _actor.get()
    unit = actor if isinstance(actor, Unit) else None
    definition = unit._authz.policy.definition if unit else None
    changes = list(changes_in(sess, definition))
    for change in changes:
        _raises(sess.info, change.revisions)
    if unit is None:
        return
    for table in undecided_rows(sess):
        raise Undecided(f"{table}: only the server writes this")
    if changes:
        if not _is_the_own(sess):
            raise Undecided(f"a session of its own {_spoken(changes)}")
        unit.before(changes)


@event.listens_for(session, "before_commit")
def _before_commit(sess: Session) -> None:
    if sess.in_nested_transaction():
        return
    actor = _actor.get()
    if isinstance(actor, Unit) and _is_the_own(sess):
        actor.settle()
    else:
        sess.flush()
    raise_revisions(sess, sess.info.pop(_REVISIONS, ()))


@event.listens_for(session, "after_begin")
def _after_begin(sess: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    connection.execution_options(v6srv_session=sess.info)


@event.listens_for(session, "after_transaction_end")
def _after_end(sess: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        sess.info.pop(_REVISIONS, None)


@event.listens_for(Engine, "before_cursor_execute")
def _before_execute(
    connection: Connection,
    _cursor: object,
    statement: str,
    _parameters: object,
    context: DefaultExecutionContext | None,
    _many: bool,
) -> None:
    """Refuse a statement that writes, unless the session wrote it itself or the server does."""
    tables = _written(statement, context)
    info = connection.get_execution_options().get("v6srv_session") if tables else None
    if info is None or info.get(FLUSHING):
        return
    for table in tables:
        if table not in FREE and isinstance(_actor.get(), Unit):
            raise Undecided(f"a statement that writes to {table}: only the server does")
        _raises(info, revisions_of(table))


def _is_the_own(sess: Session) -> bool:
    """Whether this is the session of the request, and not one that somebody made beside it."""
    return session.registry.has() and sess is session()


def _written(statement: str, context: DefaultExecutionContext | None) -> list[str]:
    """The tables that a statement writes to."""
    compiled = context.compiled if context else None
    if context is None or compiled is None or context.is_text:
        return ["a table"] if _WRITES.search(statement) else []
    parts = [compiled.statement]
    if within := getattr(compiled, "ctes", None):
        parts += [cte.element for cte in within]
    return [
        getattr(part.table, "name", "a table") for part in parts if isinstance(part, UpdateBase)
    ]


_WRITES = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|REPLACE|TRUNCATE|ALTER|DROP|CREATE|DO|CALL|COPY)\b",
    re.IGNORECASE,
)


def _raises(info: dict[Any, Any], names: Collection[str]) -> None:
    if names:
        info.setdefault(_REVISIONS, set()).update(names)


def _spoken(changes: Sequence[Change]) -> str:
    """What is changed, in words."""
    words = (f"{one.operation}s a {type(one.row).__name__.lower()}" for one in changes)
    return ", ".join(dict.fromkeys(words)) or "changes something"
