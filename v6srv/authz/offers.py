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
from v6srv.model import Organization
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

    def among(
        self, operation: Operation, rows: Iterable[Base], changes: frozenset[str] | None = None
    ) -> frozenset[int]:
        """The ids of those of `rows`, all of one table, that `operation` is allowed of.

        Of an edit: of which these `changes` could be, or some change if none are named. One query
        for all of them.
        """
        ids, models = [row.id for row in rows], {type(row) for row in rows}  # type: ignore[attr-defined]
        if not ids:
            return frozenset()
        [model] = models
        where, key = self._rows(RESOURCES[model], operation, changes), TABLES[model].key
        query = select(key).where(key.in_(ids), where.condition)
        return frozenset(session.scalars(query, where.parameters))

    def fields(self, row: Base, *names: str) -> frozenset[str]:
        """Those of its fields that could be changed. One query for each."""
        edit = Operation.EDIT
        return frozenset(name for name in names if self.among(edit, [row], frozenset({name})))

    def places(self, resource: Resource) -> dict[int, str]:
        """The organizations in which some row could be created, of those that may be viewed."""
        table = TABLES[Organization]
        asked = self._policy.asked(self._who.facts, resource, Operation.CREATE, table, lenient=True)
        where = asked.rows()
        ids = session.scalars(select(table.key).where(where.condition), where.parameters)
        return self.names(Resource.ORGANIZATION, list(ids))

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

    def _rows(
        self, resource: Resource, operation: Operation, changes: frozenset[str] | None = None
    ) -> Rows:
        changes = changes if operation is Operation.EDIT else frozenset[str]()
        question = Question(Form.ROWS, self._who, resource, operation, changes=changes)
        return self._policy.put(question).rows()
