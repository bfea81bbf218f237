"""An immutable, versioned policy: model, lines and compiled plans. Built beside the live one.

`build` reads the files, takes the lines of the database, validates everything strictly and returns
a snapshot or raises PolicyError with all problems. What is wrong never goes live.
"""

import hashlib
import logging
import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Any

from casbin.model import Model

from v6srv.authz import clock, codes
from v6srv.authz.check import Thing, list_problems, sanity_problems
from v6srv.authz.conf import ALLOW_ONLY, ModelText, check_model
from v6srv.authz.expression import (
    ExpressionError,
    parse,
    times_in,
    tokens_to_names,
)
from v6srv.authz.facts import TableFacts
from v6srv.authz.matcher import Plan, Program, closure
from v6srv.authz.principal import SubjectFacts
from v6srv.authz.rules import DECLARED, DEFAULT_ROLES, OWN_RULES, Declared
from v6srv.authz.source import Line, PolicyError, Problem, found_in, read_file, read_text
from v6srv.authz.validate import check_line, check_lines, origins
from v6srv.authz.where import Where, known_facts_only, where
from v6srv.vocabulary import Operation, Resource, Scope

# Casbin describes the whole policy in its log at every load.
logging.getLogger("casbin").setLevel(logging.ERROR)

_TOO_MANY_PLANS = 400_000

