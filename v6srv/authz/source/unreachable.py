"""Lines that can never match, and why."""

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from v6srv.authz import clock
from v6srv.authz.compiler import Program, Remainder
from v6srv.authz.enforcer import Enforcer, Thing
from v6srv.authz.expression import facts_in
from v6srv.authz.facts import MODELS
from v6srv.authz.fields import field_names
from v6srv.authz.line import DATABASE, Line
from v6srv.authz.long_work import step
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.rules import DECLARED, Declared
from v6srv.authz.source import codes
from v6srv.authz.source.check_lines import near_role
from v6srv.authz.source.check_policy import operations_of, resources_of
from v6srv.authz.source.folder import shipped_texts
from v6srv.authz.source.language import spoken
from v6srv.authz.source.model_conf import MODEL
from v6srv.authz.source.problems import Problem
from v6srv.authz.source.reach import DEFAULT, Reach
from v6srv.authz.theory.knowledge import known_of, stranger
from v6srv.authz.theory.satisfiability import satisfiable
from v6srv.suggestions import nearest
from v6srv.vocabulary import Effect, Operation, PrincipalKind, Resource, Scope

_A_RULE = "rule:1"
"""Some user has it."""
_FEW = 3

Case = tuple[PrincipalKind, Resource, Operation]


def never_matching(enforcer: Enforcer, lines: Iterable[Line], now: datetime) -> Iterator[Problem]:
    """A warning for each line that matches no request of anybody, now or later.

    Of denials only for those whose time is over: `void_denials` has the others.
    """
    finder = _Finder(enforcer, now)
    for line in lines:
        is_denial = enforcer.program.effect_of(line) is Effect.DENY
        for problem in finder.problems(line):
            if not is_denial or problem.code is codes.TIME_OVER:
                yield problem


def void_denials(enforcer: Enforcer, *, complete: bool = True) -> Iterator[Problem]:
    """A denial that denies nothing does not go live: whom it should keep out is let in.

    Not `complete`: lines are missing, so nobody knows who has a role.
    """
    program, finder = enforcer.program, _Finder(enforcer, clock.now())
    for line in program.lines:
        if program.effect_of(line) is not Effect.DENY:
            continue
        step()
        for problem in finder.problems(line):
            if problem.code is not codes.TIME_OVER:
                yield replace(problem, code=codes.DENIES_NOTHING)
        if complete and not line.origin.startswith(DATABASE):
            yield from finder.nobody(line)


def without_effect(enforcer: Enforcer) -> Iterator[Problem]:
    """Denials that the policy effect of the model does not look for."""
    if enforcer.definition.allow_only:
        at = enforcer.definition.fields.index("eft")
        for line in enforcer.lines:
            if line.ptype == "p" and line.values[at] == Effect.DENY:
                message = "the model knows no denials: this line has no effect"
                yield Problem(line.at(at), message, codes.DENIAL_WITHOUT_EFFECT)


def unknown_scopes(enforcer: Enforcer) -> Iterator[Problem]:
    """Scopes of rules in which, by the matcher, no line can be: a model of an older release."""
    fields, finder = enforcer.definition.fields, _Finder(enforcer, clock.now())
    if "scope" not in fields:
        return
    for scope in Scope:
        rules = [rule for rule in DECLARED if rule.scope is scope]
        if not any(finder.may_grant(rule) for rule in rules):
            few = ", ".join(rule.text for rule in rules[:_FEW])
            message = f"no line can be in scope {scope}: rules such as {few} grant nothing"
            if line := _shipped_line(scope):
                message += f"; the model of this release has: {line}"
            yield Problem(MODEL, message, codes.SCOPE_NOT_IN_MODEL)


def _shipped_line(scope: Scope) -> str:
    """What the matcher of the release says of a scope."""
    lines = shipped_texts()[MODEL].splitlines()
    return next((line.strip(" \\") for line in lines if f'p.scope == "{scope}"' in line), "")


