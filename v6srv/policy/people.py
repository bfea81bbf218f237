"""Whom lines are about: roles that nobody can have, ids that do not exist, kinds of principals."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from v6srv.authz import codes
from v6srv.authz.matcher import closure
from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.authz.source import Line, Problem
from v6srv.authz.validate import is_subject, near_role
from v6srv.vocabulary import PrincipalKind

_EVERY_KIND = frozenset(PrincipalKind)
_DEFAULT = tuple(f"role:{role.slug}" for role in DEFAULT_ROLES)


def about_people(
    written: Sequence[Line], added: Sequence[Line], known: Collection[str] | None
) -> Iterator[Problem]:
    """Roles without members, ids that nobody has, and inheritance the wrong way round.

    `written` are the lines of files, `added` those of the database, `known` the subjects there are.
    """
    lines = [line for line in (*written, *added) if _is_complete(line)]
    yield from _without_members(lines)
    yield from _wrong_way_round(lines)
    if known is not None:
        yield from _unknown(lines, known)


def _is_complete(line: Line) -> bool:
    return line.ptype in ("p", "g") and len(line.values) >= 2


def _is_custom(subject: str) -> bool:
    """A role or rule of the database: people get it there."""
    kind, _, name = subject.partition(":")
    return kind == "rule" or (kind == "role" and name.isascii() and name.isdecimal())


def _edges(lines: Iterable[Line]) -> dict[str, list[str]]:
    edges: dict[str, list[str]] = {}
    for line in lines:
        if line.ptype == "g" and len(line.values) == 2:
            edges.setdefault(line.values[0], []).append(line.values[1])
    return edges


def _without_members(lines: Sequence[Line]) -> Iterator[Problem]:
    edges = _edges(lines)
    subjects = {line.values[0] for line in lines}
    given = {s for s in subjects if not s.startswith("role:") or s in _DEFAULT or _is_custom(s)}
    reached = {*given, *_DEFAULT}
    for subject in list(reached):
        reached |= closure(edges, subject)
    told: set[str] = set()
    for line in lines:
        role = line.values[0]
        if is_subject(role) and role not in reached and role not in told:
            told.add(role)
            near = near_role(role, reached - {role})
            hint = f", did you mean {near}?" if near else ""
            message = f"nobody can have the role {role!r}{hint}"
            yield Problem(line.at(0), message, codes.ROLE_WITHOUT_MEMBERS, near)


def _wrong_way_round(lines: Sequence[Line]) -> Iterator[Problem]:
    for line in lines:
        role = line.values[1]
        if line.ptype == "g" and is_subject(role) and not role.startswith(("role:", "rule:")):
            member = line.values[0]
            message = f"whoever is {member} gets all that lines give to {role}"
            meant = f"g, {role}, {member}" if member.startswith("role:") else ""
            hint = f", did you mean {meant}?" if meant else ""
            yield Problem(line.at(1), message + hint, codes.INHERITS_FROM_PERSON, meant)


def _unknown(lines: Sequence[Line], known: Collection[str]) -> Iterator[Problem]:
    for line in lines:
        last = 2 if line.ptype == "g" else 1
        for index, subject in enumerate(line.values[:last]):
            kind, _, name = subject.partition(":")
            if kind in _SPOKEN and name.isascii() and name.isdecimal() and subject not in known:
                message = f"there is no {_SPOKEN[kind]} {name}"
                yield Problem(line.at(index), message, codes.UNKNOWN_SUBJECT)


_SPOKEN = {
    "user": "user",
    "node": "node",
    "org": "organization",
    "role": "custom role",
    "rule": "rule",
}


class Reach:
    """Which principals the lines of a subject are about."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._members: dict[str, list[str]] = {}
        for member, roles in _edges(lines).items():
            for role in roles:
                self._members.setdefault(role, []).append(member)
        self._kinds: dict[str, frozenset[PrincipalKind]] = {}

    def kinds(self, subject: str) -> frozenset[PrincipalKind]:
        """The kinds of principals that are or can have the subject; empty for nobody."""
        if subject not in self._kinds:
            found: set[PrincipalKind] = set()
            for name in closure(self._members, subject):
                found |= _kinds_called(name)
            self._kinds[subject] = frozenset(found)
        return self._kinds[subject]

    def own_facts(self, subject: str, token: str) -> Mapping[str, Any]:
        """Facts that follow from the subject itself, unless others inherit from it."""
        kind, _, name = subject.partition(":")
        if subject in self._members or kind not in ("user", "node", "org"):
            return {}
        if kind == "org":
            return {f"{token}.group": subject, f"{token}.org": int(name)}
        return {f"{token}.id": subject, f"{token}.account": int(name)}


def _kinds_called(name: str) -> frozenset[PrincipalKind]:
    prefix, _, rest = name.partition(":")
    if prefix == "kind":
        return frozenset({PrincipalKind(rest)})
    if prefix in ("user", "node"):
        return frozenset({PrincipalKind(prefix)})
    if prefix == "org":
        return _EVERY_KIND
    if _is_custom(name):
        return frozenset({PrincipalKind.USER})
    # The default roles node and container are for those kinds; people are given the others.
    own = name in _DEFAULT and rest not in set(PrincipalKind)
    return frozenset({PrincipalKind.USER}) if own else frozenset()
