"""What Casbin accepts in silence and this server refuses: each problem with its place."""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from v6srv.authz.expression import (
    FUNCTIONS,
    ExpressionError,
    check_boolean,
    check_names,
    facts_in,
    parse,
    tokens_to_names,
)
from v6srv.authz.facts import facts_of
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.source import Line, Problem, suggestion
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

if TYPE_CHECKING:
    from v6srv.authz.snapshot import Definition

_KINDS = "|".join(PrincipalKind)
_SUBJECT = re.compile(
    rf"(role:[A-Za-z0-9_.-]+|rule:[1-9]\d*|user:[1-9]\d*|node:[1-9]\d*|org:[1-9]\d*|kind:({_KINDS}))"
)
_WORDS: Mapping[str, tuple[str, ...]] = {
    "res": (*Resource, "*"),
    "act": (*Operation, "*"),
    "scope": tuple(Scope),
    "eft": tuple(Effect),
}
_LONGEST_CHAIN = 9


def check_model_text(name: str, text: str) -> list[Problem]:
    """What Casbin's reader of model.conf would not notice."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.rstrip() != line and line.rstrip().endswith("\\"):
            problems.append(Problem(f"{name}:{number}", "a blank after \\ ends the line here"))
        if line.strip().startswith("[") and not line.strip().endswith("]"):
            problems.append(Problem(f"{name}:{number}", "']' is missing"))
    for number, matcher in _matchers(text):
        try:
            parse(tokens_to_names(matcher))
        except ExpressionError as error:
            problems.append(Problem(f"{name}:{number}", str(error)))
    return problems


def _matchers(text: str) -> Iterator[tuple[int, str]]:
    """The matchers of a model with the line each starts at, continuation lines joined."""
    section, started, parts = "", 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[matchers]" and line and not line.startswith("#"):
            if not parts:
                started = number
            parts += line.removesuffix("\\")
            if not line.endswith("\\"):
                yield started, parts.partition("=")[2]
                parts = ""


def check_lines(definition: "Definition", lines: Sequence[Line]) -> list[Problem]:
    """Everything that can be said of lines without compiling them."""
    fields = [token.removeprefix("p_") for token in definition.policy]

    @cache
    def condition_problems(text: str, resource: str) -> tuple[str, ...]:
        return tuple(_condition_problems(text, resource, definition))

    first: dict[tuple[str, tuple[str, ...]], Line] = {}
    problems: list[Problem] = []
    for line in lines:
        same = first.setdefault((line.ptype, line.values), line)
        if same is not line:
            problems.append(Problem(line.origin, f"the same line as {same.origin}"))
        elif line.ptype == "p":
            problems += _check_policy(line, fields, condition_problems)
        elif line.ptype in definition.graphs:
            problems += _check_edge(line)
        else:
            known = ("p", *definition.graphs)
            problems.append(
                Problem(
                    line.origin,
                    f"unknown line type {line.ptype!r}{suggestion(line.ptype, known)}",
                )
            )
    problems += _check_roles(lines)
    return problems


def _check_policy(
    line: Line, fields: Sequence[str], condition_problems: Callable[[str, str], Iterable[str]]
) -> Iterator[Problem]:
    if len(line.values) != len(fields):
        yield Problem(
            line.origin, f"{len(line.values)} fields, {len(fields)} expected: {', '.join(fields)}"
        )
        return
    for index, (name, value) in enumerate(zip(fields, line.values, strict=True)):
        if name in _WORDS and value not in _WORDS[name]:
            yield Problem(
                line.at(index),
                f"unknown {_SPOKEN.get(name, name)} {value!r}{suggestion(value, _WORDS[name])}",
            )
        elif name == "sub" and not _SUBJECT.fullmatch(value):
            yield Problem(line.at(index), f"{value!r} is not a subject: {_SUBJECT_FORMS}")
        elif name == "cond":
            resource = line.values[fields.index("res")]
            for message in condition_problems(value, resource):
                yield Problem(line.at(index), message)


_SPOKEN = {"res": "resource", "act": "operation", "eft": "effect"}
_SUBJECT_FORMS = "role:<name>, user:<id>, node:<id>, org:<id> or kind:<user|node|container>"


def _condition_problems(text: str, resource: str, definition: "Definition") -> Iterator[str]:
    request = definition.request["r"]
    try:
        tree = parse(tokens_to_names(text))
        check_names(tree, {*request}, {*FUNCTIONS, *definition.graphs})
        check_boolean(tree)
    except ExpressionError as error:
        yield str(error)
        return
    yield from _unknown_facts(tree, request[0], "r.sub", SUBJECT_FACTS)
    if resource in set(Resource):
        known = facts_of(Resource(resource)) | {"type"}
        yield from _unknown_facts(tree, request[1], "r.obj", known)


def _unknown_facts(tree: ast.expr, token: str, spoken: str, known: Iterable[str]) -> Iterator[str]:
    for fact in sorted(facts_in(tree, token) - set(known)):
        yield f"unknown fact {spoken}.{fact}{suggestion(fact, known)}"


def _check_edge(line: Line) -> Iterator[Problem]:
    if len(line.values) != 2:
        yield Problem(line.origin, f"{len(line.values)} fields, 2 expected")
        return
    for index, value in enumerate(line.values):
        if line.ptype == "g" and not _SUBJECT.fullmatch(value):
            yield Problem(line.at(index), f"{value!r} is not a subject: {_SUBJECT_FORMS}")
        if line.ptype == "g2" and value not in tuple(Scope):
            yield Problem(
                line.at(index), f"unknown scope {value!r}{suggestion(value, tuple(Scope))}"
            )


def _check_roles(lines: Sequence[Line]) -> Iterator[Problem]:
    """Roles that grant nothing, cycles, and chains that Casbin would cut off."""
    edges = [line for line in lines if line.ptype == "g" and len(line.values) == 2]
    granting = {line.values[0] for line in lines if line.ptype == "p" and line.values}
    heads = {line.values[0] for line in edges}
    for line in edges:
        role = line.values[1]
        if role not in granting and role not in heads:
            near = suggestion(role, sorted(granting))
            yield Problem(line.at(1), f"role {role!r} has no lines and inherits nothing{near}")
    above: dict[str, list[Line]] = {}
    for line in edges:
        above.setdefault(line.values[0], []).append(line)
    for line in edges:
        yield from _follow(line, above)


def _follow(line: Line, above: Mapping[str, list[Line]]) -> Iterator[Problem]:
    """Walk up from one edge; report it when it leads back to its member or too far."""
    member, level, seen = line.values[0], [line], {line.values[0]}
    for _ in range(_LONGEST_CHAIN):
        roles = {edge.values[1] for edge in level}
        if member in roles:
            yield Problem(line.origin, f"{member!r} inherits from itself")
            return
        level = [e for role in roles - seen for e in above.get(role, ())]
        seen |= roles
        if not level:
            return
    yield Problem(line.origin, f"more than {_LONGEST_CHAIN} roles in a chain from {member!r}")
