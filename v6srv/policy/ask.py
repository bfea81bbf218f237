"""Reading questions: who, what and on which row, real or made up.

A principal is `user:7`, `node:3` or `container:<task id>`; one that does not exist is described as
JSON, `{"org": 3, "roles": ["researcher"]}`, or in words of policies, `role:researcher, org:3`. What
is asked about is `task:12`, a row that does not
exist (`task:{"image": "x", "orgs": [3]}`), a resource as a whole (`task`), or a socket room
(`room:collaboration_1`). Everything here raises Invalid for what cannot be understood and NotFound
for what is not there.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import select

from v6srv.authz import clock
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.fact_types import Fact, implied
from v6srv.authz.facts import MODELS, TABLES, WHOLE, TableFacts, facts_of, room_facts
from v6srv.authz.fields import field_names
from v6srv.authz.principal import Principal
from v6srv.authz.row_facts import row_facts
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Invalid, NotFound
from v6srv.identity import principals
from v6srv.model import Member, Role, Rule
from v6srv.suggestions import suggestion
from v6srv.vocabulary import Operation, PrincipalKind, Resource

Word = TypeVar("Word", bound=StrEnum)

_ROOM = re.compile(r"collaboration_([1-9]\d{0,9})(?:_organization_([1-9]\d{0,9}))?", re.ASCII)
_ROOM_WORD = "room"


@dataclass(frozen=True, slots=True)
class Thing:
    """What a question is about."""

    resource: Resource
    """What policies are asked for."""
    name: str
    """In the words of the question: `task:12`, `task`, `room:collaboration_1`."""
    facts: SimpleNamespace
    """`r.obj`."""
    table: TableFacts | None = None
    """Whose row it is, real or made up; None for rooms and for a resource as a whole."""
    id: int | None = None
    """Of a real row."""
    some_row: bool = False
    """No row is meant, and the server asks this of rows only: it is asked for which of them."""

    @property
    def foreign(self) -> bool:
        """Whether it is a row of another table than the resource's own."""
        return self.table is not None and self.table.model is not MODELS.get(self.resource)


# --- words


def operation(text: str) -> Operation:
    """The operation of this name."""
    return _word(Operation, text, "operation")


def resource(text: str) -> Resource:
    """The resource of this name."""
    return _word(Resource, text, "resource")


def _word(words: type[Word], text: str, spoken: str) -> Word:
    if text not in tuple(words):
        near = suggestion(text, tuple(words))
        raise Invalid(f"unknown {spoken} {text!r}{near or ': ' + ', '.join(words)}")
    return words(text)


def moment(text: str) -> datetime:
    """A moment as policies write it; without an offset it is UTC."""
    try:
        return clock.read(text)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{text!r} is no date or time") from error


