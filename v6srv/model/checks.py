"""The rules of `v6srv.names`, asked by the tables themselves: nobody can forget them.

A value is looked at when it is assigned, and what is unique when the row is written. What is stored
already stays as it is, also if it breaks a rule (it may come from a 3.x server, or from an older
release): only what changes has to fit. Bulk statements pass by; the take-over of an old database
uses them, and reports.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, bindparam, event, exists, inspect, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Mapper, Session

from v6srv import names
from v6srv.db import Base, session, wait_for_others
from v6srv.errors import Invalid
from v6srv.model.algorithm_store import AlgorithmStore
from v6srv.model.collaboration import Collaboration
from v6srv.model.node import Node
from v6srv.model.organization import Organization
from v6srv.model.role import Role
from v6srv.model.study import Study
from v6srv.model.user import User

RULED = (AlgorithmStore, Collaboration, Node, Organization, Role, Study, User)
"""The tables of `names.RULES`."""

_LOCK = 0x7636_7375
"""Key of the PostgreSQL advisory lock of names; other things have their own."""

_user = User.__table__.c
_KEYED = {"username": "username_key", "email": "email_key"}
"""Columns of users that no two accounts share, and what they are compared by."""
_TAKEN = {"username": "Username already exists.", "email": "Email address already exists."}


def require_fit(row: Base, changes: Mapping[str, Any], *, strict: bool = False) -> None:
    """Raise Invalid, with every fault, when values that are to change break a rule of `names`.

    `strict`: those that 4.x has beyond the others count as well, and its names are those of no
    other row. A row that is not stored yet has no values: all of them change.
    """
    table = row.__tablename__
    changing = {
        column: value
        for column, value in changes.items()
        if column in names.RULES[table] and value != getattr(row, column)
    }
    _refuse(names.faults(table, changing))
    if strict:
        _refuse(names.faults(table, changing, names.STRICT_RULES))
        if table in names.DISTINCT and "name" in changing:
            _require_distinct(type(row), changing["name"])


def require_free(but: User | None = None, **values: str | None) -> None:
    """Raise Invalid when another account has this `username` or `email`, whatever its case."""
    _require_free(session.connection(), but.id if but else None, values)


def require_own_name(name: str) -> None:
    """Raise Invalid when a default role has this name."""
    _require_own_name(session.connection(), name)


def account_of(column: str, text: str) -> int | None:
    """The id of the account with this `username` or `email`; of several, that of the exact one."""
    found = list(_owners(session.connection(), column, text))
    exact = (id for id, stored in found if stored == text)
    return next(exact, found[0][0] if found else None)


def account_said_elsewhere(column: str, text: str) -> int | None:
    """The id of the account that another server means: of a name as it is, of an address but for
    the case of ASCII letters. What looks alike may be somebody else there."""

    def spoken(name: str) -> bytes:
        return name.encode() if column == "username" else name.encode().lower()

    owners = _owners(session.connection(), column, text)
    found = [id for id, stored in owners if spoken(stored) == spoken(text)]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Clash:
    """Two accounts that are older than the rule, whose names or addresses are one by it."""

    column: str
    id: int
    other_id: int

    def __str__(self) -> str:
        return (
            f"user {self.id} has the same {self.column} as user {self.other_id}, but for the case"
        )


def complete_keys(sess: Session) -> list[Clash]:
    """Give the accounts their keys that were written past the tables: by bulk, or by hand.

    Returns those that go on without one, because another account has it.
    """
    clashes = []
    for column, key in _KEYED.items():
        rows = sess.execute(select(_user.id, _user[column], _user[key]).order_by(_user.id)).all()
        right = {id: names.key(text) for id, text, _ in rows if text is not None}
        has = {id: stored for id, _, stored in rows if stored is not None}
        # First those that are not right: they may be those of others.
        stale = dict.fromkeys(id for id, stored in has.items() if stored != right.get(id))
        _set_key(sess, key, stale)
        holders = {stored: id for id, stored in has.items() if id not in stale}
        given = {}
        for id, wanted in right.items():
            holder = holders.setdefault(wanted, id)
            if holder != id:
                clashes.append(Clash(column, id, holder))
            elif has.get(id) != wanted:
                given[id] = wanted
        _set_key(sess, key, given)
    return clashes


# --- parts


def _require_distinct(model: type[Base], name: str) -> None:
    """Whoever else gives such a name waits until this one is stored.

    A constraint it cannot be: programs of 3.x give one name to several, and those stay.
    """
    wait_for_others(session(), _LOCK)
    if session.scalar(select(exists().where(model.__table__.c.name == name))):
        problem = f"{model.__name__} name '{name}' already exists"
        raise Invalid(problem, {"name": [problem]})


def _set_key(sess: Session, key: str, values: Mapping[int, str | None]) -> None:
    if values:
        change = update(User.__table__).where(_user.id == bindparam("row"))
        rows = [{"row": id, "key": text} for id, text in values.items()]
        sess.connection().execute(change.values({key: bindparam("key")}), rows)


def _refuse(faults: Mapping[str, list[str]]) -> None:
    for column, [fault] in faults.items():
        raise Invalid(f"{column}: {fault}", faults)


def _keyless(column: str) -> Any:
    return and_(_user[_KEYED[column]].is_(None), _user[column].is_not(None))


def _owners(connection: Connection, column: str, text: str) -> Iterator[tuple[int, str]]:
    key = names.key(text)
    query = select(_user.id, _user[column]).where(
        or_(_user[_KEYED[column]] == key, _keyless(column))
    )
    for id, stored in connection.execute(query.order_by(_user.id)):
        if stored is not None and names.key(stored) == key:
            yield id, stored


def _require_free(connection: Connection, but: int | None, values: Mapping[str, Any]) -> None:
    for column, text in values.items():
        if text is None:
            continue
        if any(id != but for id, _ in _owners(connection, column, text)):
            raise Invalid(_TAKEN[column], {column: [_TAKEN[column]]})


def _require_own_name(connection: Connection, name: str) -> None:
    taken = select(Role.id).where(Role.name == name, Role.slug.is_not(None))
    if connection.scalar(taken.limit(1)) is not None:
        raise Invalid(f"Role name {name} is reserved for a default role!")


def _ask(attribute: InstrumentedAttribute[Any]) -> None:
    """Have the rule of a column asked whenever it is assigned."""
    table, column = attribute.class_.__tablename__, attribute.key

    @event.listens_for(attribute, "set")
    def asked(_row: Base, value: Any, before: Any, _initiator: object) -> None:
        if value != before:
            _refuse(names.faults(table, {column: value}))


for _model in RULED:
    for _column in names.RULES[_model.__tablename__]:
        _ask(getattr(_model, _column))


@event.listens_for(User, "before_insert")
@event.listens_for(User, "before_update")
def _user_is_written(_mapper: Mapper[User], connection: Connection, user: User) -> None:
    state = inspect(user)
    for column, key in _KEYED.items():
        if state.attrs[column].history.has_changes():
            text = getattr(user, column)
            _require_free(connection, user.id, {column: text})
            setattr(user, key, None if text is None else names.key(text))


@event.listens_for(Role, "before_insert")
@event.listens_for(Role, "before_update")
def _role_is_written(_mapper: Mapper[Role], connection: Connection, role: Role) -> None:
    changed = inspect(role).attrs.name.history.has_changes()
    if changed and role.name is not None and role.slug is None:
        _require_own_name(connection, role.name)