Scopes = frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Definition:
    """What model.conf says, taken from Casbin's own reading of it."""

    request: Mapping[str, Sequence[str]]
    policy: Sequence[str]
    matchers: Mapping[str, str]
    graphs: tuple[str, ...]
    allow_only: bool
    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of policy lines: `sub`, `res` and so on."""
        return tuple(token.partition("_")[2] for token in self.policy)


class Snapshot:
    """One version of the policy. Safe to read from any thread; nothing in it changes meaning."""

    def __init__(self, definition: Definition, lines: Sequence[Line], revision: int) -> None:
        self.definition, self.lines, self.revision = definition, tuple(lines), revision
        self.version = _digest(definition.text, lines)
        self.graphs: dict[str, dict[str, list[str]]] = {name: {} for name in definition.graphs}
        for line in lines:
            if line.ptype in self.graphs:
                member, role = line.values
                self.graphs[line.ptype].setdefault(member, []).append(role)
        policies = [line for line in lines if line.ptype == "p"]
        if definition.allow_only:
            policies = [line for line in policies if line.values[-1] == "allow"]
        self.program = self._program(policies, "r", "m", frozenset({"type"}))
        self.hand_out = (
            self._program(policies, "r2", "m2", None) if "m2" in definition.matchers else None
        )
        self._plans: dict[tuple[Any, ...], Plan] = {}
        self._wheres: dict[tuple[Any, ...], Where] = {}
        self._building = threading.Lock()
        self.moments: tuple[datetime, ...] = self._moments()
        """When something changes by itself because a time limit begins or ends, in order."""

    def _moments(self) -> tuple[datetime, ...]:
        at = self.definition.fields.index("cond") if "cond" in self.definition.fields else None
        conditions = set() if at is None else {line.values[at] for line in self.program.lines}
        trees = [self.program.tree, *(self.program.condition(text) for text in conditions)]
        texts = {text for tree in trees for text in times_in(tree)}
        moments = set()
        for text in texts - {clock.OPEN_END}:
            with suppress(ValueError):  # a condition that fails never matches: nothing changes
                moments.add(clock.read(text))
        return tuple(sorted(moments))

    def turned_since(self, before: datetime) -> bool:
        """Whether a time limit has begun or ended after `before` and until now."""
        return bisect_right(self.moments, before) < bisect_right(self.moments, clock.now())

    @property
    def roles(self) -> frozenset[str]:
        """Every role and rule that lines speak of, as they name them: `role:viewer`, `rule:3`."""
        words = {word for line in self.lines if line.ptype != "g2" for word in line.values[:2]}
        return frozenset(word for word in words if word.startswith(("role:", "rule:")))

    def _program(
        self,
        policies: Sequence[Line],
        request: str,
        matcher: str,
        known_of_object: frozenset[str] | None,
    ) -> Program:
        definition = self.definition
        return Program(
            definition.matchers[matcher],
            definition.request[request],
            definition.policy,
            self.graphs,
            policies,
            known_of_object,
        )

    # --- questions

    def plan(
        self,
        subject: SubjectFacts,
        resource: Resource,
        operation: Operation,
        scopes: Scopes = None,
    ) -> Plan:
        """What can match for this principal, resource and operation; remembered."""
        key = self.program.key_of(subject, Thing(resource.value), operation.value)
        cache_key = (key, subject.membership, scopes)
        plan = self._plans.get(cache_key)
        if plan is None:
            with self._building:
                if len(self._plans) > _TOO_MANY_PLANS:
                    self._plans.clear()
                plan = self.program.plan(key, subject.membership, scopes)
                self._plans[cache_key] = plan
        return plan

    def where(self, plan: Plan, table: TableFacts, *, foreign: bool, lenient: bool) -> Where:
        """The SQL form of a plan for rows of a table; remembered for all who share the plan."""
        cache_key = (
            frozenset(plan.allow),
            frozenset(plan.deny),
            table.model,
            foreign,
            lenient,
        )
        found = self._wheres.get(cache_key)
        if found is None:
            with self._building:
                usable = (
                    known_facts_only(plan, self.program, table, lenient=lenient)
                    if foreign
                    else plan
                )
                found = self._wheres[cache_key] = where(usable, self.program, table)
        return found

    def may_hand_out(self, subject: SubjectFacts, rule: object) -> bool:
        """The second request of the model: may this principal give this rule to somebody?

        `rule` has the attributes res, scope and act. Without `r2` and `m2` in the model: never.
        """
        if self.hand_out is None:
            return False
        key = self.hand_out.key_of(subject, rule)
        cache_key = ("r2", key, subject.membership)
        plan = self._plans.get(cache_key)
        if plan is None:
            with self._building:
                plan = self._plans[cache_key] = self.hand_out.plan(key, subject.membership)
        return plan.decide(subject, rule) is True


def _digest(text: str, lines: Iterable[Line]) -> str:
    digest = hashlib.sha256(text.encode())
    for line in lines:
        digest.update(f"\n{line}".encode())
    return digest.hexdigest()[:12]


def read_definition(path: Path) -> Definition:
    """Read model.conf with Casbin and check that it is one this server can be sure of."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot be read: {error}"
        raise PolicyError([Problem(path.name, message, codes.UNREADABLE_FILE)]) from error
    read = ModelText(path.name, text)
    problems = check_model(read)
    if problems:
        raise PolicyError(problems)
    model = Model()
    try:
        model.load_model_from_text(text)
    except Exception as error:  # Casbin raises bare exceptions of many kinds
        raise PolicyError([Problem(path.name, str(error), codes.MODEL_SYNTAX)]) from error
    if any(read.texts(letter) != _texts(model, letter) for letter in "rpgem"):
        message = "Casbin reads this model in another way than it was checked"
        raise PolicyError([Problem(path.name, message, codes.MODEL_SYNTAX)])
    policy = tuple(model["p"]["p"].tokens)
    return Definition(
        request={name: tuple(a.tokens) for name, a in model["r"].items()},
        policy=policy,
        matchers={name: a.value for name, a in model["m"].items()},
        graphs=tuple(model["g"]) if model.model.get("g") else (),
        allow_only=model["e"]["e"].value == ALLOW_ONLY and "p_eft" in policy,
        text=text,
    )


def _texts(model: Model, letter: str) -> dict[str, str]:
    """What Casbin has read in a section, by name."""
    return {name: found.value for name, found in (model.model.get(letter) or {}).items()}