def document(text: str, spoken: str) -> dict[str, Any]:
    """The JSON object that a text holds; `spoken` is what it is for, in messages."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{spoken} is not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"{spoken} must be a JSON object")
    return found


# --- who


def description(text: str) -> dict[str, Any]:
    """What a text says of a principal that does not exist, as `made_up_principal` takes it.

    A JSON object, or words with commas between them: `role:viewer`, `viewer`, `role:11`, `11`,
    `rule:3`, `org:2`, `kind:node`.
    """
    if text.lstrip().startswith(("{", "[")):
        return document(text, "the principal")
    found: dict[str, Any] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        kind, _, name = word.rpartition(":")
        if kind == "kind":
            found["kind"] = name
        elif kind in ("org", "rule"):
            if not _is_id(name):
                raise Invalid(f"{word!r} is not {kind}:<id>")
            if kind == "org":
                found["org"] = int(name)
            else:
                found.setdefault("rules", []).append(int(name))
        elif kind in ("", "role"):
            found.setdefault("roles", []).append(word)
        else:
            raise Invalid(
                f"{word!r} is no part of a principal: role:<name or id>, rule:<id>, org:<id>,"
                " kind:<user, node or container>, or a JSON object"
            )
    if not found:
        raise Invalid("the principal is not described: role:viewer, or a JSON object")
    return found


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len(str(LARGEST_ID))


def principal(text: str) -> Principal:
    """The principal of this name, as the database knows it now."""
    return principals.named(text).principal


_PRINCIPAL = ("kind", "id", "org", "collabs", "roles", "rules", "task", "run", "image")


def made_up_principal(
    given: Mapping[str, Any],
    base: Principal | None = None,
    roles_of_policy: Collection[str] = (),
) -> Principal:
    """A principal that does not exist; or `base`, but for what is given.

    `kind` is user unless given. `roles` are ids, slugs of default roles, or names that lines of the
    policy speak of (`roles_of_policy`, as lines write them), with or without `role:`; `rules` are
    ids; all must exist.
    Without `collabs` it takes part in those of its organization. `id` is the account, for a
    container that of its node; without one it is 0, which is nobody's.
    """
    _known_keys(given, _PRINCIPAL, "a principal")
    kind = _word(PrincipalKind, _text(given, "kind") or "user", "kind of principal")
    start = base or Principal(kind, 0, None)
    fields: dict[str, Any] = {"session_id": None}
    if "kind" in given:
        fields["kind"] = kind
    for key, name in (("id", "account_id"), ("task", "task_id"), ("run", "run_id")):
        if key in given:
            fields[name] = _number(given, key)
    if "id" in given:
        fields["account_id"] = fields["account_id"] or 0
    if "image" in given:
        fields["image"] = _text(given, "image")
    if "org" in given:
        fields["organization_id"] = _number(given, "org")
    if "collabs" in given:
        fields["collaboration_ids"] = frozenset(_numbers(given, "collabs"))
    elif "org" in given:
        fields["collaboration_ids"] = _collaborations_of(fields["organization_id"])
    fields["roles"] = (
        *(_roles(given, roles_of_policy) if "roles" in given else _those(start.roles, "role:")),
        *(_rules(given) if "rules" in given else _those(start.roles, "rule:")),
    )
    if fields.get("kind", start.kind) == PrincipalKind.CONTAINER and start.task_id is None:
        fields.setdefault("task_id", 0)
    return replace(start, **fields)


def _those(roles: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(role for role in roles if role.startswith(prefix))


def _collaborations_of(organization_id: int | None) -> frozenset[int]:
    if organization_id is None:
        return frozenset()
    of_it = Member.c.organization_id == organization_id
    return frozenset(session.scalars(select(Member.c.collaboration_id).where(of_it)))


def _roles(given: Mapping[str, Any], roles_of_policy: Collection[str]) -> list[str]:
    words = _list(given, "roles", (int, str))
    default = select(Role.slug).where(Role.slug.is_not(None))
    slugs = {str(slug) for slug in session.scalars(default)}
    named = (role.removeprefix("role:") for role in roles_of_policy if role.startswith("role:"))
    slugs |= {name for name in named if not name.isdecimal()}
    wanted = {word: str(word).removeprefix("role:") for word in words}
    ids = [int(name) for name in wanted.values() if _is_id(name)]
    by_id = {role.id: role.subject for role in session.scalars(_with_ids(Role, ids))}
    subjects = {name: f"role:{name}" for name in slugs}
    subjects |= {str(id): subject for id, subject in by_id.items()}
    for word, name in wanted.items():
        if name not in subjects:
            raise Invalid(f"there is no role {word!r}{suggestion(name, slugs)}")
    return list(dict.fromkeys(subjects[name] for name in wanted.values()))


def _rules(given: Mapping[str, Any]) -> list[str]:
    wanted = _numbers(given, "rules")
    known = {rule.id for rule in session.scalars(_with_ids(Rule, wanted))}
    for id in wanted:
        if id not in known:
            raise Invalid(f"there is no rule {id}")
    return [f"rule:{id}" for id in wanted]


def _with_ids(model: Any, ids: Collection[int]) -> Any:
    return select(model).where(model.id.in_([id for id in ids if 0 < id <= LARGEST_ID]))


# --- what


def thing(text: str, asked: Resource | None = None) -> Thing:
    """What a text like `task:12` means.

    `asked` is the resource whose policies decide when it is not that of the row: may I view the
    `node`s of `organization:3`?
    """
    word, colon, rest = text.partition(":")
    if word == _ROOM_WORD:
        if asked not in (None, Resource.EVENT):
            raise Invalid("a room is of the resource event")
        return room(rest)
    table = resource(word)
    if not colon:
        return whole(asked or table)
    if rest.lstrip().startswith("{"):
        return made_up_row(asked or table, document(rest, "the row"), table)
    if not rest.isascii() or not rest.isdecimal():
        raise Invalid(f"{text!r} is not {word}:<id>, {word}:{{...}} or {word}")
    return row(asked or table, int(rest), table)


def row(asked: Resource, id: int, table: Resource | None = None) -> Thing:
    """The row with this id, of the table of `table` if that is not the resource's own."""
    facts = _table(table or asked)
    found = row_facts(facts.model, [id], asked) if 0 < id <= LARGEST_ID else {}
    if id not in found:
        raise NotFound(f"{facts.model.__name__} id={id} is not found!")
    return Thing(asked, f"{table or asked}:{id}", found[id], facts, id)


