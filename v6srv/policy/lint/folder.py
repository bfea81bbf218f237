"""Everything wrong with a folder of policies: what must not go live, and what misleads.

The errors are those of `authz.load.examine`. The warnings are found here, by asking what the
compiled remainder of each line says: an edited matcher changes the findings with it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sqlalchemy import select

from v6srv.authz import clock, long_work
from v6srv.authz.definition import Definition
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import DATABASE, Line
from v6srv.authz.source import codes
from v6srv.authz.source.adapter import ADDED, database_lines
from v6srv.authz.source.check_lines import check_lines
from v6srv.authz.source.check_policy import passing_problems
from v6srv.authz.source.folder import SHADOW, read_texts, shipped_texts
from v6srv.authz.source.lines import found_in, is_like_policy
from v6srv.authz.source.load import examine, give_up, lines_in, model_in, with_limits
from v6srv.authz.source.model_conf import FIELDS, MODEL, ModelText, check_model, define, unused
from v6srv.authz.source.problems import PolicyError, Problem
from v6srv.authz.source.strangers import needless_declarations
from v6srv.authz.source.unreachable import never_matching, unknown_scopes, without_effect
from v6srv.db import session
from v6srv.model import Node, Organization, Role, Rule, User
from v6srv.policy.lint.always_true import always_true
from v6srv.policy.lint.people import about_people
from v6srv.policy.lint.redundant import overlapping


def lint(
    folder: Path,
    lines_from_database: Iterable[Line] = (),
    known_subjects: Collection[str] | None = None,
) -> list[Problem]:
    """Errors and warnings, by file, line and column; empty when there is nothing to say.

    `known_subjects` are the users, nodes, organizations, custom roles and rules there are, as lines
    call them (`user:5`, `role:12`); None when nobody knows. Never raises for what is in the folder.
    """
    texts, found = read_texts(folder)
    unread = [problem for problem in found if "/" not in problem.origin]  # no tests
    definition, problems = _read_definition(texts, unread)
    lines, wrong = lines_in(texts)
    problems += [*wrong, *_unread(folder), *(one for one in unread if one not in problems)]
    added = list(lines_from_database)
    limited, wrong = with_limits(definition, lines)
    if any(problem.is_error and problem.file == MODEL for problem in problems):
        both = [*limited, *with_limits(definition, added)[0]]
        problems += [*wrong, *check_lines(definition, both)]
        return _sorted(problems)
    errors = [*(problem for problem in problems if problem.is_error), *wrong]
    enforcer, found = _examine(definition, limited, added, errors)
    problems += found
    void = {problem.origin for problem in problems if problem.code is codes.DENIES_NOTHING}
    people = about_people(lines, added, known_subjects)
    problems += [
        problem
        for problem in people
        if problem.code is not codes.ROLE_WITHOUT_MEMBERS or problem.origin not in void
    ]
    problems += _other_than_casbin(definition, lines)
    if enforcer is not None:
        problems += _warnings(enforcer, void)
    return _sorted(problems)


def _examine(
    definition: Definition,
    lines: Iterable[Line],
    added: Iterable[Line],
    errors: Sequence[Problem],
) -> tuple[Enforcer | None, list[Problem]]:
    """As `load.examine`, for no longer than a server would."""
    try:
        with long_work.in_turns(give_up):
            return examine(definition, lines, added, 0, errors)
    except PolicyError as error:
        return None, [*errors, *error.problems]


def lint_stored(folder: Path) -> list[Problem]:
    """As `lint`, with the lines and principals of the database, in the current transaction."""
    return lint(folder, database_lines(), stored_subjects())


def stored_subjects() -> set[str]:
    """All users, nodes, organizations, custom roles and rules of the database."""
    queries = {
        "user": select(User.id),
        "node": select(Node.id),
        "org": select(Organization.id),
        "role": select(Role.id).where(Role.slug.is_(None)),
        "rule": select(Rule.id),
    }
    return {f"{kind}:{id}" for kind, query in queries.items() for id in session.scalars(query)}


def _read_definition(
    texts: Mapping[str, str], unread: Iterable[Problem]
) -> tuple[Definition, list[Problem]]:
    """The model as it is, or as far as it can be understood to go on with the lines."""
    try:
        text = model_in(texts, unread)
    except PolicyError as error:
        return _guess(ModelText("", "")), [*error.problems]
    model = ModelText(MODEL, text)
    problems = [*check_model(model), *unused(model)]
    try:
        return define(text), problems
    except PolicyError as error:
        return _guess(model), list(dict.fromkeys([*problems, *error.problems]))


_FOLDERS = ("tests", SHADOW)


def _unread(folder: Path) -> Iterator[Problem]:
    """What somebody may take for a part of the policy."""
    read = {MODEL, *(path.name for path in found_in(folder, "*.csv"))}
    for path in found_in(folder, "*"):
        if path.name not in read and is_like_policy(path.name):
            yield Problem(path.name, "looks like policy and is not read", codes.UNREAD_FILE)
        elif path.is_dir() and path.name not in _FOLDERS:
            for inner in found_in(path, "*.csv"):
                name = f"{path.name}/{inner.name}"
                yield Problem(name, "looks like policy and is not read", codes.UNREAD_FILE)


def _guess(model: ModelText) -> Definition:
    request = model.tokens("r", "r")
    policy = model.tokens("p", "p")
    needed = {f"p_{name}" for name in FIELDS[:2]} | {"p_act"}
    return Definition(
        request={"r": request if len(request) == 3 else ("r_sub", "r_obj", "r_act")},
        policy=policy if needed <= set(policy) else tuple(f"p_{name}" for name in FIELDS),
        matchers={},
        graphs=model.graphs or ("g", "g2"),
        allow_only=False,
        text="",
    )


def _warnings(enforcer: Enforcer, void: Collection[str]) -> list[Problem]:
    now = clock.now()
    written = [line for line in enforcer.program.lines if is_written(line)]
    never = list(never_matching(enforcer, written, now))
    places = {*void, *(problem.origin for problem in never)}
    dead = places | {place.rpartition(":")[0] for place in places}
    alive = [line for line in written if line.origin not in dead]
    return [
        *never,
        *always_true(enforcer, alive),
        *overlapping(enforcer, alive, now, _shipped(alive)),
        *passing_problems(enforcer, now),
        *needless_declarations(enforcer, alive),
        *without_effect(enforcer),
        *unknown_scopes(enforcer),
    ]


def _shipped(lines: Iterable[Line]) -> list[Line]:
    """Those that come with the server, in whatever file they are now."""
    known = {(line.ptype, line.values) for line in lines_in(shipped_texts())[0]}
    return [line for line in lines if (line.ptype, line.values) in known]


_OTHERWISE = {
    "timeMatch": "times are UTC, and the end is not part of the window; Casbin takes local time",
    "globMatch": "a text with an empty segment (a//b, a/) never matches; Casbin drops those",
}


def _other_than_casbin(definition: Definition, lines: Iterable[Line]) -> Iterator[Problem]:
    at = definition.condition_at
    for line in lines:
        if at is None or line.ptype != "p" or len(line.values) <= at:
            continue
        for name in re.findall(r"\b(\w+)\s*\(", line.values[at]):
            if name in _OTHERWISE:
                message = f"{name}: {_OTHERWISE[name]}"
                yield Problem(line.at(at), message, codes.OTHER_THAN_CASBIN)


def is_written(line: Line) -> bool:
    """Whether somebody wrote the line as a line; not one that stands for a rule of a role."""
    return not line.origin.startswith(DATABASE) or line.origin.startswith(ADDED)


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(
        dict.fromkeys(problems),
        key=lambda p: (p.file or p.origin, p.line, p.column, p.code.slug, p.message),
    )
