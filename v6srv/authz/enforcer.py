"""Casbin's enforcer, with its matcher compiled: one version of the policy, which never changes."""

import ast
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, wraps
from typing import Any, NamedTuple

import casbin
from casbin.core_enforcer import EnforceContext

from v6srv.authz import clock
from v6srv.authz.answer import NOTHING, Answer, Asked, Evaluator, Scopes
from v6srv.authz.attempt import holds
from v6srv.authz.compiler import Plan, Program
from v6srv.authz.definition import Definition
from v6srv.authz.expression import facts_in, times_in
from v6srv.authz.facts import MODELS, TABLES, TableFacts
from v6srv.authz.line import Line
from v6srv.authz.long_work import step
from v6srv.authz.parts import Parts, Roles, Texts
from v6srv.authz.principal import SubjectFacts
from v6srv.authz.question import Form, Question
from v6srv.authz.rules import DECLARED
from v6srv.vocabulary import Effect, Operation, Resource

_HAND_OUT = ("r2", "p", "e", "m2")
_WRITES = re.compile(r"(add|remove|update|delete|set|clear|load|save|enable|init|build)_\w+")


@dataclass(frozen=True, slots=True)
class Thing:
    """A row of which only the resource is known: enough to find the lines."""

    type: str


class _Rule(NamedTuple):
    """A rule that is handed out, in the words of policies."""

    res: str
    scope: str
    act: str


_RULES = tuple(_Rule(*rule.key) for rule in DECLARED)
_TELLING = tuple(SubjectFacts.__slots__)
"""What the second matcher may ask of a principal."""
_MOST_LACKING = 10_000

# Looked up, not made: asking an enum for its value takes longer than finding a plan.
_THINGS = {resource: Thing(resource.value) for resource in Resource}
_ACTIONS = {operation: (operation.value,) for operation in Operation}


class Immutable(RuntimeError):
    """Somebody tried to change a version of the policy."""


class _Lines(casbin.persist.Adapter):  # type: ignore[misc]
    """Lines that have been read and checked; Casbin's own way to add them is quadratic."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines = dict.fromkeys((line.ptype, line.values) for line in lines)

    def load_policy(self, model: casbin.Model) -> None:
        """Fill the model."""
        for ptype, values in self._lines:
            step()
            model[ptype[0]][ptype].policy.append(list(values))


class _Casbins:
    """What Casbin's own API reads: of a version that was made of another, made when it is asked."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, version: "Enforcer | None", _owner: type) -> Any:
        if version is None or not version._made:
            return None
        whole = Enforcer(version.definition, version.lines, version.revision)
        version.__dict__ = vars(whole) | vars(version)
        return vars(version)[self._name]


