"""Every decision is made here. Two questions, one definition.

`allowed_rows` says which rows a principal may view, edit or delete; `decide` and `fetch` say
whether it may do so with this row. Both ask the same plan, in the same SQL.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, bindparam, false, literal, select

from v6srv import request_id
from v6srv.authz import clock
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.attempt import attempt
from v6srv.authz.compiler import Plan
from v6srv.authz.deciding_lines import origins
from v6srv.authz.decision import Decision, Lacking
from v6srv.authz.decision_log import DecisionLog, stamp
from v6srv.authz.denial_reason import told
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import ExpressionError
from v6srv.authz.facts import MODELS, TABLES, WHOLE, TableFacts
from v6srv.authz.links import wire
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.revision import note_lines_changed, note_members_changed
from v6srv.authz.row_query import ROW, row_query
from v6srv.authz.shadow import Shadow
from v6srv.authz.versions import Versions
from v6srv.db import LARGEST_ID, Base, session
from v6srv.errors import Denied, NotFound
from v6srv.model import Rule
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

log = logging.getLogger(__name__)

_NO_ROW = 0
_MOST_REMEMBERED = 100_000
_NOTHING = "nothing grants this"
_OUTSIDE = "outside what is granted"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question on its way to the answer."""

    question: Question
    plan: Plan
    enforcer: Enforcer
    begun_ns: int


def _exists(table: TableFacts, id: int) -> bool:
    if not 0 < id <= LARGEST_ID:
        return False
    return session.execute(select(literal(1)).where(table.key == id)).first() is not None