def made_up_row(asked: Resource, given: Mapping[str, Any], table: Resource | None = None) -> Thing:
    """A row that does not exist, with the facts given and what is so for every row that has them.

    Others are null, sets are empty: a task of collaboration 1 is in the organizations that `orgs`
    says.
    """
    of = table or asked
    facts = facts_of(of)
    _known_keys(given, facts, f"a row of {of}")
    known = {name: _fact(name, value, facts[name]) for name, value in given.items()}
    absent = {name: fact.absent for name, fact in facts.items()}
    return Thing(
        asked,
        f"{of}:{json.dumps(dict(given))}",
        SimpleNamespace(type=asked.value, **{**absent, **implied(facts, known), **known}),
        TABLES[MODELS[of]] if of in MODELS else None,
    )


def whole(asked: Resource) -> Thing:
    """A resource as a whole: in no organization and no collaboration, without an owner."""
    facts = SimpleNamespace(type=asked.value, **WHOLE)
    # The policy is the one resource that endpoints ask for as a whole.
    return Thing(asked, asked.value, facts, some_row=asked is not Resource.POLICY)


def room(name: str) -> Thing:
    """A socket room, as clients know it: of a collaboration, or of one organization in it."""
    found = _ROOM.fullmatch(name)
    if found is None:
        raise Invalid(
            f"{name!r} is not a room: collaboration_<id> or collaboration_<id>_organization_<id>"
        )
    collaboration, organization = found.groups()
    facts = room_facts(int(collaboration), int(organization) if organization else None)
    named = f"{_ROOM_WORD}:{name}"
    return Thing(Resource.EVENT, named, SimpleNamespace(type=Resource.EVENT.value, **facts))


def _table(of: Resource) -> TableFacts:
    if of not in MODELS:
        raise Invalid(f"{of} has no rows of its own: ask about a room, or a row of another table")
    return TABLES[MODELS[of]]


def _fact(name: str, value: Any, fact: Fact) -> Any:
    if fact.is_set:
        return frozenset(_list({name: value}, name, (fact.of,)))
    if value is not None and not _is(value, fact.of):
        raise Invalid(f"{name} must be {_SPOKEN[fact.of]} or null, not {value!r}")
    return value


# --- values

_SPOKEN: Mapping[type, str] = {
    int: f"a whole number from 0 to {LARGEST_ID}",
    str: "text",
    bool: "true or false",
}


def _known_keys(given: Mapping[str, Any], known: Collection[str], spoken: str) -> None:
    for key in given:
        if key not in known:
            near = suggestion(key, known)
            raise Invalid(f"{spoken} has no {key!r}{near or ': ' + ', '.join(sorted(known))}")


def _number(given: Mapping[str, Any], key: str) -> int | None:
    value: int | None = given[key]
    if value is not None and not _is(value, int):
        raise Invalid(f"{key} must be {_SPOKEN[int]} or null, not {value!r}")
    return value


def _numbers(given: Mapping[str, Any], key: str) -> list[int]:
    return [value for value in _list(given, key, (int,)) if isinstance(value, int)]


def _text(given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is not None and not _is(value, str):
        raise Invalid(f"{key} must be text, not {value!r}")
    return value


def _is(value: Any, *types: type) -> bool:
    """Whether it is of one of these types, and something that databases and JSON can hold."""
    if type(value) not in types:
        return False
    if isinstance(value, str):
        return value.isprintable() or not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
    return isinstance(value, bool) or 0 <= value <= LARGEST_ID


def _list(given: Mapping[str, Any], key: str, types: tuple[type, ...]) -> list[Any]:
    values = given[key]
    if not isinstance(values, list) or not all(_is(value, *types) for value in values):
        spoken = " or ".join(_SPOKEN[kind] for kind in types)
        raise Invalid(f"{key} must be a list; each member {spoken}")
    return values


def named(enforcer: Enforcer, name: str | None, made_up: str | None) -> Principal:
    """The principal of a name, of a description, or of both: it, but for what is given."""
    base = principal(name) if name else None
    if made_up is not None:
        described = description(made_up)
        return made_up_principal(described, base, enforcer.roles)
    if base is None:
        raise Invalid("Nobody is named: say user:<id>, or describe a principal")
    return base


def changed(thing: Thing, names: Iterable[str]) -> frozenset[str]:
    """The names of fields that an edit changes. Raises Invalid for one that a row doesn't have."""
    wanted = frozenset(names)
    if thing.table is not None:
        model = thing.table.model
        fields = field_names(model)
        for name in sorted(wanted - fields):
            raise Invalid(f"{model.__name__} has no field {name!r}{suggestion(name, fields)}")
    return wanted
