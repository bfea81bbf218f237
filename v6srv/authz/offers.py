"""What somebody could do, for pages that offer it.

No decision: nothing is logged or counted, and whoever takes an offer up is asked again.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from v6srv.authz.answer import Rows
from v6srv.authz.facts import MODELS, RESOURCES, TABLES
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.versions import Versions
from v6srv.db import Base, session
from v6srv.model import Organization
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Some:
    """The first of several rows."""

    rows: list[Any]
    total: int
    """How many there are."""


class Offers:
    """The offers of the live policy to one principal."""

    def __init__(self, store: Versions, who: Principal) -> None:
        self._policy, self._who = store.live, who

    def any(self, resource: Resource | str, operation: Operation | str = Operation.VIEW) -> bool:
        """Whether there could be a row that `operation` is allowed of. Asks no database."""
        about = Resource(resource), Operation(operation)
        changes = None if about[1] is Operation.EDIT else frozenset[str]()
        return self._policy.answer(Question(Form.ANY, self._who, *about, changes=changes)).allowed

    def whole(
        self,
        resource: Resource | str,
        operation: Operation | str = Operation.VIEW,
        changes: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether `operation` of the resource as a whole is allowed. Asks no database."""
        about = Resource(resource), Operation(operation)
        question = Question(Form.WHOLE, self._who, *about, changes=changes)
        return self._policy.answer(question).allowed

    def among(
        self,
        operation: Operation,
        rows: Iterable[Base],
        changes: frozenset[str] | None = None,
        resource: Resource | None = None,
    ) -> frozenset[int]:
        """The ids of those of `rows`, all of one table, that `operation` is allowed of.

        `changes`: which fields an edit changes; None: some. `resource`: what it is done to there,
        if not to the rows, such as nodes of these organizations. One query for all of them.
        """
        ids, models = [row.id for row in rows], {type(row) for row in rows}  # type: ignore[attr-defined]
        if not ids:
            return frozenset()
        [model] = models
        where = self._rows(resource or RESOURCES[model], operation, changes, model)
        key = TABLES[model].key
        query = select(key).where(key.in_(ids), where.condition)
        return frozenset(session.scalars(query, where.parameters))

    def fields(self, row: Base, *names: str) -> frozenset[str]:
        """Those of its fields that could be changed. One query for each."""
        edit = Operation.EDIT
        return frozenset(name for name in names if self.among(edit, [row], frozenset({name})))

    def places(self, resource: Resource) -> dict[int, str]:
        """The organizations in which some row could be created, of those that may be viewed."""
        where, key = self._rows(resource, Operation.CREATE, model=Organization), Organization.id
        ids = session.scalars(select(key).where(where.condition), where.parameters)
        return self.names(Resource.ORGANIZATION, list(ids))

    def some(self, resource: Resource, *conditions: ColumnElement[bool], most: int = 100) -> Some:
        """The first of the rows that may be viewed, of those that meet these conditions.

        What the wire format shows of related rows is not read with them. One query.
        """
        model = MODELS[resource]
        where, key = self._rows(resource, Operation.VIEW), TABLES[model].key
        query = select(model, func.count().over()).where(where.condition, *conditions)
        found = session.execute(query.order_by(key).limit(most), where.parameters).all()
        return Some([row for row, _ in found], found[0][1] if found else 0)

    def choices(
        self, resource: Resource, *conditions: ColumnElement[bool], most: int | None = 500
    ) -> list[tuple[int, str]]:
        """Ids and names of those rows, for a form to choose from; `most`: None for all."""
        model, where = MODELS[resource], self._rows(resource, Operation.VIEW)
        key = TABLES[model].key
        called = model.username if resource is Resource.USER else model.name  # type: ignore[attr-defined]
        query = select(key, called).where(where.condition, *conditions).order_by(key).limit(most)
        found = session.execute(query, where.parameters)
        return [(id, name or f"{resource} {id}") for id, name in found]

    def count(
        self, resource: Resource, operation: Operation, condition: ColumnElement[bool]
    ) -> int:
        """How many rows meet the condition that `operation` is allowed of."""
        where = self._rows(resource, operation)
        query = select(func.count()).select_from(MODELS[resource])
        return session.scalar(query.where(where.condition, condition), where.parameters) or 0

    def names(self, resource: Resource, ids: Collection[int | None]) -> dict[int, str]:
        """What the rows with these ids are called, of those that may be viewed."""
        wanted = {id for id in ids if id is not None}
        if not wanted:
            return {}
        those = TABLES[MODELS[resource]].key.in_(wanted)
        return dict(self.choices(resource, those, most=None))

    def _rows(
        self,
        resource: Resource,
        operation: Operation,
        changes: frozenset[str] | None = None,
        model: type[Base] | None = None,
    ) -> Rows:
        """Which rows of the resource, or of another table."""
        if operation is not Operation.EDIT:
            changes = frozenset()
        about, model = (resource, operation), model or MODELS[resource]
        question = Question(Form.ROW, self._who, *about, model, 0, lenient=True, changes=changes)
        return self._policy.put(question).rows()
