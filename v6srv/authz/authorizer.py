"""Every decision is made here. Two questions, one definition.

`allowed_rows` says which rows a principal may view, edit or delete; `decide` and `fetch` say
whether it may do so with this row. Both ask the same plan, in the same SQL.
"""

import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import select

from v6srv import meters, traces
from v6srv.authz.allowed_rows import AllowedRows
from v6srv.authz.answer import Answer, Asked, Rows
from v6srv.authz.compiler import Plan
from v6srv.authz.decision import Decision, Lacking
from v6srv.authz.decision_log import DecisionLog
from v6srv.authz.denial_reason import told
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import ExpressionError
from v6srv.authz.facts import MODELS, RESOURCES, TABLES, TableFacts
from v6srv.authz.links import wire
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.row_query import ROW, exists, row_query
from v6srv.authz.shadow import Shadow
from v6srv.authz.versions import Versions
from v6srv.db import LARGEST_ID, Base, session
from v6srv.errors import Denied, NotFound
from v6srv.model import Rule
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

log = logging.getLogger(__name__)

_NO_ROW = 0
_MOST_REMEMBERED = 100_000
NOTHING_CHANGED: frozenset[str] = frozenset()
_NOTHING = "nothing grants this"
_OUTSIDE = "outside what is granted"

_Answered = TypeVar("_Answered", Answer, Rows)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A question on its way to the answer."""

    question: Question
    asked: Asked
    enforcer: Enforcer
    begun_ns: int

    @property
    def plan(self) -> Plan:
        """Every line that can match."""
        return self.asked.plan

    def origins(self, *, allowed: bool) -> list[str]:
        """Where the lines stand that decided it so."""
        question = self.question
        if not question.form.asks_lines:
            return []
        if question.form is Form.HAND_OUT:
            answers = self.enforcer.each(question)
        else:
            answers = [Answer(self.asked, question.object, allowed)]
        return list(dict.fromkeys(rest.line.origin for one in answers for rest in one.lines))


class Authorizer:
    """Asks the live policy. One per application."""

    def __init__(
        self, store: Versions, decisions: DecisionLog | None = None, shadow: Shadow | None = None
    ) -> None:
        self.store = store
        self.decisions = decisions
        """Where decisions are written; None: nowhere."""
        self.shadow = shadow
        """Who asks the candidate of the store, too; None: nobody."""
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
        pending = self._ask(Question(Form.ROWS, who, resource, operation, min_scope=min_scope))
        if pending.plan.never:
            raise self._denied(pending, _NOTHING)
        rows = self._rows(pending)
        self._allowed(pending)
        shown = self.shown(who, MODELS[resource], pending.enforcer)
        return shown.where(rows.condition, **rows.parameters)

    def shown(
        self, who: Principal, model: type[Base], policy: Enforcer | None = None
    ) -> AllowedRows:
        """All rows of a table, by id, with what the wire format shows of them to `who`.

        For rows that another decision covers: it says nothing about which of them `who` may view.
        `policy`: the version that decides about links, if it is not the live one of now.
        """
        options, parameters = wire(policy or self.store.live, who, model)
        key = model.id  # type: ignore[attr-defined]
        return AllowedRows(select(model).options(*options).order_by(key), parameters)

    def require_any(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        changes: frozenset[str] | None = None,
    ) -> None:
        """Raise Denied unless some row could be allowed; needs no row and no query.

        `changes`: names of the fields that an edit changes; None when they are not known yet.
        """
        if operation is not Operation.EDIT:
            changes = NOTHING_CHANGED
        pending = self._ask(Question(Form.ANY, who, resource, operation, changes=changes))
        if not self._decided(pending).allowed:
            raise self._denied(pending, _NOTHING)
        self._allowed(pending)

    def require_whole(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        changes: frozenset[str] = NOTHING_CHANGED,
    ) -> None:
        """Raise Denied unless `who` may `operation` the resource as a whole, not just a row."""
        pending = self._ask(Question(Form.WHOLE, who, resource, operation, changes=changes))
        if not self._decided(pending).allowed:
            raise self._denied(pending, f"{_NOTHING} as a whole")
        self._allowed(pending)

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
        pending = self._ask(question)
        raise Denied(
            f"This is not open to a {who.kind}", self._refused(pending, "not open to this kind")
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
        changes: frozenset[str] | None = NOTHING_CHANGED,
        shown: bool = True,
    ) -> Any:
        """The row with this id if `who` may `operation` it, in one query.

        `on`: the table, when it is not the resource's own. `min_scope` passes over allowances of
        narrower scopes. `lenient`: leave out conditions on facts that this table does not have, as
        the rows of the resource are decided afterwards. `refresh`: read the row again as it stands
        now in this transaction, all columns. `changes`: names of the fields that are changed; None
        when it is not known yet: the row is found where some change of it could be allowed.
        `shown`: with what the wire format shows of it; no: it is read again before that.

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
        pending = self._ask(question)
        if pending.plan.never:
            raise self._denied(pending, _NOTHING)
        row = self._row(pending, table, id, shown=shown) if 0 < id <= LARGEST_ID else None
        if row is None:
            if pending.plan.grants_all and (pending.plan.always or not exists(table, id)):
                raise NotFound(f"{table.model.__name__} id={id} is not found!")
            raise self._denied(pending, _OUTSIDE)
        self._allowed(pending)
        return row

    def require(
        self,
        who: Principal,
        operation: Operation,
        row: Base,
        changes: frozenset[str] = NOTHING_CHANGED,
        *,
        early: bool = False,
        covered: bool = False,
        prospective: bool = False,
    ) -> bool:
        """Raise Denied unless `who` may `operation` this row, as the database has it; lock it.

        Whether that is certain, or it is to be asked again once more is known (`early`).
        `changes`: names of the fields that are changed; `early`: that somebody asks to change.
        `covered`: another decision allows it, if no line denies it. `prospective`: the row has been
        changed in this transaction.
        """
        id: int = row.id  # type: ignore[attr-defined]
        table, resource = TABLES[type(row)], RESOURCES[type(row)]
        about = resource, operation, type(row), id, prospective
        question = Question(Form.ROW, who, *about, changes=changes, early=early, covered=covered)
        pending = self._ask(question)
        if pending.plan.never:
            raise self._denied(pending, _NOTHING)
        condition = self._rows(pending)
        query = select(table.key).where(table.key == id, condition.condition)
        query = query.with_for_update(of=type(row).__table__)
        if session.execute(query, condition.parameters).first() is None:
            raise self._denied(pending, _OUTSIDE)
        self._allowed(pending)
        return not pending.asked.guessed

    def witness(self, question: Question, reason: str, *, allowed: bool = True) -> None:
        """Write a decision that no sample may leave out, with what came of it."""
        self._write(self._ask(question), reason, allowed=allowed)

    def asks_for_changes(self, who: Principal, model: type[Base], operation: Operation) -> bool:
        """Whether what is changed can make a difference to whether `who` may `operation` a row."""
        return self.policy.asks_for_changes(who.facts, RESOURCES[model], operation)

    def _row(self, pending: _Pending, table: TableFacts, id: int, *, shown: bool) -> Any:
        """The row if it is allowed, else None; locked when it is about to be changed."""
        question, rows = pending.question, self._rows(pending)
        who, model = question.who, table.model
        options, links = wire(pending.enforcer, who, model) if shown else ([], {})
        refresh = question.prospective
        locked = question.operation in (Operation.EDIT, Operation.DELETE) and not refresh
        query = row_query(pending.enforcer, table, rows.condition, options, locked=locked)
        fresh = {"populate_existing": True} if refresh else {}
        values = {ROW: id, **links, **rows.parameters}
        found = session.execute(query, values, execution_options=fresh)
        return found.scalar_one_or_none()

    def decide(
        self,
        who: Principal,
        resource: Resource,
        operation: Operation,
        row: Base,
    ) -> Decision:
        """Whether `who` may `operation` this row. The row must be flushed; it is asked by id."""
        id: int = row.id  # type: ignore[attr-defined]
        pending = self._ask(Question(Form.ROW, who, resource, operation, type(row), id))
        if pending.plan.never:
            return self._refused(pending, _NOTHING)
        if not self._decided(pending).allowed:
            return self._refused(pending, _OUTSIDE)
        return self._allowed(pending)

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
        asked = enforcer.asked(who.facts, resource, operation)
        answer = asked.of(SimpleNamespace(type=resource.value, **facts))
        allowed = answer.allowed
        if answer.failure is not None:
            self._noted(enforcer, who, answer)
        if self.shadow is not None and self.store.shadow is not None:
            question = Question(Form.THING, who, resource, operation, facts=facts)
            self.shadow.compare(question, allowed=allowed)
        if self.decisions is not None and self._is_new(asked.plan, who, facts, allowed=allowed):
            question = Question(Form.THING, who, resource, operation, facts=facts)
            pending = _Pending(question, asked, enforcer, begun)
            if self._is_news(pending, allowed=allowed):
                _ = self._allowed(pending) if allowed else self._refused(pending, _OUTSIDE)
        return allowed

    # --- rules that are handed on

    def may_hand_out(self, who: Principal, rules: Iterable[Rule]) -> Lacking:
        """Those of `rules` that `who` may not give to others; empty means all may be given."""
        begun, enforcer = time.perf_counter_ns(), self.store.live
        wanted = list(rules)
        lacking = Lacking()
        if wanted:
            answers = enforcer.each(_handing_out(who, wanted))
            held = [self._noted(enforcer, who, answer).allowed for answer in answers]
            lacking += [rule for rule, has in zip(wanted, held, strict=True) if not has]
            question = _handing_out(who, lacking or wanted)
            pending = _Pending(question, enforcer.put(question), enforcer, begun)
            if lacking:
                lacking.decision = self._refused(pending, "not held")
            else:
                self._allowed(pending)
        return lacking

    # --- parts

    def _ask(self, question: Question) -> _Pending:
        begun, enforcer = time.perf_counter_ns(), self.store.live
        return _Pending(question, enforcer.put(question), enforcer, begun)

    def _decided(self, pending: _Pending) -> Answer:
        answer = pending.asked.answer(pending.question.object)
        return self._noted(pending.enforcer, pending.question.who, answer)

    def _rows(self, pending: _Pending) -> Rows:
        return self._noted(pending.enforcer, pending.question.who, pending.asked.rows())

    @staticmethod
    def _noted(enforcer: Enforcer, who: Principal, answer: _Answered) -> _Answered:
        """An answer; that it could not be made is logged."""
        if answer.failure is not None:
            message = "policy %s failed for %s: denied"
            log.error(message, enforcer.version, who.subject, exc_info=answer.failure)
        return answer

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

    def _is_news(self, pending: _Pending, *, allowed: bool) -> bool:
        """Whether the decision on a room is one to write."""
        question, plan = pending.question, pending.plan
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

    def _allowed(self, pending: _Pending) -> Decision:
        if pending.asked.guessed:  # no decision yet: the same is asked again
            return self._answer(pending, "could be granted", allowed=True, id=None)
        self._note(pending, Effect.ALLOW)
        written = self.decisions is not None and self.decisions.takes_allowance()
        id = self._write(pending, "granted", allowed=True) if written else None
        self._say(logging.DEBUG, "allow", pending, id, "granted")
        return self._answer(pending, "granted", allowed=True, id=id)

    def _note(self, pending: _Pending, effect: Effect) -> None:
        question = pending.question
        meters.decision(question.resource, question.operation, effect, pending.begun_ns)
        traces.decision(question.resource, question.operation, effect, pending.enforcer.version)
        if self.shadow is not None:
            self.shadow.compare(question, allowed=effect is Effect.ALLOW)

    def _denied(self, pending: _Pending, reason: str) -> Denied:
        return Denied(decision=self._refused(pending, reason))

    def _refused(self, pending: _Pending, reason: str) -> Decision:
        self._note(pending, Effect.DENY)
        id = self._write(pending, reason, allowed=False)
        self._say(logging.INFO, "deny", pending, id, reason)
        words = told(pending.question, pending.plan, pending.enforcer)
        return self._answer(pending, reason, allowed=False, id=id, told=words)

    @staticmethod
    def _say(level: int, effect: str, pending: _Pending, id: str | None, reason: str) -> None:
        """One line in the server's own log."""
        question = pending.question
        log.log(
            level,
            "decision=%s id=%s principal=%s operation=%s resource=%s row=%s policy=%s reason=%r",
            effect,
            id,
            question.who.subject,
            question.operation.value,
            question.resource.value,
            question.row,
            pending.enforcer.version,
            reason,
        )

    def _write(self, pending: _Pending, reason: str, *, allowed: bool) -> str:
        """Give the decision an id and write it, if there is a log."""
        latency_us = (time.perf_counter_ns() - pending.begun_ns) // 1000
        id = secrets.token_hex(10)
        if self.decisions is not None:
            record = pending.question.decided(
                id,
                Effect.ALLOW if allowed else Effect.DENY,
                reason,
                lines=pending.origins(allowed=allowed),
                policy=pending.enforcer.version,
                latency_us=latency_us,
            )
            self.decisions.write(record)
        return id

    @staticmethod
    def _answer(
        pending: _Pending, reason: str, *, allowed: bool, id: str | None, told: str = ""
    ) -> Decision:
        question = pending.question
        return Decision(
            allowed,
            question.who.subject,
            question.resource,
            question.operation,
            reason,
            pending.enforcer.version,
            id,
            told,
        )


def _handing_out(who: Principal, rules: Sequence[Rule]) -> Question:
    keys = tuple((rule.name, rule.scope.value, rule.operation.value) for rule in rules)
    resource, operation = Resource(keys[0][0]), Operation(keys[0][2])
    return Question(Form.HAND_OUT, who, resource, operation, rules=keys)


__all__ = [
    "AllowedRows",
    "Authorizer",
    "Decision",
    "ExpressionError",
    "Lacking",
]
