"""What Casbin accepts in silence in policy lines and this server refuses, each with its place."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache

from v6srv.authz.definition import Definition
from v6srv.authz.line import DATABASE, Line
from v6srv.authz.long_work import step
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.authz.source import codes
from v6srv.authz.source.check_expression import Fault, faults
from v6srv.authz.source.language import WORDS, Language, object_facts
from v6srv.authz.source.problems import Problem
from v6srv.authz.source.shapes import shape
from v6srv.db import LARGEST_ID
from v6srv.suggestions import nearest
from v6srv.vocabulary import PrincipalKind, Resource, Scope

_KINDS = "|".join(PrincipalKind)
_SUBJECT = re.compile(rf"(role:[A-Za-z0-9_.-]+|(rule|user|node|org):[1-9][0-9]*|kind:({_KINDS}))")
_SUBJECT_FORMS = "role:<name>, user:<id>, node:<id>, org:<id> or kind:<user|node|container>"
_CUSTOM = re.compile(r"role:[1-9][0-9]*")
_NUMBER = re.compile(r"(?:rule|user|node|org|role):([0-9]+)")
_LONGEST_CHAIN = 9


def is_subject(word: str) -> bool:
    """Whether lines can be about it."""
    number = _NUMBER.fullmatch(word)
    return _SUBJECT.fullmatch(word) is not None and not (number and int(number[1]) > LARGEST_ID)


def near_role(role: str, known: Iterable[str]) -> str:
    """The role with a name that was probably meant; ids look alike and are no help."""
    names = {word.removeprefix("role:") for word in known if word.startswith("role:")}
    near = nearest(role.removeprefix("role:"), sorted(n for n in names if not n.isdecimal()))
    return f"role:{near}" if near and role.startswith("role:") else ""


Conditions = Callable[[str, str], Sequence[Fault]]
"""What is wrong with a condition, for a resource."""


def check_lines(definition: Definition, lines: Sequence[Line]) -> list[Problem]:
    """Everything that can be said of lines without compiling them.

    Time limits are part of conditions already (`load.with_limits`).
    """
    conditions = _conditions(definition)
    first: dict[tuple[str, tuple[str, ...]], Line] = {}
    problems: list[Problem] = []
    for line in lines:
        step()
        same = first.setdefault((line.ptype, line.values), line)
        if same is line:
            problems += _check_line(definition, line, conditions)
        elif not line.origin.startswith(DATABASE):
            message = f"the same line as {same.origin}"
            problems.append(Problem(line.place, message, codes.DUPLICATE_LINE))
        # else a role has been given a rule that a line granted before: no harm
    return [*problems, *_check_roles(lines), *_check_circles(definition, lines)]


def check_line(definition: Definition, line: Line) -> list[Problem]:
    """What is wrong with one line by itself."""
    return list(_check_line(definition, line, _conditions(definition)))


def _conditions(definition: Definition) -> Conditions:
    request = definition.request["r"]

    def of(text: str, resource: str) -> Sequence[Fault]:
        facts = dict(zip(request, (SUBJECT_FACTS, object_facts(resource)), strict=False))
        return faults(text, Language(request, facts, graphs=definition.graphs))

    @cache
    def known(text: str, resource: str) -> Sequence[Fault]:
        if resource != "*":
            return of(text, resource)
        for each in Resource:
            found = of(text, each)
            if found:
                return [_of_resource(fault, each) for fault in found]
        return ()

    def faults_of(text: str, resource: str) -> Sequence[Fault]:
        if text == "True" or not known(shape(text), resource):
            return ()
        return known(text, resource)

    return faults_of


def _of_resource(fault: Fault, resource: Resource) -> Fault:
    if fault.code is not codes.UNKNOWN_FACT:
        return fault
    message = f"{fault.message.partition(',')[0]}: {resource} has no such fact"
    return Fault(fault.at, fault.code, message)


def _check_line(definition: Definition, line: Line, conditions: Conditions) -> Iterator[Problem]:
    if line.ptype == "p":
        yield from _check_policy(line, definition.fields, conditions)
    elif line.ptype in definition.graphs:
        yield from _check_edge(line)
    else:
        near = nearest(line.ptype, ("p", *definition.graphs))
        message = f"unknown line type {line.ptype!r}"
        yield _problem(line.place, codes.UNKNOWN_LINE_TYPE, message, near)


def _problem(place: str, code: codes.Code, message: str, meant: str = "") -> Problem:
    hint = f", did you mean {meant}?" if meant else ""
    return Problem(place, message + hint, code, meant)


# --- p


def _check_policy(
    line: Line, fields: Sequence[str], conditions: Conditions
) -> Sequence[Problem] | Iterator[Problem]:
    if len(line.values) != len(fields):
        return _wrong_count(line, fields)
    values = dict(zip(fields, line.values, strict=True))
    for name, (_, _, known) in WORDS.items():
        if name in values and values[name] not in known:
            return _check_fields(line, values, conditions)
    if values.get("cond", "True") == "True" and is_subject(values["sub"]):
        return ()  # nearly all lines
    return _check_fields(line, values, conditions)


def _check_fields(
    line: Line, values: Mapping[str, str], conditions: Conditions
) -> Iterator[Problem]:
    for index, (name, value) in enumerate(values.items()):
        if name in WORDS:
            code, spoken, known = WORDS[name]
            if value not in known:
                yield _unknown_word(line.at(index), value, code, spoken, known)
        elif name == "sub" and not is_subject(value):
            yield _no_subject(line.at(index), value)
        elif name == "cond":
            yield from _check_condition(line, index, values["res"], conditions)


def _unknown_word(
    place: str, value: str, code: codes.Code, spoken: str, known: Sequence[str]
) -> Problem:
    word, comment, _ = value.partition("#")
    message = f"unknown {spoken} {value!r}"
    if comment:
        meant = word.strip() if word.strip() in known else ""
        message += ": a comment has a line of its own"
        return _problem(place, codes.TRAILING_COMMENT, message, meant)
    return _problem(place, code, message, nearest(value, known))


_LIMITED = re.compile(r"timeMatch\('[^']*', '[^']*'\)(?P<more> && \()?")


def _check_condition(
    line: Line, index: int, resource: str, conditions: Conditions
) -> Iterator[Problem]:
    text, shift = line.values[index], 0
    if line.valid_from or line.valid_until:
        limit = _LIMITED.match(text)
        if limit:
            shift = limit.end()
            text = text[shift:-1] if limit["more"] else "True"
    for fault in conditions(text, resource):
        place = line.at(index)
        if index < len(line.columns):
            place = f"{line.origin}:{line.columns[index] + fault.at}"
        yield Problem(place, fault.message, fault.code, fault.suggestion)


def _wrong_count(line: Line, fields: Sequence[str]) -> Iterator[Problem]:
    for index, value in enumerate(line.values):
        if "#" in value and index >= len(fields) - 1:
            message = "a comment has a line of its own"
            yield _problem(line.at(index), codes.TRAILING_COMMENT, message)
            return
    place = line.at(len(fields)) if len(line.values) > len(fields) else line.place
    expected = ", ".join(fields)
    message = f"{len(line.values)} fields, {len(fields)} expected: {expected}"
    yield Problem(place, message, codes.FIELD_COUNT)


def _no_subject(place: str, value: str) -> Problem:
    word, comment, _ = value.partition("#")
    if comment and _SUBJECT.fullmatch(word.strip()):
        message = f"{value!r} is not a subject: a comment has a line of its own"
        return _problem(place, codes.TRAILING_COMMENT, message, word.strip())
    if _SUBJECT.fullmatch(value):
        return Problem(place, f"{value!r}: no row has so large a number", codes.NOT_A_SUBJECT)
    message = f"{value!r} is not a subject: {_SUBJECT_FORMS}"
    return _problem(place, codes.NOT_A_SUBJECT, message, _meant_subject(value))


def _meant_subject(value: str) -> str:
    """The subject that was probably meant; empty when nobody can tell."""
    prefix, colon, name = re.sub(r"\s", "", value).partition(":")
    if not colon:
        slug = nearest(prefix, [role.slug for role in DEFAULT_ROLES])
        meant = f"role:{slug}" if slug else ""
    elif prefix.casefold() == "kind":
        near = nearest(name, tuple(PrincipalKind))
        meant = f"kind:{near}" if near else ""
    else:
        meant = f"{nearest(prefix, ('role', 'rule', 'user', 'node', 'org'))}:{name}"
    return meant if _SUBJECT.fullmatch(meant) else ""


# --- g


def _check_edge(line: Line) -> Iterator[Problem]:
    if len(line.values) != 2:
        place = line.at(2) if len(line.values) > 2 else line.place
        yield Problem(place, f"{len(line.values)} fields, 2 expected", codes.FIELD_COUNT)
        return
    for index, value in enumerate(line.values):
        if line.ptype == "g" and not is_subject(value):
            yield _no_subject(line.at(index), value)
        if line.ptype == "g2" and value not in tuple(Scope):
            yield _unknown_word(line.at(index), value, codes.UNKNOWN_SCOPE, "scope", tuple(Scope))


def _edges(lines: Sequence[Line], graph: str) -> list[Line]:
    return [line for line in lines if line.ptype == graph and len(line.values) == 2]


def _check_roles(lines: Sequence[Line]) -> Iterator[Problem]:
    """Roles that grant nothing."""
    edges = _edges(lines, "g")
    granting = {line.values[0] for line in lines if line.ptype == "p" and line.values}
    granting |= {role for line in lines for role in line.asked_for}
    heads = {line.values[0] for line in edges}
    for line in edges:
        step()
        role = line.values[1]
        if _CUSTOM.fullmatch(role):
            continue  # its rules come and go in the database: no fault of this line
        if role not in granting and role not in heads and _SUBJECT.fullmatch(role):
            message = f"role {role!r} has no lines and inherits nothing"
            near = near_role(role, granting)
            yield _problem(line.at(1), codes.ROLE_WITHOUT_LINES, message, near)


def _check_circles(definition: Definition, lines: Sequence[Line]) -> Iterator[Problem]:
    """Cycles, and chains that Casbin would cut off."""
    for graph in definition.graphs:
        above: dict[str, list[Line]] = {}
        edges = _edges(lines, graph)
        for line in edges:
            above.setdefault(line.values[0], []).append(line)
        for line in edges:
            step()
            yield from _follow(line, above)


def _follow(line: Line, above: Mapping[str, list[Line]]) -> Iterator[Problem]:
    """Walk up from one edge; report it when it leads back to its member or too far."""
    member, level, seen = line.values[0], [line], {line.values[0]}
    for _ in range(_LONGEST_CHAIN):
        roles = {edge.values[1] for edge in level}
        if member in roles:
            message = f"{member!r} inherits from itself"
            yield Problem(line.place, message, codes.INHERITANCE_CYCLE)
            return
        level = [e for role in roles - seen for e in above.get(role, ())]
        seen |= roles
        if not level:
            return
    message = f"more than {_LONGEST_CHAIN} roles in a chain from {member!r}"
    yield Problem(line.place, message, codes.LONG_CHAIN)


def origins(problems: Iterable[Problem], lines: Iterable[Line]) -> set[str]:
    """Origins of the lines that problems are about."""
    known = {line.origin for line in lines}
    places = {problem.origin for problem in problems}
    return (places | {place.rpartition(":")[0] for place in places}) & known
