"""Every decision is made here. Two questions, one definition.

`allowed_rows` says which rows a principal may view, edit or delete; `decide` and `fetch` say
whether it may do so with this row. Both ask the same plan, in the same SQL.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, bindparam, false, literal, select
from sqlalchemy.orm.interfaces import ORMOption

from v6srv.authz.expression import ExpressionError
from v6srv.authz.facts import MODELS, TABLES, WHOLE, TableFacts
from v6srv.authz.matcher import Plan
from v6srv.authz.principal import Principal
from v6srv.authz.snapshot import Snapshot
from v6srv.authz.store import PolicyStore, note_lines_changed, note_members_changed
from v6srv.authz.where import Where
from v6srv.db import LARGEST_ID, Base, session
from v6srv.errors import Denied, NotFound
from v6srv.model import Rule
from v6srv.model.derived import with_wire
from v6srv.vocabulary import Effect, Operation, Resource, Scope

log = logging.getLogger(__name__)

_ROW = "policy_row"


@dataclass(frozen=True, slots=True)
class Decision:
    """The effect for one principal, resource, operation and row, and why."""

    allowed: bool
    subject: str
    resource: Resource
    operation: Operation
    row_id: int | None
    """None when the decision needed no row."""
    reason: str
    policy: str
    """Version of the policy that decided."""


@dataclass(frozen=True, slots=True)
class Consideration:
    """One line that could have matched, and whether it did."""

    line: str
    origin: str
    """`file:line` or `db:table:id`."""
    effect: Effect
    matched: bool
    remaining: str
    """What the line still asked of the row."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with every line considered."""

    decision: Decision
    lines: tuple[Consideration, ...]


class AllowedRows:
    """A Select of the rows that are allowed, to filter, order and page further. Immutable."""

    __slots__ = ("parameters", "select")

    def __init__(self, query: Select[Any], parameters: Mapping[str, Any]) -> None:
        self.select = query
        self.parameters = parameters

    def where(self, *conditions: ColumnElement[bool]) -> Self:
        """Narrow further; nothing can widen."""
        return type(self)(self.select.where(*conditions), self.parameters)

    def order_by(self, *columns: Any) -> Self:
        """Order, instead of by id."""
        return type(self)(self.select.order_by(None).order_by(*columns), self.parameters)

    def options(self, *options: ORMOption) -> Self:
        """Loader options."""
        return type(self)(self.select.options(*options), self.parameters)


def _exists(table: TableFacts, id: int) -> bool:
    if not 0 < id <= LARGEST_ID:
        return False
    return session.execute(select(literal(1)).where(table.key == id)).first() is not None