class Authorizer:
    """Asks the live policy. One per application."""

    def __init__(
        self,
        store: Versions,
        decisions: DecisionLog | None = None,
        shadow: Shadow | None = None,
    ) -> None:
        self.store = store
        self.decisions = decisions
        """Where decisions are written; None: nowhere."""
        self.shadow = shadow
        """Who asks the candidate of the store, too; None: nobody."""
        self.counts = dict.fromkeys(Effect, 0)
        """How many decisions this process has made, by effect; about, between threads."""
        self._things: set[tuple[Any, ...]] = set()
        self._looked_at: set[tuple[Any, ...]] = set()
        self._looked_by: Enforcer | None = None

    @property
    def policy(self) -> Enforcer:
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
        asked = self._ask(Question(Form.ROWS, who, resource, operation, min_scope=min_scope))
        plan, table = asked.plan, TABLES[MODELS[resource]]
        if plan.never:
            raise self._denied(asked, _NOTHING)
        condition, parameters = self._where(plan, asked.enforcer, who, operation, table, None)
        self._allowed(asked)
        return self.shown(who, table.model).where(condition, **parameters)

    def shown(self, who: Principal, model: type[Base]) -> AllowedRows:
        """All rows of a table, by id, with what the wire format shows of them to `who`.

        For rows that another decision covers: it says nothing about which of them `who` may view.
        """
        options, parameters = wire(self.store.live, who, model)
        key = model.id  # type: ignore[attr-defined]
        return AllowedRows(select(model).options(*options).order_by(key), parameters)

    def require_any(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        changes: frozenset[str] = frozenset(),
    ) -> None:
        """Raise Denied unless some row could be allowed; needs no row and no query.

        `changes`: names of the fields that are to be changed, when they are known.
        """
        asked = self._ask(Question(Form.ANY, who, resource, operation, changes=changes))
        facts = who.facts.changing(changes)
        if asked.plan.never or asked.enforcer.forbidding(asked.plan, facts, operation.value):
            raise self._denied(asked, _NOTHING)
        self._allowed(asked)

    def require_whole(self, who: Principal, resource: Resource, operation: Operation) -> None:
        """Raise Denied unless `who` may `operation` the resource as a whole, not just a row."""
        asked = self._ask(Question(Form.WHOLE, who, resource, operation))
        if not self._decided(asked, WHOLE):
            raise self._denied(asked, f"{_NOTHING} as a whole")
        self._allowed(asked)

    def require_kind(
        self,
        who: Principal,
        callers: frozenset[PrincipalKind],
        resource: Resource,
        operation: Operation,
    ) -> None:
        """Raise Denied unless `who` is of one of these kinds. Only the denial is a decision.

        An allowance decides nothing: another question follows.
        """
        if who.kind in callers:
            return
        question = Question(Form.CALLER, who, resource, operation, callers=callers)
        asked = _Asked(question, _NO_PLAN, self.store.live, time.perf_counter_ns())
        raise Denied(
            f"This is not open to a {who.kind}", self._refused(asked, "not open to this kind")
        )

    def refusal(self, who: Principal, resource: Resource, operation: Operation) -> Denied:
        """The answer for a row that is outside of what is granted, to raise where there is none.

        So that who asks for something that does not exist cannot tell it from what others have.
        """
        question = Question(Form.ROW, who, resource, operation, MODELS[resource], _NO_ROW)
        return self._denied(self._ask(question), _OUTSIDE)

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
        table = TABLES[on or MODELS[resource]]
        question = Question(
            Form.ROW,
            who,
            resource,
            operation,
            table.model,
            id,
            prospective=refresh,
            min_scope=min_scope,
            lenient=lenient,
            changes=changes,
        )
        asked = self._ask(question)
        if asked.plan.never:
            raise self._denied(asked, _NOTHING)
        row = self._row(asked, table, id) if 0 < id <= LARGEST_ID else None
        if row is None:
            if asked.plan.grants_all and (asked.plan.always or not _exists(table, id)):
                raise NotFound(f"{table.model.__name__} id={id} is not found!")
            raise self._denied(asked, _OUTSIDE)
        self._allowed(asked)
        return row

    def _row(self, asked: _Asked, table: TableFacts, id: int) -> Any:
        """The row if it is allowed, else None; locked when it is about to be changed."""
        question = asked.question
        who, operation, refresh = question.who, question.operation, question.prospective
        condition, parameters = self._where(
            asked.plan,
            asked.enforcer,
            who,
            operation,
            table,
            question.foreign,
            lenient=question.lenient,
            changes=question.changes,
        )
        options, links = wire(asked.enforcer, who, table.model)
        locked = operation in (Operation.EDIT, Operation.DELETE) and not refresh
        query = row_query(asked.enforcer, table, condition, options, locked=locked)
        fresh = {"populate_existing": True} if refresh else {}
        found = session.execute(query, {ROW: id, **links, **parameters}, execution_options=fresh)
        return found.scalar_one_or_none()

    def decide(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        row: Base,
    ) -> Decision:
        """Whether `who` may `operation` this row. The row must be flushed; it is asked by id."""
        table = TABLES[type(row)]
        id: int = row.id  # type: ignore[attr-defined]
        asked = self._ask(Question(Form.ROW, who, resource, operation, table.model, id))
        plan, enforcer, foreign = asked.plan, asked.enforcer, asked.question.foreign
        if plan.never:
            return self._refused(asked, _NOTHING)
        condition, parameters = self._where(plan, enforcer, who, operation, table, foreign)
        query = select(literal(1)).where(table.key == bindparam(ROW), condition)
        if session.execute(query, {ROW: id, **parameters}).first() is None:
            return self._refused(asked, _OUTSIDE)
        return self._allowed(asked)

    def decide_facts(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        facts: Mapping[str, Any],
    ) -> bool:
        """The decision on something that is no row, such as a socket room, by its facts.

        A fact that is asked for and not given denies, and is logged. Rooms are decided again at
        every change, so the decision log gets the same answer for the same reasons once; denied
        rooms of collaborations that `who` has no part in are, as in a list, no refusal at all.
        """
        begun, enforcer = time.perf_counter_ns(), self.store.live
        plan = enforcer.plan(who.facts, resource, operation)
        allowed = self._holds(plan, who, resource, operation, facts)
        if self.shadow is not None and self.store.shadow is not None:
            question = Question(Form.THING, who, resource, operation, facts=facts)
            self.shadow.compare(question, allowed=allowed)
        if self.decisions is not None and self._is_new(plan, who, facts, allowed=allowed):
            question = Question(Form.THING, who, resource, operation, facts=facts)
            asked = _Asked(question, plan, enforcer, begun)
            if self._is_news(asked, allowed=allowed):
                _ = self._allowed(asked) if allowed else self._refused(asked, _OUTSIDE)
        return allowed

    # --- rules that are handed on

    def may_hand_out(self, who: Principal, rules: Iterable[Rule]) -> Lacking:
        """Those of `rules` that `who` may not give to others; empty means all may be given."""
        begun, enforcer = time.perf_counter_ns(), self.store.live
        wanted = [(rule, SimpleNamespace(**_rule_facts(rule))) for rule in rules]
        lacking = Lacking(
            rule for rule, facts in wanted if not enforcer.may_hand_out(who.facts, facts)
        )
        if wanted:
            told_of = lacking or [rule for rule, _ in wanted]
            keys = tuple((f["res"], f["scope"], f["act"]) for f in map(_rule_facts, told_of))
            resource, operation = Resource(keys[0][0]), Operation(keys[0][2])
            question = Question(Form.HAND_OUT, who, resource, operation, rules=keys)
            asked = _Asked(question, _NO_PLAN, enforcer, begun)
            if lacking:
                lacking.decision = self._refused(asked, "not held")
            else:
                self._allowed(asked)
        return lacking

    @staticmethod
    def note_lines_changed() -> None:
        """Say, in the current transaction, that what roles or lines grant has changed."""
        note_lines_changed()

    @staticmethod
    def note_members_changed() -> None:
        """Say, in the current transaction, that who has what or who is where has changed."""
        note_members_changed()

    # --- parts

    @staticmethod
    def _where(
        plan: Plan,
        enforcer: Enforcer,
        who: Principal,
        operation: Operation,
        table: TableFacts,
        foreign: bool | None,
        *,
        lenient: bool = False,
        changes: frozenset[str] = frozenset(),
    ) -> tuple[ColumnElement[bool], dict[str, Any]]:
        def condition() -> tuple[ColumnElement[bool], dict[str, Any]]:
            where = enforcer.where(plan, table, foreign=bool(foreign), lenient=lenient)
            facts = who.facts.changing(changes)
            return where.condition, where.parameters(facts, operation.value)

        found, error = attempt(condition)
        if error is None:
            return found  # type: ignore[no-any-return]
        message = "policy %s failed for %s: denied"
        log.error(message, enforcer.version, who.subject, exc_info=error)
        return false(), {}

    def _ask(self, question: Question) -> _Asked:
        begun, enforcer = time.perf_counter_ns(), self.store.live
        plan = enforcer.plan(
            question.who.facts, question.resource, question.operation, question.scopes
        )
        return _Asked(question, plan, enforcer, begun)

    def _decided(self, asked: _Asked, facts: Mapping[str, Any]) -> bool:
        question = asked.question
        return self._holds(asked.plan, question.who, question.resource, question.operation, facts)

    def _holds(
        self,
        plan: Plan,
        who: Principal,
        resource: Resource,
        operation: Operation,
        facts: Mapping[str, Any],
    ) -> bool:
        if plan.never:
            return False
        row = SimpleNamespace(type=resource.value, **facts)
        answer, error = attempt(plan.decide, who.facts, row, operation.value)
        if error is not None:
            message = "policy %s failed on %s: denied"
            log.error(message, self.policy.version, dict(facts), exc_info=error)
        return answer is True

    def _is_new(
        self, plan: Plan, who: Principal, facts: Mapping[str, Any], *, allowed: bool
    ) -> bool:
        """Whether this has not been looked at since the policy changed: for speed only."""
        key = (plan, who.id, allowed, *facts.values())
        if key in self._looked_at:
            return False
        if self._looked_by is not self.store.live or len(self._looked_at) >= _MOST_REMEMBERED:
            self._looked_at, self._looked_by = set(), self.store.live
        self._looked_at.add(key)
        return True

    def _is_news(self, asked: _Asked, *, allowed: bool) -> bool:
        """Whether the decision on a room is one to write."""
        question, plan = asked.question, asked.plan
        collabs = question.facts.get("collabs", frozenset())
        if not allowed and not collabs & question.who.collaboration_ids:
            return False
        room = tuple(sorted((name, str(value)) for name, value in question.facts.items()))
        reasons = frozenset(plan.allow), frozenset(plan.deny)
        key = (question.who.id, question.resource, question.operation, room, reasons, allowed)
        if key in self._things:
            return False
        if len(self._things) >= _MOST_REMEMBERED:
            self._things.clear()
        self._things.add(key)
        return True

    # --- answers

    def _allowed(self, asked: _Asked) -> Decision:
        self._note(asked.question, allowed=True)
        written = self.decisions is not None and self.decisions.takes_allowance()
        id = self._write(asked, "granted", allowed=True) if written else None
        self._say(logging.DEBUG, "allow", asked, id, "granted")
        return self._answer(asked, "granted", allowed=True, id=id)

    def _note(self, question: Question, *, allowed: bool) -> None:
        self.counts[Effect.ALLOW if allowed else Effect.DENY] += 1
        if self.shadow is not None:
            self.shadow.compare(question, allowed=allowed)

    def _denied(self, asked: _Asked, reason: str) -> Denied:
        return Denied(decision=self._refused(asked, reason))

    def _refused(self, asked: _Asked, reason: str) -> Decision:
        self._note(asked.question, allowed=False)
        id = self._write(asked, reason, allowed=False)
        self._say(logging.INFO, "deny", asked, id, reason)
        words = told(asked.question, asked.plan, asked.enforcer.program)
        return self._answer(asked, reason, allowed=False, id=id, told=words)

    @staticmethod
    def _say(level: int, effect: str, asked: _Asked, id: str | None, reason: str) -> None:
        """One line in the server's own log."""
        question = asked.question
        log.log(
            level,
            "decision=%s id=%s principal=%s operation=%s resource=%s row=%s policy=%s reason=%r",
            effect,
            id,
            question.who.subject,
            question.operation.value,
            question.resource.value,
            question.row,
            asked.enforcer.version,
            reason,
        )

    def _write(self, asked: _Asked, reason: str, *, allowed: bool) -> str:
        """Give the decision an id and write it, if there is a log."""
        latency_us = (time.perf_counter_ns() - asked.begun_ns) // 1000
        id = secrets.token_hex(10)
        if self.decisions is not None:
            record: dict[str, Any] = {
                "kind": "decision",
                "time": stamp(clock.now()),
                "id": id,
                **asked.question.record(),
                "effect": (Effect.ALLOW if allowed else Effect.DENY).value,
                "lines": origins(asked.question, asked.plan, asked.enforcer, allowed=allowed),
                "reason": reason,
                "policy": asked.enforcer.version,
                "latency_us": latency_us,
            }
            if request := request_id.current():
                record["request_id"] = request
            self.decisions.write(record)
        return id

    @staticmethod
    def _answer(
        asked: _Asked, reason: str, *, allowed: bool, id: str | None, told: str = ""
    ) -> Decision:
        question = asked.question
        return Decision(
            allowed,
            question.who.subject,
            question.resource,
            question.operation,
            question.row,
            reason,
            asked.enforcer.version,
            id,
            told,
        )


_NO_PLAN = Plan((), {}, {}, lambda *_: False)
"""Of questions that no line answers: handing out rules, and kinds of callers."""


def _rule_facts(rule: Rule) -> dict[str, str]:
    """A rule in the words of the policy."""
    return {"res": rule.name, "scope": rule.scope.value, "act": rule.operation.value}


__all__ = [
    "AllowedRows",
    "Authorizer",
    "Decision",
    "ExpressionError",
    "Lacking",
]
