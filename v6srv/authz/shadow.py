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
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, not_, or_, select

from v6srv import problems
from v6srv.authz import clock
from v6srv.authz.decision_log import stamp
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.question import Form, Question
from v6srv.authz.versions import Versions
from v6srv.db import session
from v6srv.vocabulary import Effect

log = logging.getLogger(__name__)

FILE = "policy-shadow.jsonl"
"""In the log folder of the instance; one line per disagreement."""

_MOST_REMEMBERED = 100_000
_ABOUT = {Form.ROWS: "any", Form.WHOLE: "the whole"}


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
        if not question.form.asks_lines:
            return None  # no policy says anything about that
        would = candidate.answer(question).allowed
        if would is not allowed:
            return _ABOUT.get(question.form, question.about), would
        if question.form is Form.ROWS and allowed:
            return self._first_other_row(candidate, question)
        return None

    def _first_other_row(self, candidate: Enforcer, question: Question) -> tuple[str, bool] | None:
        """The first row of a list that only one of both policies allows."""
        table = TABLES[MODELS[question.resource]]
        live, parameters = _rows(self._store.live, question, "policy")
        other, more = _rows(candidate, question, "shadow")
        query = (
            select(table.key, other)
            .select_from(table.model)
            .where(or_(and_(live, not_(other)), and_(other, not_(live))))
            .order_by(table.key)
            .limit(1)
        )
        row = session.execute(query, {**parameters, **more}).first()
        return row and (f"list with {table.model.__name__.lower()}:{row[0]}", bool(row[1]))


def _rows(
    policy: Enforcer, question: Question, prefix: str
) -> tuple[ColumnElement[bool], Mapping[str, Any]]:
    """A condition, never null, with parameters of names of its own."""
    rows = policy.put(question).rows(prefix)
    return func.coalesce(rows.condition, false()), rows.parameters


@contextmanager
def _quiet() -> Iterator[None]:
    """What fails in shadow is logged; the request goes on as if it had not been asked."""
    try:
        with session.begin_nested():
            yield
    except Exception:
        log.exception("the policy in shadow could not be asked")
