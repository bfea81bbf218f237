"""What the tables offer at the prompt and to scripts: get, save, delete, exists, help.

They are for `v6srv shell` and for scripts, where nobody else ends the transaction: `save` and
`delete` commit. In requests the guard does that, so services use only the helpers that read.
Nothing here asks the policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any, Self, overload

from sqlalchemy import Column, exists, inspect, select
from sqlalchemy.exc import OperationalError

from v6srv.db import LARGEST_ID, session, transaction
from v6srv.errors import DatabaseUnavailable, Invalid
from v6srv.model.system import PolicyRevision


class Queries:
    """A mixin for tables with a column `id`."""

    @overload
    @classmethod
    def get(cls, id_: int) -> Self | None: ...

    @overload
    @classmethod
    def get(cls, id_: None = None) -> list[Self]: ...

    @classmethod
    def get(cls, id_: int | None = None) -> Self | list[Self] | None:
        """The row with this id, None when there is none; without an id all rows, by id."""
        if id_ is None:
            return list(session.scalars(select(cls).order_by(_column(cls, "id"))))
        return session.get(cls, id_) if 0 < id_ <= LARGEST_ID else None

    @classmethod
    def exists(cls, field: str, value: Any) -> bool:
        """Whether a row has this value, compared exactly, in the column `field`.

        Raises Invalid when there is no such column.
        """
        query = select(exists(select(_column(cls, "id")).where(_column(cls, field) == value)))
        return bool(session.scalar(query))

    def save(self) -> None:
        """Store this row, and whatever else was changed in the session, for good.

        Running servers follow at once, whatever was changed: the policy revision is raised. On an
        error all of it is rolled back, and the error of SQLAlchemy goes on.
        """
        with _committed():
            session.add(self)

    def delete(self) -> None:
        """Delete this row for good. Ends the transaction as `save` does.

        Raises Conflict while rows need it that cannot stand without it.
        """
        with _committed():
            session.delete(self)

    @classmethod
    def help(cls) -> None:
        """Print the columns, the relations and the helpers of this table."""
        print("\n".join(_lines_of_help(cls)))  # noqa: T201 - for the person at the prompt


@contextmanager
def _committed() -> Iterator[None]:
    """A transaction that writes, for what was changed before the block as well."""
    with transaction(pending=True):
        _begin_writing()
        yield


def _begin_writing() -> None:
    """Raise the policy revision; with it SQLite's lock for writing is ours.

    A prompt reads, and thinks, and writes. When somebody wrote meanwhile, SQLite does not let the
    transaction that has read write. It has written nothing itself, or it would have had the lock
    all the time: it can begin anew, and what is to be saved waits in the session.
    """
    columns = (PolicyRevision.lines, PolicyRevision.members)
    with session.no_autoflush:
        try:
            PolicyRevision.raise_(session(), *columns)
        except (OperationalError, DatabaseUnavailable):
            if session.get_bind().dialect.name != "sqlite":
                raise
            connection = session.connection()
            connection.exec_driver_sql("ROLLBACK")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            PolicyRevision.raise_(session(), *columns)


def _column(model: type[Any], field: str) -> Any:
    """The attribute of a column that is stored."""
    found = inspect(model).column_attrs.get(field)
    if found is None or not isinstance(found.columns[0], Column):
        raise Invalid(f"{model.__name__} has no column {field!r}")
    return getattr(model, field)


def _lines_of_help(model: type[Any]) -> Iterator[str]:
    mapper = inspect(model)
    yield f"{model.__name__}: {_first_line(model)}"
    yield "columns"
    for attribute in mapper.column_attrs:
        if isinstance(attribute.columns[0], Column):
            yield f"  {attribute.key}: {attribute.columns[0].type!r}"
    if mapper.relationships:
        yield "relations"
        for relation in mapper.relationships:
            many = "list of " if relation.uselist else ""
            yield f"  {relation.key}: {many}{relation.mapper.class_.__name__}"
    yield "helpers"
    for name in sorted(_names_of_helpers(model)):
        helper = getattr(model, name)
        yield f"  {name}{_parameters(helper)}: {_first_line(helper)}"


def _names_of_helpers(model: type[Any]) -> set[str]:
    """What our classes define themselves, columns and relations apart."""
    return {
        name
        for cls in model.__mro__
        if cls.__module__.startswith("v6srv.model")
        for name, value in vars(cls).items()
        if not name.startswith("_")
        and (isinstance(value, (classmethod, staticmethod, property)) or callable(value))
    }


def _parameters(helper: Any) -> str:
    """How it is called, without types; empty for a property."""
    if isinstance(helper, property):
        return ""
    return f"({', '.join(name for name in signature(helper).parameters if name != 'self')})"


def _first_line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().partition("\n")[0]