class Enforcer(casbin.Enforcer):  # type: ignore[misc]
    """One version of the policy. Safe to read from any thread; nothing in it changes meaning.

    Casbin's API reads it (`get_policy`, `enforce`, `enforce_ex`, ...) and says what stock Casbin
    says of the same lines; what would write raises Immutable. The roles that a principal holds come
    with it (`SubjectFacts.membership`): no `g` line has them.
    """

    _made = False
    model, adapter, fm, eft, rm_map, cond_rm_map = (_Casbins() for _ in range(6))

    def __init__(self, definition: Definition, lines: Sequence[Line], revision: int) -> None:
        super().__init__(self.new_model(text=definition.text), _Lines(lines))
        self.definition, self.revision = definition, revision
        self.parts = Parts.of(lines)
        self._texts = Texts.of(self.parts)
        self.version = self._texts.digest(definition.text)
        self.graphs: dict[str, dict[str, list[str]]] = {name: {} for name in definition.graphs}
        for line in lines:
            step()
            if line.ptype in self.graphs:
                member, role = line.values
                self.graphs[line.ptype].setdefault(member, []).append(role)
        policies = [line for line in lines if line.ptype == "p"]
        if definition.allow_only:
            policies = [line for line in policies if line.values[-1] == "allow"]
        self.program = self._program(policies, "r", "m", frozenset({"type"}), self.lacks)
        self.hand_out = (
            self._program(policies, "r2", "m2", None) if "m2" in definition.matchers else None
        )
        self._begin()
        self.moments: tuple[datetime, ...] = self._moments()
        """When something changes by itself because a time limit begins or ends, in order."""
        self._made = True

    def _begin(self) -> None:
        """Remember nothing yet of what was asked."""
        self._rows = Evaluator(self.program)
        self._rules = None if self.hand_out is None else Evaluator(self.hand_out)
        self._lacks: dict[tuple[Any, ...], frozenset[str]] = {}

    def having(self, roles: Roles, revision: int) -> "Enforcer":
        """The version in which custom roles have these lines instead; what it costs, they cost.

        The lines are allowances without condition.
        """
        made = Enforcer.__new__(Enforcer)
        made.definition, made.revision = self.definition, revision
        made.graphs, made.moments = self.graphs, self.moments
        made.parts, made._texts = self.parts.having(roles), self._texts.having(roles)
        made.version = made._texts.digest(self.definition.text)
        made.program = self.program.having(roles, made.lacks)
        made.hand_out = self.hand_out and self.hand_out.having(roles, None)
        made._begin()
        made._made = True
        return made

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The lines in their order."""
        return tuple(self.parts)

    def load_policy(self) -> None:
        """Take the lines of the adapter; once, when the enforcer is made."""
        if self._made:
            raise _immutable()
        self.adapter.load_policy(self.model)
        self.build_role_links()

    @property
    def conditions(self) -> Iterator[ast.expr]:
        """The conditions of all lines, each once."""
        at = self.definition.condition_at
        texts = set() if at is None else {line.values[at] for line in self.program.lines}
        for text in texts:
            step()
            yield self.program.condition(text)

    def _moments(self) -> tuple[datetime, ...]:
        at = self.definition.condition_at
        texts = set(times_in(self.program.tree))
        if self.hand_out is not None:
            texts |= times_in(self.hand_out.tree)
        conditions = () if at is None else {line.values[at] for line in self.program.lines}
        for condition in conditions:
            if "timeMatch" in condition:
                step()
                texts.update(times_in(self.program.condition(condition)))
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
        words |= {role for line in self.lines for role in line.asked_for}
        return frozenset(word for word in words if word.startswith(("role:", "rule:")))

    def _program(
        self,
        policies: Sequence[Line],
        request: str,
        matcher: str,
        known_of_object: frozenset[str] | None,
        lacks: Callable[[SubjectFacts], frozenset[str]] | None = None,
    ) -> Program:
        definition = self.definition
        return Program(
            definition.matchers[matcher],
            definition.request[request],
            definition.policy,
            self.graphs,
            policies,
            known_of_object,
            lacks,
        )

    # --- questions

    def answer(self, question: Question, row: object | None = None) -> Answer:
        """What this version says to a question.

        `row`: the facts of the row that it is about; without them the database is asked.
        """
        if question.form is Form.HAND_OUT:
            found = self.each(question)
            return next((one for one in found if not one.allowed), found[0])
        return self.put(question).answer(question.object if row is None else row)

    def each(self, question: Question) -> list[Answer]:
        """Of handing out rules: what it says to each of them."""
        return [self.handing_out(question.subject, rule).of(rule) for rule in question.handed]

    def put(self, question: Question) -> Asked:
        """A question that is not of handing out, but for the row that it is about."""
        asked = self.asked(
            question.subject,
            question.resource,
            question.operation,
            TABLES[question.model] if question.model else None,
            question.scopes,
            lenient=question.lenient,
        )
        if question.covered:
            return replace(asked, plan=self._rows.covered(asked.plan))
        known = question.changes is not None
        if known and not question.early:
            return asked
        plan = self._rows.whatever_changes(asked.plan, known=known)
        return asked if plan is asked.plan else replace(asked, plan=plan, guessed=True)

    def asks_for_changes(
        self, subject: SubjectFacts, resource: Resource, operation: Operation
    ) -> bool:
        """Whether it can make a difference to this principal what is changed."""
        plan = self.plan(subject, resource, operation)
        return self._rows.whatever_changes(plan) is not plan

    def asks_for(
        self, subject: SubjectFacts, resource: Resource, operation: Operation, fact: str
    ) -> bool:
        """Whether this fact of a row can make a difference to this principal."""
        plan = self.plan(subject, resource, operation)
        trees = (*plan.allow.values(), *plan.deny.values())
        return any(fact in facts_in(tree, self.program.object) for tree in trees)

    def asked(
        self,
        subject: SubjectFacts,
        resource: Resource,
        operation: Operation,
        table: TableFacts | None = None,
        scopes: Scopes = None,
        *,
        lenient: bool = False,
        remembered: bool = True,
    ) -> Asked:
        """May this principal do this with a row of this table, or with what is no row?

        `scopes`: those whose allowances count. `lenient`: see `Asked`. `remembered`: keep what was
        made of the lines for the next request.
        """
        action = _ACTIONS[operation]
        key = self.program.key_of(subject, _THINGS[resource], *action)
        find = self._rows.plan if remembered else self.program.plan
        plan = find(key, subject.membership, scopes)
        foreign = table is not None and table.model is not MODELS.get(resource)
        return Asked(self._rows, plan, subject, action, table, foreign, lenient)

    def handing_out(self, subject: SubjectFacts, rule: object) -> Asked:
        """The second request of the model: may this principal give this rule to somebody?

        `rule` has the attributes res, scope and act. Without `r2` and `m2` in the model: never.
        """
        if self._rules is None:
            return Asked(self._rows, NOTHING, subject, ())
        return Asked(self._rules, self._plan_for(self._rules, (subject, rule)), subject, ())

    def lacks(self, subject: SubjectFacts) -> frozenset[str]:
        """The declared rules that this principal may not hand out (`r.sub.lacks`); remembered.

        Those that it says itself, as a request of Casbin has them.
        """
        said: frozenset[str] | None = getattr(subject, "lacks", None)
        if said is not None:
            return said
        moment = bisect_right(self.moments, clock.now()) if self.moments else 0
        key = (moment, *(getattr(subject, name, None) for name in _TELLING))
        found = self._lacks.get(key)
        if found is None:
            if len(self._lacks) >= _MOST_LACKING:
                self._lacks.clear()
            rules = (rule for rule in _RULES if not self._hands_out(subject, rule))
            found = self._lacks[key] = frozenset(map(":".join, rules))
        return found

    def _hands_out(self, subject: SubjectFacts, rule: "_Rule") -> bool:
        if self.hand_out is None:
            return False
        key = self.hand_out.key_of(subject, rule)
        plan = self.hand_out.plan(key, getattr(subject, "membership", ()))
        return holds(plan.decide, subject, rule)

    def plan(
        self,
        subject: SubjectFacts,
        resource: Resource,
        operation: Operation,
        scopes: Scopes = None,
    ) -> Plan:
        """What can match for this principal, resource and operation; remembered."""
        return self.asked(subject, resource, operation, scopes=scopes).plan

    def enforce(self, *rvals: Any) -> bool:
        """Whether a request (`r`; after an EnforceContext also `r2`) is allowed by its facts.

        Raises RuntimeError for a request of another size, and what a missing attribute raises.
        """
        evaluator, request = self._request(rvals)
        return self._plan_for(evaluator, request).decide(*request) is True

    def enforce_ex(self, *rvals: Any) -> tuple[bool, list[str]]:
        """As `enforce`, and the line that decided; the empty list when none did."""
        evaluator, request = self._request(rvals)
        lines: dict[Effect, list[Line]] = {effect: [] for effect in Effect}
        for rest in self._plan_for(evaluator, request).remainders:
            if evaluator.program.function(rest.text)(*request):
                lines[rest.effect].append(rest.line)
        if lines[Effect.DENY]:
            return False, list(lines[Effect.DENY][0].values)
        allowing = lines[Effect.ALLOW]
        decided = allowing[:1] if self.definition.allow_only else allowing[-1:]  # as stock Casbin
        return bool(allowing), list(decided[0].values) if decided else []

    def _request(self, rvals: Sequence[Any]) -> tuple[Evaluator, Sequence[Any]]:
        evaluator: Evaluator | None = self._rows
        if rvals and isinstance(rvals[0], EnforceContext):
            context, *rvals = rvals
            hand_out = (context.rtype, context.ptype, context.etype, context.mtype) == _HAND_OUT
            evaluator = self._rules if hand_out else None
        if evaluator is None or len(evaluator.program.request) != len(rvals):
            raise RuntimeError("invalid request size" if evaluator else "no such matcher")
        return evaluator, rvals

    @staticmethod
    def _plan_for(evaluator: Evaluator, request: Sequence[Any]) -> Plan:
        membership = getattr(request[0], "membership", ())
        return evaluator.plan(evaluator.program.key_of(*request), membership)


def _immutable() -> Immutable:
    return Immutable(
        "a version of the policy does not change: edit the files, add a line with /api/policy/line,"
        " or publish a folder with v6srv policy publish"
    )


def _refuse_writing(name: str) -> None:
    stock = getattr(casbin.Enforcer, name)

    @wraps(stock)
    def write(self: Enforcer, *arguments: Any, **options: Any) -> Any:
        if self._made:
            raise _immutable()
        return stock(self, *arguments, **options)

    setattr(Enforcer, name, write)


for _name in dir(casbin.Enforcer):
    if _WRITES.fullmatch(_name) and _name not in vars(Enforcer):
        _refuse_writing(_name)