def read_folder(folder: Path) -> tuple[Definition, list[Line], list[Problem]]:
    """model.conf and all lines of the CSV files of a folder, files by name.

    Time limits of lines have become part of their conditions.
    """
    definition = read_definition(folder / "model.conf")
    lines: list[Line] = []
    problems: list[Problem] = []
    for path in found_in(folder, "*.csv"):
        more, wrong = read_file(path)
        lines += more
        problems += wrong
    limited, wrong = with_limits(definition, lines)
    return definition, limited, problems + wrong


def _limited(definition: Definition, line: Line) -> Line | list[Problem]:
    """A line with its time limits made part of its condition, where the matcher asks for it."""
    if line.valid_from is None and line.valid_until is None:
        return line
    if line.ptype != "p" or "p_cond" not in definition.policy:
        message = "only lines with a condition (p) can be limited in time"
        return [Problem(line.place, message, codes.MISPLACED_LIMIT)]
    if line.valid_from and line.valid_until and line.valid_from >= line.valid_until:
        message = "valid_until is not after valid_from"
        return [Problem(line.place, message, codes.EMPTY_WINDOW)]
    at = definition.policy.index("p_cond")
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


def build(folder: Path, from_database: Iterable[Line] = (), revision: int = 0) -> Snapshot:
    """A validated snapshot of a folder of policies and the lines of the database.

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
) -> Snapshot:
    """As `build`, of lines that have been read: those of files with `problems` and their limits."""
    snapshot, found = examine(definition, from_files, from_database, revision, problems)
    if found or snapshot is None:
        raise PolicyError(found)
    return snapshot


def examine(
    definition: Definition,
    from_files: Iterable[Line],
    from_database: Iterable[Line],
    revision: int = 0,
    problems: Iterable[Problem] = (),
) -> tuple[Snapshot | None, list[Problem]]:
    """Everything that keeps a policy from going live, and a snapshot of the lines that are right.

    Arguments as for `assemble`. The snapshot is None when the model cannot be used.
    """
    added, wrong = with_limits(definition, from_database)
    lines = [*from_files, *added]
    found = [*problems, *wrong, *check_lines(definition, lines)]
    bad = origins(found, lines) if found else ()
    sleep(0)  # others get their turn, as in `check`
    try:
        sound = [line for line in lines if line.origin not in bad] if bad else lines
        snapshot = Snapshot(definition, sound, revision)
    except ExpressionError as error:
        return None, [*found, Problem("model.conf", str(error), codes.SYNTAX)]
    found += [*list_problems(snapshot), *sanity_problems(snapshot, complete=not found)]
    return snapshot, list(dict.fromkeys(found))


def declared_grants(folder: Path) -> dict[str, set[tuple[Resource, Scope, Operation]]]:
    """Which declared rules each default role holds by the files of a folder, by slug.

    Only what is granted without condition counts; a line for all resources stands for every rule.
    """
    definition, lines, problems = read_folder(folder)
    problems += check_lines(definition, lines)
    if problems:
        raise PolicyError(problems)
    edges: dict[str, list[str]] = {}
    for line in lines:
        if line.ptype == "g":
            edges.setdefault(line.values[0], []).append(line.values[1])
    at = {token.removeprefix("p_"): index for index, token in enumerate(definition.policy)}
    grants: dict[str, set[tuple[Resource, Scope, Operation]]] = {}
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
            if any(_grants(values, at, rule) for values in held)
        }
    return grants


def _is(line: Line, at: Mapping[str, int], field: str, value: str) -> bool:
    """Whether a field has a value; a model without the field is as if every line had it."""
    return field not in at or line.values[at[field]] == value


def _grants(values: Sequence[str], at: Mapping[str, int], rule: Declared) -> bool:
    """A line for all resources stands for the rules of the contract; others it does not list."""
    resource, scope, operation = rule.key
    anything = values[at["res"]] == "*" and rule not in OWN_RULES
    everything = anything and values[at["scope"]] == Scope.GLOBAL
    return (
        (anything or values[at["res"]] == resource)
        and values[at["act"]] in (operation, "*")
        and (everything or values[at["scope"]] == scope)
    )