class _Finder:
    def __init__(self, enforcer: Enforcer, now: datetime) -> None:
        self.enforcer, self.program, self.now = enforcer, enforcer.program, now
        self.fields = enforcer.definition.fields
        self.reach = Reach(enforcer.lines)
        self._nobody = stranger()
        self._possible: dict[tuple[Any, ...], bool] = {}

    def problems(self, line: Line) -> Iterator[Problem]:
        values = dict(zip(self.fields, line.values, strict=True))
        cases = self._cases(values)
        yield from self._unknown_fields(line, values, cases)
        if not cases or self._any(line, cases, since=self.now):
            return
        if self._any(line, cases):
            yield Problem(self._at(line, "cond"), "the time of this line is over", codes.TIME_OVER)
        elif not self._any(self._with(line, cond="True"), cases):
            yield self._empty_scope(line, values)
        else:
            yield self._impossible(line, values, cases)

    def nobody(self, line: Line) -> Iterator[Problem]:
        """That the subject of the line is a role which nobody can have."""
        at = self.fields.index("sub")
        subject = line.values[at]
        if not self.reach.kinds(subject):
            near = near_role(subject, {*self.enforcer.roles, *DEFAULT} - {subject})
            hint = f", did you mean {near}?" if near else ""
            message = f"nobody can have the role {subject!r}{hint}"
            yield Problem(line.at(at), message, codes.DENIES_NOTHING, near)

    def may_grant(self, rule: Declared) -> bool:
        """Whether a line that grants this rule to users could match."""
        resource, scope, operation = rule.key
        values = {
            **dict.fromkeys(self.fields, ""),
            **{"sub": _A_RULE, "res": resource, "scope": scope, "act": operation},
            **{"cond": "True", "eft": Effect.ALLOW.value},
        }
        line = Line("p", tuple(values[name] for name in self.fields), DATABASE)
        return self._any(line, self._cases(values))

    # --- what is asked

    def _cases(self, values: Mapping[str, str]) -> list[Case]:
        kinds = self.reach.kinds(values["sub"])
        resources, operations = resources_of(values["res"]), operations_of(values["act"])
        return list(itertools.product(sorted(kinds), resources, operations))

    def _any(self, line: Line, cases: Sequence[Case], *, since: datetime | None = None) -> bool:
        return any(self._may_match(line, case, since) for case in cases)

    def _may_match(self, line: Line, case: Case, since: datetime | None) -> bool:
        kind, resource, operation = case
        rest = self._rest(line, resource, operation)
        if rest.text == "True":
            return True
        subject = line.values[self.fields.index("sub")]
        own = self.reach.own_facts(subject, self.program.subject)
        key = (rest.text, case, since, tuple(sorted(own.items())))
        if key not in self._possible:
            known = known_of(self.program, kind, resource, operation, since=since, more=own)
            self._possible[key] = satisfiable(rest.tree, known)
        return self._possible[key]

    def _rest(self, line: Line, resource: Resource, operation: Operation) -> Remainder:
        key = self.program.key_of(self._nobody, Thing(resource.value), operation.value)
        return self.program.remainder(line, key)

    def _with(self, line: Line, **changed: str) -> Line:
        values = [
            changed.get(name, value) for name, value in zip(self.fields, line.values, strict=True)
        ]
        return replace(line, values=tuple(values))

    def _at(self, line: Line, field: str) -> str:
        return line.at(self.fields.index(field)) if field in self.fields else line.place

    # --- what is told

    def _empty_scope(self, line: Line, values: Mapping[str, str]) -> Problem:
        scope = values.get("scope", "")
        kinds = " or ".join(sorted(self.reach.kinds(values["sub"])))
        what = "anything" if values["res"] == "*" else f"a {values['res']}"
        message = f"{what} is never in scope {scope} of a {kinds}"
        if not scope:
            message = f"the matcher never matches {what} for a {kinds}"
        return Problem(self._at(line, "scope"), message, codes.EMPTY_SCOPE)

    def _impossible(self, line: Line, values: Mapping[str, str], cases: Sequence[Case]) -> Problem:
        """Blame a fact that these principals never have when it would match with it."""
        place, subject = self._at(line, "cond"), self.program.subject
        tree = self.program.condition(values["cond"])
        for fact in sorted(facts_in(tree, subject)):
            if self._would_match(line, cases, f"{subject}.{fact}"):
                kinds = " or ".join(sorted(self.reach.kinds(values["sub"])))
                why = f"a {kinds} has no {spoken(subject)}.{fact}"
                if fact == "changes":
                    why = f"only an edit has {spoken(subject)}.changes"
                message = f"the condition is never true: {why}"
                return Problem(place, message, codes.FACT_NEVER_SET)
        return Problem(place, "the condition is never true", codes.NEVER_MATCHES)

    def _would_match(self, line: Line, cases: Sequence[Case], fact: str) -> bool:
        declared = SUBJECT_FACTS[fact.rpartition(".")[2]]
        if not declared.edits_only and declared.kinds == frozenset(PrincipalKind):
            return False
        for kind, resource, operation in cases:
            known = known_of(self.program, kind, resource, operation)
            values = {text: value for text, value in known.values.items() if text != fact}
            less = replace(known, values=values)
            if satisfiable(self._rest(line, resource, operation).tree, less):
                return True
        return False

    # --- names of fields

    def _unknown_fields(
        self, line: Line, values: Mapping[str, str], cases: Sequence[Case]
    ) -> Iterator[Problem]:
        if "changes" not in values.get("cond", ""):
            return
        tree = self.program.condition(values["cond"])
        asked = set(_changes_in(tree, self.program))
        resources = {resource for _, resource, _ in cases}
        known = {name for resource in resources for name in _names_of_fields(resource)}
        for name in asked:
            if known and name not in known:
                near = nearest(name, known)
                hint = f", did you mean {near}?" if near else ""
                message = f"a {values['res']} has no field {name!r}{hint}"
                yield Problem(self._in_condition(line, name), message, codes.UNKNOWN_FIELD, near)

    def _in_condition(self, line: Line, name: str) -> str:
        at = self.fields.index("cond")
        if at >= len(line.columns):
            return line.origin
        text = line.values[at]
        return f"{line.origin}:{line.columns[at] + self._shifted(line, text, name)}"

    @staticmethod
    def _shifted(line: Line, text: str, name: str) -> int:
        found = max(text.find(f"'{name}'"), text.find(f'"{name}"'), 0)
        if line.valid_from or line.valid_until:
            found -= text.find(" && (") + len(" && (")
        return max(found, 0)


def _changes_in(tree: ast.expr, program: Program) -> list[str]:
    """The names that a condition looks for in `r.sub.changes`."""
    changes = f"{program.subject}.changes"
    names = []
    for node in ast.walk(tree):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call):
            parts = node.args
        elif isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        if any(ast.unparse(part) == changes for part in parts):
            constants = [n for part in parts for n in ast.walk(part) if isinstance(n, ast.Constant)]
            names += [n.value for n in constants if isinstance(n.value, str)]
    return names


def _names_of_fields(resource: Resource) -> frozenset[str]:
    """The fields that `r.sub.changes` can name; a resource without table has none."""
    if resource not in MODELS:
        return frozenset()
    return field_names(MODELS[resource])
