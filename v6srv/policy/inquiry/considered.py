"""One question put to a version of the policy, taken apart line by line."""

import ast
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from v6srv.authz.answer import Asked
from v6srv.authz.attempt import why
from v6srv.authz.compiler import Plan, Remainder
from v6srv.authz.enforcer import Enforcer
from v6srv.authz.line import Line
from v6srv.authz.principal import Principal
from v6srv.policy.ask import Thing
from v6srv.policy.inquiry.terms import Term, Terms, spoken
from v6srv.vocabulary import Effect, Operation, Resource, Scope

_WIDENING = tuple(Scope)


@dataclass(frozen=True, slots=True)
class Considered:
    """One line that was looked at."""

    line: str
    origin: str
    """`file:line` or `db:table:id`."""
    effect: Effect
    held: bool
    """Whether it speaks of this principal; False for a near line that only others hold."""
    matched: bool
    """Whether the rest of it is true; a line that others hold would have granted."""
    remaining: str
    """What it asks of principal, row and time, once resource and operation are given."""
    terms: tuple[Term, ...]
    """Why it matched or not; empty when it asks for nothing."""
    failing: int
    """How many terms would have to come out otherwise for it to match."""
    failure: str | None
    """Why it cannot be told whether it matches; such a line denies."""


class Inquiry:
    """Who, what and on which row, with the plan that decides it."""

    def __init__(
        self,
        enforcer: Enforcer,
        who: Principal,
        operation: Operation,
        thing: Thing,
        changes: frozenset[str] = frozenset(),
    ) -> None:
        self.enforcer, self.program = enforcer, enforcer.program
        self.who, self.operation, self.thing, self.changes = who, operation, thing, changes
        self.table = thing.table
        """Whose rows could be asked for; None for what is no row."""
        self.subject = who.facts.changing(changes)
        self.terms = Terms(
            self.program, self.subject, thing.facts, operation.value, noun=_noun(thing)
        )
        self.key = self.program.key_of(self.subject, thing.facts, operation.value)

    def with_role(self, role: str) -> "Inquiry":
        """The same question, of a principal that has one more role."""
        who = replace(self.who, roles=(*self.who.roles, role))
        return type(self)(self.enforcer, who, self.operation, self.thing, self.changes)

    # --- the decision

    @property
    def asked(self) -> Asked:
        """The question as the policy answers it."""
        return self.enforcer.asked(self.subject, self.thing.resource, self.operation, self.table)

    @property
    def plan(self) -> Plan:
        """The plan that decides it."""
        return self.asked.plan

    def allowed(self) -> bool:
        """The decision, as the Authorizer makes it."""
        return self.asked.of(self.thing.facts).allowed

    def gives(self, despite: Collection[str]) -> bool:
        """Whether something is granted, and nothing forbidden but by lines of these origins."""
        lines = self.program.candidates(self.key, self.subject.membership)
        matching = [rest for rest in self.remainders(lines) if self.matches(rest)]
        forbidding = {rest.line.origin for rest in matching if rest.effect is Effect.DENY}
        return any(rest.effect is Effect.ALLOW for rest in matching) and forbidding <= {*despite}

    def against(self, held: Iterable[Considered]) -> list[Considered]:
        """Of the principal's lines those that forbid it, and those that fail, which denies."""
        held = list(held)
        forbidding = [one for one in held if one.matched and one.effect is Effect.DENY]
        return forbidding + [one for one in held if one.failure]

    def _failure(self, rest: Remainder) -> str | None:
        """Why rows of the table could not be asked for by this line; None when they can be.

        What principal and time are worth is computed before the database is asked. A failure
        denies, even where the row would have made that term unimportant.
        """
        error = self.asked.only(rest).rows().failure
        return why(error) if error else None

    def rows(self) -> tuple[str, ...]:
        """For which rows it is allowed, where none was named."""
        return ()

    # --- lines

    def remainders(self, lines: Iterable[Line]) -> list[Remainder]:
        """What is left of lines for this question."""
        return [self.program.remainder(line, self.key) for line in lines]

    def matches(self, rest: Remainder) -> bool:
        """Whether the rest of a line is true."""
        return self.asked.only(rest).of(self.thing.facts).allowed

    def held(self) -> list[Considered]:
        """The lines of the principal, in the order of the policy."""
        return [self._considered(rest, held=True) for rest in self.plan.remainders]

    def others(self) -> list[Considered]:
        """The allowances of this resource and operation that only others hold, nearest first.

        Not those that come with rules: a rule that would do is part of the remedy.
        """
        at = self.field("sub")
        names = {line.values[at] for line in self.program.lines} if at is not None else set()
        everybody = {name for name in names if not name.startswith("rule:")}
        mine = {rest.line for rest in self.plan.remainders}
        lines = [line for line in self.program.candidates(self.key, everybody) if line not in mine]
        allowances = [r for r in self.remainders(lines) if r.effect is Effect.ALLOW]
        allowances.sort(key=lambda rest: self.breadth(rest.line))
        return sorted((self._considered(rest, held=False) for rest in allowances), key=distance)

    def breadth(self, line: Line) -> int:
        """Roughly how much a line speaks of, to tell narrow ones from those for everything."""
        words = {"res": len(Resource), "act": len(Operation)}
        sizes = [n for name, n in words.items() if self._word(line, name) == "*"]
        scope = self._word(line, "scope")
        return prod(sizes) * (1 + _WIDENING.index(Scope(scope)) if scope else 1)

    def _word(self, line: Line, name: str) -> str | None:
        at = self.field(name)
        return None if at is None else line.values[at]

    def _considered(self, rest: Remainder, *, held: bool) -> Considered:
        tree = self.asked.tree(rest)
        failure = self.terms.failure(tree)
        if held and failure is None:
            failure = self._failure(rest)
        return Considered(
            line=str(rest.line),
            origin=rest.line.origin,
            effect=rest.effect,
            held=held,
            matched=self.matches(rest),
            remaining=spoken(ast.unparse(tree)),
            terms=() if isinstance(tree, ast.Constant) else tuple(self.terms.reasons(tree)),
            failing=self.terms.distance(tree),
            failure=failure,
        )

    # --- grants

    def grant(self, subject: str, scope: Scope) -> Line:
        """An unconditional line for this resource and operation."""
        fields = {
            "p_sub": subject,
            "p_res": self.thing.resource.value,
            "p_scope": scope.value,
            "p_act": self.operation.value,
            "p_cond": "True",
            "p_eft": Effect.ALLOW.value,
        }
        values = tuple(fields.get(name, "") for name in self.enforcer.definition.policy)
        return Line("p", values, "")

    @property
    def scopes(self) -> Sequence[Scope]:
        """Those that a grant could have, narrowest first."""
        return tuple(Scope)

    def reaches(self, scope: Scope) -> bool:
        """Whether a grant with this scope would match."""
        [rest] = self.remainders([self.grant(self.who.subject, scope)])
        return self.matches(rest)

    def field(self, name: str) -> int | None:
        """Where a field of the policy definition is among the values of a line."""
        policy = self.enforcer.definition.policy
        return policy.index(f"p_{name}") if f"p_{name}" in policy else None


def distance(one: Considered) -> tuple[int, bool]:
    """How far a line is from granting; of equals those that the principal holds come first."""
    return one.failing, not one.held


def _noun(thing: Thing) -> str:
    if thing.table is not None and thing.foreign:
        return thing.table.model.__name__.lower()
    return "line" if thing.resource is Resource.POLICY else thing.resource.value
