"""From files and database lines to a version of the policy. Built beside the live one.

`build` reads the files, takes the lines of the database, validates everything strictly and returns
an enforcer or raises PolicyError with all problems. What is wrong never goes live.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from v6srv.authz import clock
from v6srv.authz.compiler import Edges, closure
from v6srv.authz.definition import Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.expression import ExpressionError, parse, tokens_to_names
from v6srv.authz.line import Line
from v6srv.authz.long_work import in_turns, step
from v6srv.authz.rules import DECLARED, DEFAULT_ROLES, OWN_RULES, Declared
from v6srv.authz.source import codes
from v6srv.authz.source.check_lines import check_line, check_lines, origins
from v6srv.authz.source.check_policy import list_problems, sanity_problems
from v6srv.authz.source.folder import read_texts
from v6srv.authz.source.lines import read_lines
from v6srv.authz.source.model_conf import MODEL, define
from v6srv.authz.source.problems import WHOLE, PolicyError, Problem
from v6srv.authz.source.reach import edges_of
from v6srv.authz.source.strangers import stranger_problems
from v6srv.authz.source.unreachable import void_denials
from v6srv.vocabulary import Operation, Resource, Scope

Parsed = tuple[Definition, list[Line], list[Problem]]
"""A model, the lines beside it with their time limits in their conditions, and what is wrong."""


def read_folder(folder: Path) -> Parsed:
    """model.conf and all lines of the CSV files of a folder, as `parse_files`."""
    return parse_files(*read_texts(folder))


def parse_files(texts: Mapping[str, str], unread: Iterable[Problem] = ()) -> Parsed:
    """The policy that files are, of their texts by name; tests are passed over.

    `unread` says which files there are besides. Raises PolicyError for a model that cannot be used.
    """
    problems = [problem for problem in unread if "/" not in problem.origin]
    definition = define(model_in(texts, problems))
    lines, wrong = lines_in(texts)
    limited, more = with_limits(definition, lines)
    return definition, limited, [*problems, *wrong, *more]


def model_in(texts: Mapping[str, str], unread: Iterable[Problem]) -> str:
    """The text of the model. Raises PolicyError when there is none."""
    if MODEL not in texts:
        missing = Problem(MODEL, "cannot be read: there is no such file", codes.UNREADABLE_FILE)
        raise PolicyError([one for one in unread if one.file == MODEL] or [missing])
    return texts[MODEL]


def lines_in(texts: Mapping[str, str]) -> tuple[list[Line], list[Problem]]:
    """All lines of the CSV files among texts, files by name."""
    lines: list[Line] = []
    problems: list[Problem] = []
    for name in sorted(name for name in texts if name.endswith(".csv")):
        more, wrong = read_lines(name, texts[name])
        lines += more
        problems += wrong
    return lines, problems


def _limited(definition: Definition, line: Line) -> Line | list[Problem]:
    """A line with its time limits made part of its condition, where the matcher asks for it."""
    step()
    if line.valid_from is None and line.valid_until is None:
        return line
    at = definition.condition_at
    if line.ptype != "p" or at is None:
        message = "only lines with a condition (p) can be limited in time"
        return [Problem(line.place, message, codes.MISPLACED_LIMIT)]
    if line.valid_from and line.valid_until and line.valid_from >= line.valid_until:
        message = "valid_until is not after valid_from"
        return [Problem(line.place, message, codes.EMPTY_WINDOW)]
    if len(line.values) <= at:
        return line  # too short, which is said elsewhere
    time = f"timeMatch('{clock.write(line.valid_from)}', '{clock.write(line.valid_until)}')"
    given = line.values[at]
    try:
        parse(tokens_to_names(given))  # by itself: it must not break out of the parentheses below
    except ExpressionError as error:
        found = check_line(definition, replace(line, valid_from=None, valid_until=None))
        return found or [Problem(line.at(at), str(error), codes.SYNTAX)]
    condition = time if given == "True" else f"{time} && ({given})"
    return replace(line, values=(*line.values[:at], condition, *line.values[at + 1 :]))


def with_limits(definition: Definition, lines: Iterable[Line]) -> tuple[list[Line], list[Problem]]:
    """Lines as the matcher sees them: time limits are part of conditions."""
    limited = [_limited(definition, line) for line in lines]
    return (
        [line for line in limited if isinstance(line, Line)],
        [problem for wrong in limited if isinstance(wrong, list) for problem in wrong],
    )


def build(folder: Path, from_database: Iterable[Line] = (), revision: int = 0) -> Enforcer:
    """A validated enforcer of a folder of policies and the lines of the database.

    Raises PolicyError with every problem found.
    """
    definition, lines, problems = read_folder(folder)
    return assemble(definition, lines, from_database, revision, problems)


def assemble(
    definition: Definition,
    from_files: Iterable[Line],
    from_database: Iterable[Line],
    revision: int,
    problems: Iterable[Problem] = (),
) -> Enforcer:
    """As `build`, of lines that have been read: those of files with `problems` and their limits."""
    enforcer, found = examine(definition, from_files, from_database, revision, problems)
    if found or enforcer is None:
        raise PolicyError(found)
    return enforcer


def examine(
    definition: Definition,
    from_files: Iterable[Line],
    from_database: Iterable[Line],
    revision: int = 0,
    problems: Iterable[Problem] = (),
) -> tuple[Enforcer | None, list[Problem]]:
    """Everything that keeps a policy from going live, and an enforcer of the lines that are right.

    Arguments as for `assemble`. The enforcer is None when the model cannot be used.
    """
    added, wrong = with_limits(definition, from_database)
    lines = [*from_files, *added]
    with in_turns():
        found = [*problems, *wrong, *check_lines(definition, lines)]
        bad = origins(found, lines) if found else ()
        try:
            sound = [line for line in lines if line.origin not in bad] if bad else lines
            enforcer = Enforcer(definition, sound, revision)
        except ExpressionError as error:
            return None, [*found, Problem("model.conf", str(error), codes.SYNTAX)]
        found += [*list_problems(enforcer), *sanity_problems(enforcer, complete=not found)]
        found += [*stranger_problems(enforcer), *void_denials(enforcer, complete=not found)]
    return enforcer, list(dict.fromkeys(found))


CHECK_WITHIN_S = 20.0
"""Seconds of computing. Ten thousand lines take less than one, a thousand different conditions one.
A change that needs them all (ADR 27), which a request waits for, takes about as long."""


def give_up(used_s: float) -> None:
    """End the check of files that takes too long. For `long_work.in_turns`; raises PolicyError."""
    if used_s > CHECK_WITHIN_S:
        message = f"checking it takes more than {CHECK_WITHIN_S:g} s of computing"
        raise PolicyError([Problem(WHOLE, message, codes.SLOW_CHECK)])


Grants = dict[str, set[tuple[Resource, Scope, Operation]]]
"""Which declared rules each default role holds, by slug."""


def declared_grants(folder: Path) -> Grants:
    """What default roles hold by the files of a folder, as `grants_of`."""
    return grants_of(read_folder(folder))


def grants_of(policy: Parsed) -> Grants:
    """What default roles hold by the files of a policy. Raises PolicyError if they are not valid.

    Only what is granted without condition counts; a line for all resources stands for every rule.
    """
    definition, lines, found = policy
    problems = [*found, *check_lines(definition, lines)]
    if problems:
        raise PolicyError(problems)
    edges, scopes = edges_of(lines), edges_of(lines, "g2")
    at = {token.removeprefix("p_"): index for index, token in enumerate(definition.policy)}
    grants: Grants = {}
    for role in DEFAULT_ROLES:
        names = closure(edges, f"role:{role.slug}")
        held = [
            line.values
            for line in lines
            if line.ptype == "p"
            and line.values[at["sub"]] in names
            and _is(line, at, "eft", "allow")
            and _is(line, at, "cond", "True")
        ]
        grants[role.slug] = {
            (rule.resource, rule.scope, rule.operation)
            for rule in DECLARED
            if any(_grants(values, at, rule, scopes) for values in held)
        }
    return grants


def _is(line: Line, at: Mapping[str, int], field: str, value: str) -> bool:
    """Whether a field has a value; a model without the field is as if every line had it."""
    return field not in at or line.values[at[field]] == value


def _grants(values: Sequence[str], at: Mapping[str, int], rule: Declared, scopes: Edges) -> bool:
    """A line for all resources stands for the rules of the contracts; others it does not list.

    Of scopes that older files do not know it may hand out none, so it does not hold them either.
    """
    resource, scope, operation = rule.key
    anything = values[at["res"]] == "*" and rule not in OWN_RULES
    covered = scope in closure(scopes, Scope.GLOBAL) or not scopes
    everything = anything and covered and values[at["scope"]] == Scope.GLOBAL
    return (
        (anything or values[at["res"]] == resource)
        and values[at["act"]] in (operation, "*")
        and (everything or values[at["scope"]] == scope)
    )
