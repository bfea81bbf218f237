"""Whom lines are about: roles that nobody can have, ids that do not exist, kinds of principals."""

from collections.abc import Collection, Iterator, Sequence

from v6srv.authz.compiler import closure
from v6srv.authz.line import ASKED_FOR, Line
from v6srv.authz.rules import WIDE_NODE
from v6srv.authz.source import codes
from v6srv.authz.source.check_lines import is_subject, near_role
from v6srv.authz.source.problems import Problem
from v6srv.authz.source.reach import DEFAULT, edges_of, is_custom


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


def _without_members(lines: Sequence[Line]) -> Iterator[Problem]:
    edges = edges_of(lines)
    subjects = {line.values[0] for line in lines}
    given = {s for s in subjects if not s.startswith("role:") or s in DEFAULT or is_custom(s)}
    reached = {*given, *DEFAULT, WIDE_NODE}
    for subject in list(reached):
        reached |= closure(edges, subject)
    told: set[str] = set()
    for line in lines:
        for role, place in ((line.values[0], line.at(0)), *_asked_for(line)):
            if is_subject(role) and role not in reached and role not in told:
                told.add(role)
                near = near_role(role, reached - {role})
                hint = f", did you mean {near}?" if near else ""
                message = f"nobody can have the role {role!r}{hint}"
                yield Problem(place, message, codes.ROLE_WITHOUT_MEMBERS, near)


def _asked_for(line: Line) -> Iterator[tuple[str, str]]:
    """The roles that the condition of a line asks for, and their places."""
    for index, value in enumerate(line.values):
        for found in ASKED_FOR.finditer(value):
            if not is_custom(found.group()):
                known = index < len(line.columns)
                column = line.columns[index] + found.start() if known else 0
                yield found.group(), f"{line.origin}:{column}" if known else line.origin


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
