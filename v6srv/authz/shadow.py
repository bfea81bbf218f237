"""A candidate that is asked whatever the live policy is asked, and never obeyed.

Disagreements are counted, logged and appended to a file, each once: the question is remembered for
as long as the candidate stays the same. The candidate costs a query per decision on a row.
"""

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, false, func, literal, not_, or_, select

from v6srv import problems
from v6srv.authz import clock
from v6srv.authz.decision_log import stamp
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS, TABLES, WHOLE, TableFacts
from v6srv.authz.question import Form, Question
from v6srv.authz.sql import known_facts_only, where
from v6srv.authz.versions import Versions
from v6srv.db import LARGEST_ID, session
from v6srv.vocabulary import Effect

log = logging.getLogger(__name__)

FILE = "policy-shadow.jsonl"
"""In the log folder of the instance; one line per disagreement."""

_MOST_REMEMBERED = 100_000
_ROW = "shadow_row"


class Disagreements:
    """What a candidate would have decided otherwise, in this process."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is where the file is; None keeps the count only."""
        self._path = folder and folder / FILE
        self._known: set[tuple[Any, ...]] = set()
        self._candidate: str | None = None
        self._lock = threading.Lock()
        self.count = 0
        """Different questions with another answer, since the candidate is there."""

    def note(
        self, live: Enforcer, candidate: Enforcer, question: Question, about: str, *, allowed: bool
    ) -> None:
        """The live policy said `allowed`, the candidate would not."""
        who, resource, operation = question.who, question.resource, question.operation
        key = (who.id, resource, operation, about, allowed)
        with self._lock:
            if self._candidate != candidate.version:
                self._candidate, self.count = candidate.version, 0
                self._known.clear()
            if key in self._known or len(self._known) >= _MOST_REMEMBERED:
                return
            self._known.add(key)
            self.count += 1
        record = {
            "time": stamp(clock.now()),
            "principal": who.id,
            "operation": operation.value,
            "resource": resource.value,
            "about": about,
            "live": (Effect.ALLOW if allowed else Effect.DENY).value,
            "shadow": (Effect.DENY if allowed else Effect.ALLOW).value,
            "policy": live.version,
            "candidate": candidate.version,
        }
        log.warning(
            "policy in shadow: %s %s %s (%s): %s now, %s by %s",
            *(record[name] for name in ("principal", "operation", "resource", "about")),
            *(record[name] for name in ("live", "shadow", "candidate")),
        )
        self._append(record)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._path is None:
            return
        line = json.dumps(record) + "\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            try:
                os.write(handle, line.encode())  # one write: lines of processes do not mix
            finally:
                os.close(handle)
        except OSError as error:
            problems.begin(FILE, f"{FILE} cannot be written", error)
        else:
            problems.end(FILE)


class Shadow:
    """Asks the candidate of a store, if there is one, what the live policy was asked."""

    def __init__(self, store: Versions, folder: Path | None = None) -> None:
        """`folder` is where disagreements are written; None: they are only counted and logged."""
        self._store = store
        self.disagreements = Disagreements(folder)

    def compare(self, question: Question, *, allowed: bool) -> None:
        """Note it when the candidate would not have said `allowed`. Never raises."""
        candidate = self._store.shadow
        if candidate is None:
            return
        with _quiet():
            found = self._difference(candidate, question, allowed=allowed)
            if found is not None:
                about, would = found
                self.disagreements.note(
                    self._store.live, candidate, question, about, allowed=not would
                )

    def _difference(
        self, candidate: Enforcer, question: Question, *, allowed: bool
    ) -> tuple[str, bool] | None:
        """What they disagree about, and what the candidate says; None when they agree."""
        form, who, resource = question.form, question.who, question.resource
        if form is Form.CALLER:
            return None  # no policy says anything about that
        if form is Form.ROW:
            would = _allows_row(candidate, question)
            return None if would == allowed else (question.about, would)
        if form is Form.HAND_OUT:
            would = all(
                candidate.may_hand_out(who.facts, SimpleNamespace(res=res, scope=scope, act=act))
                for res, scope, act in question.rules
            )
            return None if would == allowed else (question.about, would)
        plan = candidate.plan(who.facts, resource, question.operation, question.scopes)
        if form in (Form.ROWS, Form.ANY):
            never = plan.never
            if form is Form.ANY:
                subject = who.facts.changing(question.changes)
                denials = candidate.forbidding(plan, subject, question.operation.value)
                never = never or bool(denials)
            if never is allowed:
                return "any", not never
            return self._first_other_row(candidate, question) if form is Form.ROWS else None
        facts = WHOLE if form is Form.WHOLE else question.facts
        thing = SimpleNamespace(type=resource.value, **facts)
        would = not plan.never and plan.decide(who.facts, thing, question.operation.value) is True
        about = "the whole" if form is Form.WHOLE else question.about
        return None if would == allowed else (about, would)

    def _first_other_row(self, candidate: Enforcer, question: Question) -> tuple[str, bool] | None:
        """The first row of a list that only one of both policies allows."""
        table = TABLES[MODELS[question.resource]]
        live, parameters = _rows(self._store.live, question, table, "policy")
        other, more = _rows(candidate, question, table, "shadow")
        query = (
            select(table.key, other)
            .where(or_(and_(live, not_(other)), and_(other, not_(live))))
            .order_by(table.key)
            .limit(1)
        )
        row = session.execute(query, {**parameters, **more}).first()
        return row and (f"list with {table.model.__name__.lower()}:{row[0]}", bool(row[1]))


def _allows_row(policy: Enforcer, question: Question) -> bool:
    assert question.table is not None
    id, table = question.row or 0, TABLES[question.table]
    found = _condition(policy, question, table, "shadow")
    if found is None or not 0 < id <= LARGEST_ID:
        return False
    condition, parameters = found
    query = select(literal(1)).where(table.key == bindparam(_ROW), condition)
    return session.execute(query, {_ROW: id, **parameters}).first() is not None


def _rows(
    policy: Enforcer, question: Question, table: TableFacts, prefix: str
) -> tuple[ColumnElement[bool], dict[str, Any]]:
    """A condition, never null, with parameters of names of its own."""
    condition, parameters = _condition(policy, question, table, prefix) or (false(), {})
    return func.coalesce(condition, false()), parameters


def _condition(
    policy: Enforcer, question: Question, table: TableFacts, prefix: str
) -> tuple[ColumnElement[bool], dict[str, Any]] | None:
    """The rows that a policy allows; None when there can be none."""
    subject, operation = question.who.facts.changing(question.changes), question.operation
    plan = policy.plan(subject, question.resource, operation, question.scopes)
    if plan.never:
        return None
    if question.foreign:
        plan = known_facts_only(plan, policy.program, table, lenient=question.lenient)
    found = where(plan, policy.program, table, prefix)
    return found.condition, found.parameters(subject, operation.value)


@contextmanager
def _quiet() -> Iterator[None]:
    """What fails in shadow is logged; the request goes on as if it had not been asked."""
    try:
        with session.begin_nested():
            yield
    except Exception:
        log.exception("the policy in shadow could not be asked")