class Authorizer:
    """Asks the live policy. One per application."""

    def __init__(self, store: PolicyStore) -> None:
        self.store = store

    @property
    def policy(self) -> Snapshot:
        """The live policy."""
        return self.store.live

    # --- which rows

    def allowed_rows(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation = Operation.VIEW,
        min_scope: Scope | None = None,
    ) -> AllowedRows:
        """The rows that `who` may `operation`, by id, with what the wire format shows of them.

        `min_scope` passes over allowances of narrower scopes. Raises Denied when nothing is
        granted: no policy is "no", never "no filter".
        """
        plan, snapshot = self._plan(who, resource, operation, min_scope)
        table = TABLES[MODELS[resource]]
        if plan.never:
            raise self._denied(who, resource, operation, None, snapshot, "nothing grants this")
        condition, parameters = self._where(plan, snapshot, who, operation, table, None)
        query = select(table.model).options(with_wire).order_by(table.key)
        return AllowedRows(query.where(condition), parameters)

    def require_any(self, who: Principal, resource: Resource, operation: Operation) -> None:
        """Raise Denied unless some row could be allowed; needs no row and no query."""
        plan, snapshot = self._plan(who, resource, operation)
        if plan.never:
            raise self._denied(who, resource, operation, None, snapshot, "nothing grants this")

    def require_whole(self, who: Principal, resource: Resource, operation: Operation) -> None:
        """Raise Denied unless `who` may `operation` the resource as a whole, not just a row."""
        if not self.decide_facts(who, resource, operation, WHOLE):
            reason = "nothing grants this as a whole"
            raise self._denied(who, resource, operation, None, self.store.live, reason)

    # --- this row

    def fetch(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        id: int,
        on: type[Base] | None = None,
        *,
        min_scope: Scope | None = None,
        lenient: bool = False,
        refresh: bool = False,
        changes: frozenset[str] = frozenset(),
    ) -> Any:
        """The row with this id if `who` may `operation` it, in one query.

        `on`: the table, when it is not the resource's own. `min_scope` passes over allowances of
        narrower scopes. `lenient`: leave out conditions on facts
        that this table does not have, because the rows of the resource are decided afterwards.
        `refresh`: read the row again as it stands now in this transaction, all columns. `changes`:
        names of the fields that have been changed.

        Raises Denied when it may not, and NotFound for an unknown id only to those who are granted
        every row, denials apart: others get the same answer for rows that exist and that do not.
        """
        plan, snapshot = self._plan(who, resource, operation, min_scope)
        if plan.never:
            raise self._denied(who, resource, operation, id, snapshot, "nothing grants this")
        table = TABLES[on or MODELS[resource]]
        foreign = table.model is not MODELS.get(resource)
        row = None
        if 0 < id <= LARGEST_ID:
            condition, parameters = self._where(
                plan, snapshot, who, operation, table, foreign, lenient=lenient, changes=changes
            )
            query = (
                select(table.model)
                .options(with_wire)
                .where(table.key == bindparam(_ROW), condition)
            )
            if operation in (Operation.EDIT, Operation.DELETE) and not refresh:
                query = query.with_for_update(of=table.model.__table__)
            row = session.execute(
                query,
                {_ROW: id, **parameters},
                execution_options={"populate_existing": True} if refresh else {},
            ).scalar_one_or_none()
        if row is None:
            if plan.grants_all and (plan.always or not _exists(table, id)):
                raise NotFound(f"{table.model.__name__} id={id} is not found!")
            raise self._denied(who, resource, operation, id, snapshot, "outside what is granted")
        self._record(True, who, resource, operation, id, snapshot, "granted")
        return row

    def decide(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        row: Base,
    ) -> Decision:
        """Whether `who` may `operation` this row. The row must be flushed; it is asked by id."""
        plan, snapshot = self._plan(who, resource, operation)
        table = TABLES[type(row)]
        id: int = row.id  # type: ignore[attr-defined]
        allowed = False
        if not plan.never:
            foreign = table.model is not MODELS.get(resource)
            condition, parameters = self._where(plan, snapshot, who, operation, table, foreign)
            query = select(literal(1)).where(table.key == bindparam(_ROW), condition)
            allowed = session.execute(query, {_ROW: id, **parameters}).first() is not None
        reason = "granted" if allowed else "outside what is granted"
        return self._record(allowed, who, resource, operation, id, snapshot, reason)

    def require(self, who: Principal, resource: Resource, operation: Operation, row: Base) -> None:
        """Raise Denied unless `who` may `operation` this row."""
        decision = self.decide(who, resource, operation, row)
        if not decision.allowed:
            raise Denied(decision=decision)

    def decide_facts(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        facts: Mapping[str, Any],
    ) -> bool:
        """The decision on something that is no row, such as a socket room, by its facts.

        A fact that is asked for and not given denies, and is logged.
        """
        plan, _ = self._plan(who, resource, operation)
        if plan.never:
            return False
        try:
            answer = plan.decide(
                who.facts, SimpleNamespace(type=resource.value, **facts), operation.value
            )
        except Exception:
            log.exception("policy %s failed on %s: denied", self.policy.version, dict(facts))
            return False
        return answer is True

    # --- why

    def explain(
        self, who: Principal, resource: Resource, operation: Operation, row: Base
    ) -> Explanation:
        """The decision on a row with every line considered, matched or not."""
        plan, snapshot = self._plan(who, resource, operation)
        table = TABLES[type(row)]
        foreign = table.model is not MODELS.get(resource)
        considered = []
        for rest in plan.remainders:
            alone = Plan((rest,), {rest.text: rest.tree}, {}, plan.decide)
            condition, parameters = self._where(alone, snapshot, who, operation, table, foreign)
            query = select(literal(1)).where(table.key == bindparam(_ROW), condition)
            matched = session.execute(query, {_ROW: row.id, **parameters}).first()  # type: ignore[attr-defined]
            considered.append(
                Consideration(
                    str(rest.line), rest.line.origin, rest.effect, matched is not None, rest.text
                )
            )
        return Explanation(self.decide(who, resource, operation, row), tuple(considered))

    # --- rules that are handed on

    def may_hand_out(self, who: Principal, rules: Iterable[Rule]) -> list[Rule]:
        """Those of `rules` that `who` may not give to others; empty means all may be given."""
        subject, snapshot = who.facts, self.store.live
        return [
            rule
            for rule in rules
            if not snapshot.may_hand_out(
                subject,
                SimpleNamespace(res=rule.name, scope=rule.scope.value, act=rule.operation.value),
            )
        ]

    @staticmethod
    def note_lines_changed() -> None:
        """Say, in the current transaction, that what roles or lines grant has changed."""
        note_lines_changed()

    @staticmethod
    def note_members_changed() -> None:
        """Say, in the current transaction, that who has what or who is where has changed."""
        note_members_changed()

    # --- parts

    def _plan(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        min_scope: Scope | None = None,
    ) -> tuple[Plan, Snapshot]:
        snapshot = self.store.live
        scopes = None
        if min_scope is not None:
            ordered = list(Scope)
            scopes = frozenset(scope.value for scope in ordered[ordered.index(min_scope) :])
        return snapshot.plan(who.facts, resource, operation, scopes), snapshot

    @staticmethod
    def _where(
        plan: Plan,
        snapshot: Snapshot,
        who: Principal,
        operation: Operation,
        table: TableFacts,
        foreign: bool | None,
        *,
        lenient: bool = False,
        changes: frozenset[str] = frozenset(),
    ) -> tuple[ColumnElement[bool], dict[str, Any]]:
        found: Where = snapshot.where(plan, table, foreign=bool(foreign), lenient=lenient)
        try:
            return found.condition, found.parameters(who.facts.changing(changes), operation.value)
        except Exception:  # a failing condition never opens a door, whatever it raises
            log.exception("policy %s failed for %s: denied", snapshot.version, who.subject)
            return false(), {}

    def _denied(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        id: int | None,
        snapshot: Snapshot,
        reason: str,
    ) -> Denied:
        return Denied(decision=self._record(False, who, resource, operation, id, snapshot, reason))

    @staticmethod
    def _record(
        allowed: bool,
        who: Principal,
        resource: Resource,
        operation: Operation,
        id: int | None,
        snapshot: Snapshot,
        reason: str,
    ) -> Decision:
        log.log(
            logging.DEBUG if allowed else logging.INFO,
            "decision=%s principal=%s operation=%s resource=%s id=%s policy=%s reason=%r",
            "allow" if allowed else "deny",
            who.subject,
            operation.value,
            resource.value,
            id,
            snapshot.version,
            reason,
        )
        return Decision(allowed, who.subject, resource, operation, id, reason, snapshot.version)


__all__ = [
    "AllowedRows",
    "Authorizer",
    "Consideration",
    "Decision",
    "Explanation",
    "ExpressionError",
]
