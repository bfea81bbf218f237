"""What somebody could do, for pages that offer it.

No decision: nothing is logged or counted, and whoever takes an offer up is asked again.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import select

from v6srv.authz.answer import Rows
from v6srv.authz.facts import MODELS, RESOURCES, TABLES
from v6srv.authz.principal import Principal
from v6srv.authz.question import Form, Question
from v6srv.authz.versions import Versions
from v6srv.db import Base, session
from v6srv.vocabulary import Operation, Resource


class Offers:
    """The offers of the live policy to one principal."""

    def __init__(self, store: Versions, who: Principal) -> None:
        self._policy, self._who = store.live, who

    def any(self, resource: Resource | str, operation: Operation | str = Operation.VIEW) -> bool:
        """Whether there could be a row that `operation` is allowed of. Asks no database."""
        return self._answer(Form.ANY, resource, operation)

    def whole(self, resource: Resource | str, operation: Operation | str = Operation.VIEW) -> bool:
        """Whether `operation` of the resource as a whole is allowed. Asks no database."""
        return self._answer(Form.WHOLE, resource, operation)

    def among(self, operation: Operation, rows: Iterable[Base]) -> frozenset[int]:
        """The ids of those of `rows`, all of one table, that `operation` is allowed of.

        Of an edit: of which some change could be allowed. One query for all of them.
        """
        ids, models = [row.id for row in rows], {type(row) for row in rows}  # type: ignore[attr-defined]
        if not ids:
            return frozenset()
        [model] = models
        where, key = self._rows(RESOURCES[model], operation), TABLES[model].key
        query = select(key).where(key.in_(ids), where.condition)
        return frozenset(session.scalars(query, where.parameters))

    def names(self, resource: Resource, ids: Collection[int | None]) -> dict[int, str]:
        """What the rows with these ids are called, of those that may be viewed."""
        wanted = {id for id in ids if id is not None}
        if not wanted:
            return {}
        model = MODELS[resource]
        where, key = self._rows(resource, Operation.VIEW), TABLES[model].key
        called = model.username if resource is Resource.USER else model.name  # type: ignore[attr-defined]
        query = select(key, called).where(key.in_(wanted), where.condition)
        found = session.execute(query, where.parameters)
        return {id: name or f"{resource} {id}" for id, name in found}

    def _answer(self, form: Form, resource: Resource | str, operation: Operation | str) -> bool:
        about = Resource(resource), Operation(operation)
        changes = None if about[1] is Operation.EDIT and form is Form.ANY else frozenset[str]()
        return self._policy.answer(Question(form, self._who, *about, changes=changes)).allowed

    def _rows(self, resource: Resource, operation: Operation) -> Rows:
        changes = None if operation is Operation.EDIT else frozenset[str]()
        question = Question(Form.ROWS, self._who, resource, operation, changes=changes)
        return self._policy.put(question).rows()
