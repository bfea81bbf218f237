"""Lines of the policy that admins add: what has to be true before one is written or removed.

The guard decides whether the caller may do that at all. Here the policy is built as it would stand,
beside the live one, and everything that is wrong with it is a refusal that changes nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, false, or_, select
from sqlalchemy.orm import selectinload

from v6srv.authz import clock
from v6srv.authz.authorizer import Authorizer
from v6srv.authz.compiler import closure
from v6srv.authz.definition import EDGE_WORDS, POLICY_WORDS, Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.facts import TABLES, WHOLE
from v6srv.authz.line import DATABASE, Line
from v6srv.authz.principal import Principal
from v6srv.authz.revision import lock_lines
from v6srv.authz.source import codes
from v6srv.authz.source.adapter import database_lines, line_of
from v6srv.authz.source.live import store_of
from v6srv.authz.source.load import with_limits
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.authz.unit_of_work import settle
from v6srv.db import LARGEST_ID, session
from v6srv.errors import Conflict, Invalid
from v6srv.model import CasbinRule, Node, Organization, Role, Rule, User
from v6srv.vocabulary import Operation, PrincipalKind, Resource

_NEUTRAL: Mapping[str, str] = {"condition": "True", "effect": "allow"}
"""What may be said of a field that the policy definition does not have."""
_LIMITS = ("valid_from", "valid_until")
_COLUMNS = ("v0", "v1", "v2", "v3", "v4", "v5")
_WIDTH = 10_000
"""From the column of one field to that of the next, so that the place of a problem names a field:
more than any field has characters, with its time limits."""
_NUMBERED = re.compile(r"(user|node|org|rule|role):([1-9][0-9]*)")
_OF_THE_WHOLE = (codes.ROOT_LOCKED_OUT, codes.STRANGERS_LET_IN, codes.STRANGERS_FOR_A_TIME)
"""What no single field of a line is to blame for."""
_CUSTOM = re.compile(r"role:[1-9][0-9]*")
_TABLES: Final = {"user": User, "node": Node, "org": Organization, "rule": Rule, "role": Role}

Fields = Mapping[str, Any]


# --- reading


def narrowed(authz: Authorizer, query: Fields) -> Iterator[ColumnElement[bool]]:
    """The conditions that the filters of a list are, each on the column of the live model."""
    definition = authz.policy.definition
    for name, value in query.items():
        if name in ("ptype", "author"):
            yield getattr(CasbinRule, name) == value
            continue
        places = []
        if name in (policy := definition.words("p")):
            column = getattr(CasbinRule, _COLUMNS[policy.index(name)])
            places.append(and_(CasbinRule.ptype == "p", column == value))
        if name in ("subject", "role"):
            column = CasbinRule.v0 if name == "subject" else CasbinRule.v1
            places.append(and_(CasbinRule.ptype != "p", column == value))
        yield or_(false(), *places)


def shown(authz: Authorizer, rows: Iterable[CasbinRule]) -> list[dict[str, Any]]:
    """What there is to say of lines, by the names that bodies have for their fields."""
    enforcer = authz.policy
    live = {line.origin for line in enforcer.lines}
    return [_shown(enforcer.definition, row, live) for row in rows]


def written(authz: Authorizer, row: CasbinRule) -> dict[str, Any]:
    """The same of a line that goes live with the current transaction."""
    return _shown(authz.policy.definition, row, {line_of(row).origin})


def _shown(definition: Definition, row: CasbinRule, live: set[str]) -> dict[str, Any]:
    line = line_of(row)
    began = row.valid_from is None or row.valid_from <= clock.now()
    ended = row.valid_until is not None and row.valid_until <= clock.now()
    return {
        **dict.fromkeys((*POLICY_WORDS, *EDGE_WORDS)),
        **_named(definition, row),
        "id": row.id,
        "origin": line.origin,
        "ptype": row.ptype,
        "line": str(line),
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "in_force": line.origin in live and began and not ended,
        "comment": row.comment,
        "author": row.author,
        "created_at": row.created_at,
    }


def _named(definition: Definition, row: CasbinRule) -> dict[str, str]:
    return dict(zip(definition.words(row.ptype), row.values, strict=False))


# --- writing


def create(who: Principal, authz: Authorizer, fields: Fields) -> CasbinRule:
    """The line that `fields` describe.

    Raises Invalid, with what is wrong with each field, and Conflict when there is such a line.
    """
    row = CasbinRule(ptype=fields["ptype"])
    words = {name: fields[name] for name in (*POLICY_WORDS, *EDGE_WORDS) if name in fields}
    if row.ptype == "p":
        words.setdefault("condition", _NEUTRAL["condition"])
    _write(who, authz, row, words, fields)
    session.add(row)
    settle()
    return row


def change(who: Principal, authz: Authorizer, row: CasbinRule, changes: Fields) -> CasbinRule:
    """Change the given fields of a line; None takes a time limit or the comment away.

    Raises what `create` raises.
    """
    changed = {name: changes[name] for name in (*POLICY_WORDS, *EDGE_WORDS) if name in changes}
    words = _named(authz.policy.definition, row) | changed
    _write(who, authz, row, words, changes)
    settle()
    return row


def remove(authz: Authorizer, row: CasbinRule) -> None:
    """Remove a line. Raises Invalid when the policy would not be valid without it."""
    lock_lines()
    before, origin = database_lines(), line_of(row).origin
    lines = [line for line in before if line.origin != origin]
    try:
        candidate = store_of(authz).candidate(lines, before)
    except PolicyError as error:
        raise _unfit(error.problems) from error
    _require_safe(authz, candidate)
    session.delete(row)


def _write(
    who: Principal, authz: Authorizer, row: CasbinRule, words: Mapping[str, str], given: Fields
) -> None:
    """Make `row` the line of these words, with the limits and the comment of `given`."""
    lock_lines()
    before = database_lines()
    names = authz.policy.definition.words(row.ptype)
    _require_fields(names, words)
    _require_existing({name: words[name] for name in names if name in given})
    for number, column in enumerate(_COLUMNS):
        setattr(row, column, words[names[number]] if number < len(names) else None)
    for name in _LIMITS:
        if name in given:
            setattr(row, name, _moment(name, given[name]))
    if row.valid_from and row.valid_until and row.valid_from >= row.valid_until:
        raise _invalid({"valid_until": ["Not after valid_from."]})
    if "comment" in given:
        row.comment = given["comment"]
    row.author = who.subject
    line = line_of(row)
    others = [other for other in before if other.origin != line.origin]
    _require_new(authz, others, line)
    marked = replace(line, columns=tuple(_WIDTH * at for at in range(len(names))))
    try:
        candidate = store_of(authz).candidate([*others, marked], before, marked.origin)
    except PolicyError as error:
        raise _refusal(error.problems, marked, names) from error
    _require_safe(authz, candidate)


def _moment(name: str, text: str | None) -> datetime | None:
    """A time limit to the second, which is what policies count in."""
    if text is None:
        return None
    try:
        return clock.read(text.strip(), end=name == "valid_until").replace(microsecond=0)
    except (ValueError, OverflowError) as error:
        raise _invalid({name: ["Not a date or time (ISO 8601)."]}) from error


def _require_fields(names: Sequence[str], words: Mapping[str, str]) -> None:
    errors: dict[str, list[str]] = {}
    for name in names:
        if name not in words:
            errors[name] = ["Missing data for required field."]
    for name, word in words.items():
        if name not in names and word != _NEUTRAL.get(name):
            errors[name] = ["Lines of this type have no such field."]
    if errors:
        raise _invalid(errors)


def _require_existing(words: Mapping[str, str]) -> None:
    """Refuse a word that names a row by its number where there is no such row."""
    for name in ("subject", *EDGE_WORDS):
        found = _NUMBERED.fullmatch(words.get(name, ""))
        if found is None:
            continue
        kind, id = found[1], int(found[2])
        table = _TABLES[kind]
        row = session.get(table, id) if id <= LARGEST_ID else None
        if row is None:
            raise _invalid({name: [f"There is no {found[0]}."]})
        if isinstance(row, Role) and row.slug is not None:
            raise _invalid({name: [f"Lines call this role role:{row.slug}."]})


def _require_new(authz: Authorizer, others: Iterable[Line], line: Line) -> None:
    """Refuse a line that says what another says, at the same times."""
    definition = authz.policy.definition
    limited, _ = with_limits(definition, [line])
    files = (one for one in authz.policy.lines if not one.origin.startswith(DATABASE))
    for other in (*files, *with_limits(definition, others)[0]):
        if any(other.values == one.values and other.ptype == one.ptype for one in limited):
            raise Conflict(f"There is such a line already: {other.origin}")


# --- the policy as it would stand


def _require_safe(authz: Authorizer, candidate: Enforcer) -> None:
    _require_fixed_kinds(candidate)
    if not _repairable(candidate) and _repairable(authz.policy):
        raise Invalid("Nobody with the role Root could change the policy any more")


def _unfit(problems: Sequence[Problem]) -> Invalid:
    return Invalid(f"The policy would not be valid: {problems[0]}")


def _refusal(problems: Sequence[Problem], line: Line, names: Sequence[str]) -> Invalid:
    """What is wrong by field where the line is to blame, else in words."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        field = _field(problem, line, names)
        if field is not None:
            errors.setdefault(field, []).append(problem.message)
    return _invalid(errors) if errors else _unfit(problems)


