"""What somebody could do, for pages that offer it.

No decision: nothing is logged or counted, and whoever takes an offer up is asked again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select

from v6srv.authz.answer import Asked, Rows
from v6srv.authz.facts import MODELS, RESOURCES, TABLES
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.row_query import ROW, ROWS, conditions_query, names_query
from v6srv.authz.versions import Versions
from v6srv.db import Base, session
from v6srv.model import Organization, User
from v6srv.vocabulary import Operation, Resource


@dataclass(frozen=True, slots=True)
class Act:
    """Something that could be done with a row."""

    operation: Operation
    changes: frozenset[str] | None = None
    """Which fields an edit changes; None: some."""
    resource: Resource | None = None
    """What it is done to there, if not to the row, such as nodes of an organization."""


def change(*names: str) -> Act:
    """Changing all of these fields at once; without names: some."""
    return Act(Operation.EDIT, frozenset(names) if names else None)


DELETE = Act(Operation.DELETE)


@dataclass(frozen=True, slots=True)
class Some:
    """The first of several rows."""

    rows: list[Any]
    total: int
    """How many there are."""


class Offers:
    """The offers of the live policy to one principal: made once for a page."""

    def __init__(self, store: Versions, who: Principal) -> None:
        self._policy, self._who = store.live, who
        self._known: dict[tuple[object, ...], bool] = {}

    def any(self, resource: Resource | str, operation: Operation | str = Operation.VIEW) -> bool:
        """Whether there could be a row that `operation` is allowed of. Asks no database."""
        about = Resource(resource), Operation(operation)
        changes = None if about[1] is Operation.EDIT else frozenset[str]()
        return self._of_no_row(Form.ANY, *about, changes)

    def whole(
        self,
        resource: Resource | str,
        operation: Operation | str = Operation.VIEW,
        changes: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether `operation` of the resource as a whole is allowed. Asks no database."""
        return self._of_no_row(Form.WHOLE, Resource(resource), Operation(operation), changes)

    def _of_no_row(self, form: Form, *about: Any) -> bool:
        """Menu and template ask the same."""
        found = self._known.get((form, *about))
        if found is None:
            resource, operation, changes = about
            question = Question(form, self._who, resource, operation, changes=changes)
            found = self._known[form, *about] = self._policy.answer(question).allowed
        return found

    def acts(self, row: Base, **acts: Act) -> dict[str, bool]:
        """Which of these are allowed of the row, by their names. One query at most, for all."""
        found: dict[str, bool] = {}
        places: dict[str, int] = {}
        different: list[tuple[Rows, Asked]] = []
        for name, act in acts.items():
            resource = act.resource or RESOURCES[type(row)]
            asked = self._asked(resource, act.operation, act.changes, type(row))
            if asked.certain is None:
                places[name] = _place(asked, different)
            else:
                found[name] = asked.certain
        if places:
            told = self._told(row, different)
            found |= {name: told[place] for name, place in places.items()}
        return found

    def _told(self, row: Base, different: Sequence[tuple[Rows, Asked]]) -> Sequence[bool]:
        """The answers to different questions about one row."""
        (first, _), *others = different  # whose parameters would have the same names
        parts = [first, *(asked.rows(f"offer{n}") for n, (_, asked) in enumerate(others))]
        conditions = [one.condition for one in parts]
        query = conditions_query(self._policy, TABLES[type(row)], conditions)
        values = {name: value for one in parts for name, value in one.parameters.items()}
        id: int = row.id  # type: ignore[attr-defined]
        found = session.execute(query, {**values, ROW: id}).first()
        return [False] * len(parts) if found is None else [bool(one) for one in found]

    def among(
        self,
        operation: Operation,
        rows: Iterable[Base],
        changes: frozenset[str] | None = None,
        resource: Resource | None = None,
    ) -> frozenset[int]:
        """The ids of those of `rows`, all of one table, that `operation` is allowed of.

        `changes`, `resource`: as those of an `Act`. One query at most, for all of them.
        """
        ids, models = [row.id for row in rows], {type(row) for row in rows}  # type: ignore[attr-defined]
        if not ids:
            return frozenset()
        [model] = models
        asked = self._asked(resource or RESOURCES[model], operation, changes, model)
        if asked.certain is not None:
            return frozenset(ids if asked.certain else ())
        where, key = asked.rows(), TABLES[model].key
        query = select(key).where(key.in_(ids), where.condition)
        return frozenset(session.scalars(query, where.parameters))

    def fields(self, row: Base, *names: str) -> frozenset[str]:
        """Those of its fields that could be changed, each alone. One query at most."""
        found = self.acts(row, **{name: change(name) for name in names})
        return frozenset(name for name, allowed in found.items() if allowed)

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
        query = (
            select(key, _called(model))
            .where(where.condition, *conditions)
            .order_by(key)
            .limit(most)
        )
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
        model, where = MODELS[resource], self._rows(resource, Operation.VIEW)
        query = names_query(self._policy, TABLES[model], where.condition, _called(model))
        found = session.execute(query, {**where.parameters, ROWS: sorted(wanted)})
        return {id: name or f"{resource} {id}" for id, name in found}

    def _rows(
        self, resource: Resource, operation: Operation, model: type[Base] | None = None
    ) -> Rows:
        """Which rows of the resource, or of another table."""
        return self._asked(resource, operation, None, model or MODELS[resource]).rows()

    def _asked(
        self,
        resource: Resource,
        operation: Operation,
        changes: frozenset[str] | None,
        model: type[Base],
    ) -> Asked:
        if operation is not Operation.EDIT:
            changes = frozenset()
        about = (resource, operation)
        question = Question(Form.ROW, self._who, *about, model, 0, lenient=True, changes=changes)
        return self._policy.put(question).narrowed()


def _called(model: type[Base]) -> ColumnElement[str]:
    """What people call its rows."""
    column: ColumnElement[str] = getattr(model, "username" if model is User else "name")
    return column


def _place(asked: Asked, different: list[tuple[Rows, Asked]]) -> int:
    """Which of the different questions this one is; it is added if it is one more."""
    rows = asked.rows()
    for place, (known, _) in enumerate(different):
        if known.condition is rows.condition and known.parameters == rows.parameters:
            return place
    different.append((rows, asked))
    return len(different) - 1
