"""Asking logged questions again: of another version of the policy, about the rows of today."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.question import Form, Question
from v6srv.authz.row_facts import row_facts
from v6srv.db import LARGEST_ID, Base
from v6srv.errors import Invalid
from v6srv.policy.audit.trail import Record
from v6srv.vocabulary import Effect, Resource

_AT_ONCE = 1000
"""Records whose rows are read together."""
_IDS_TOLD = 3

Rows = dict[tuple[type[Base], Resource, int], SimpleNamespace]


@dataclass(slots=True)
class Disagreement:
    """Questions that are answered otherwise now."""

    principal: str
    operation: str
    resource: str
    about: str
    """`task:12`, `rows`, `any`, `whole`, the facts of a room, or the rules to hand out."""
    was: Effect
    now: Effect
    count: int = 0
    ids: list[str] = field(default_factory=list)
    """The first decisions, to look up."""

    def __str__(self) -> str:
        asked = f"{self.principal} {self.operation} {self.resource} ({self.about})"
        return f"{asked}: was {self.was}, now {self.now}, {self.count}x, {', '.join(self.ids)}"


@dataclass(slots=True)
class Replay:
    """What came of it."""

    asked: int = 0
    """Decisions that could be made again."""
    gone: int = 0
    """Their row is not there now, or never was stored."""
    unknown: int = 0
    """Records that this release cannot ask again."""
    disagreements: list[Disagreement] = field(default_factory=list)


def replay(records: Iterable[Record], enforcer: Enforcer) -> Replay:
    """Decide what `records` (of decisions) asked once more, by `enforcer`.

    Principals, changes and the time are as they were then: lines that are limited in time count as
    they did. Rows are as they are now. Needs the database.
    """
    found = Replay()
    different: dict[tuple[str, ...], Disagreement] = {}
    for batch in _batches(records):
        asked = list(_questions(batch, found))
        rows = _rows([question for _, question in asked])
        for record, question in asked:
            stored = not question.prospective or record["effect"] == Effect.ALLOW
            answer = _again(enforcer, question, rows if stored else {}, _time(record))
            if answer is None:
                found.gone += 1
                continue
            found.asked += 1
            if answer != record["effect"]:
                _note(different, record, question, answer)
    found.disagreements = list(different.values())
    return found


def _batches(records: Iterable[Record]) -> Iterator[list[Record]]:
    ahead = iter(records)
    while batch := list(itertools.islice(ahead, _AT_ONCE)):
        yield batch


def _questions(records: Iterable[Record], found: Replay) -> Iterator[tuple[Record, Question]]:
    for record in records:
        try:
            question = Question.read(record)
            Effect(record["effect"]), _time(record)
        except (Invalid, KeyError, ValueError):
            found.unknown += 1
        else:
            yield record, question


def _time(record: Record) -> datetime:
    return datetime.fromisoformat(record["time"]).astimezone(UTC)


def _rows(questions: Sequence[Question]) -> Rows:
    """The facts of all rows that are asked about, by table, resource and id."""
    wanted: dict[tuple[type[Base], Resource], set[int]] = {}
    for question in questions:
        if question.table is not None and question.row is not None:
            ids = wanted.setdefault((question.table, question.resource), set())
            if 0 < question.row <= LARGEST_ID:
                ids.add(question.row)
    return {
        (model, resource, id): facts
        for (model, resource), ids in wanted.items()
        for id, facts in (row_facts(model, ids, resource) if ids else {}).items()
    }


def _note(
    different: dict[tuple[str, ...], Disagreement], record: Record, question: Question, now: Effect
) -> None:
    words = (question.who.id, question.operation.value, question.resource.value, question.about)
    found = different.setdefault(
        (*words, now.value), Disagreement(*words, Effect(record["effect"]), now)
    )
    found.count += 1
    if len(found.ids) < _IDS_TOLD:
        found.ids.append(str(record.get("id")))


def _again(enforcer: Enforcer, question: Question, rows: Rows, at: datetime) -> Effect | None:
    """The effect by the policy, at this time; None when the row is gone."""
    if question.form is Form.CALLER:
        return Effect.ALLOW if question.who.kind in question.callers else Effect.DENY
    if question.form is Form.SESSION:
        return Effect.DENY
    with clock.stopped(at):
        if question.table is None:
            return enforcer.answer(question).effect
        row = rows.get((question.table, question.resource, question.row or 0))
        if row is None:
            return Effect.DENY if enforcer.put(question).plan.never else None
        return enforcer.answer(question, row).effect