def _field(problem: Problem, line: Line, names: Sequence[str]) -> str | None:
    """The field of a line that a problem is about; None when it is about something else."""
    if problem.code in _OF_THE_WHOLE:
        return None
    if problem.origin == line.origin:
        return _blamed(line)
    origin, _, column = problem.origin.rpartition(":")
    return names[int(column) // _WIDTH] if origin == line.origin else None


def _blamed(line: Line) -> str:
    """The field behind a problem of a whole line."""
    if line.ptype == "p":
        return "condition"
    if line.valid_from or line.valid_until:
        return "valid_from" if line.valid_from else "valid_until"
    return "role"


def _invalid(errors: Mapping[str, list[str]]) -> Invalid:
    name, [message, *_] = next(iter(errors.items()))
    return Invalid(f"{name}: {message}", errors)


def _require_fixed_kinds(candidate: Enforcer) -> None:
    """Whoever may edit a custom role would decide what all users may do, or all nodes.

    A role that lets strangers in would keep every later version of the policy from going live.
    """
    for kind in PrincipalKind:
        for role in sorted(closure(candidate.graphs.get("g", {}), f"kind:{kind}")):
            if _CUSTOM.fullmatch(role):
                raise Invalid(f"Every {kind} would have the custom role {role}; use one of files")


def _repairable(enforcer: Enforcer) -> bool:
    """Whether, now and whenever a time limit turns, a user with the role Root may mend lines.

    True where there is no such user.
    """
    roots = [_principal(user) for user in session.scalars(_roots)]
    moments = [clock.now(), *(moment for moment in enforcer.moments if moment > clock.now())]
    return not roots or all(any(_may_mend(enforcer, root, at) for root in roots) for at in moments)


_roots = (
    select(User)
    .where(User.roles.any(Role.slug == "root"))
    .options(selectinload(User.roles), selectinload(User.rules))
    .order_by(User.id)
)


def _principal(user: User) -> Principal:
    roles = [f"role:{role.slug or role.id}" for role in user.roles]
    rules = [f"rule:{rule.id}" for rule in user.rules]
    return Principal(PrincipalKind.USER, user.id, user.organization_id, roles=(*roles, *rules))


def _may_mend(enforcer: Enforcer, root: Principal, at: datetime) -> bool:
    row = SimpleNamespace(type=Resource.POLICY.value, **{**WHOLE, "id": LARGEST_ID})
    with clock.stopped(at):
        for operation in Operation:
            asked = enforcer.asked(root.facts, Resource.POLICY, operation, TABLES[CasbinRule])
            if not asked.of(row).allowed:
                return False
    return True
