"""A question without a row: for which rows would it be allowed?

`create task` is decided on the task as it would be. Until there is one, the answer is what the plan
leaves to ask of a row, once all that is known of the principal and of the time is filled in.
"""

import ast
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any

from v6srv.authz import clock
from v6srv.authz.compiler import Remainder
from v6srv.authz.expression import fold, names_in
from v6srv.authz.facts import MODELS, TABLES
from v6srv.authz.principal import SUBJECT_FACTS
from v6srv.authz.rules import DECLARED
from v6srv.authz.theory.knowledge import known_of
from v6srv.authz.theory.literals import Known
from v6srv.authz.theory.satisfiability import joined, negated, satisfiable, ways
from v6srv.policy.inquiry.considered import Considered, Inquiry
from v6srv.policy.inquiry.terms import UNREACHABLE, Term, spoken
from v6srv.policy.inquiry.which_rows import in_words
from v6srv.vocabulary import Effect, Scope

_MOST_WAYS = 6


class SomeRow(Inquiry):
    """Who and what, and any row that there is or could be."""

    def __init__(self, *question: Any) -> None:
        super().__init__(*question)
        model = MODELS.get(self.thing.resource)
        self.table = None if model is None else TABLES[model]

    # --- the decision

    def allowed(self) -> bool:
        """Whether it is allowed for some row."""
        return self.asked.rows().failure is None and self.gives(())

    def gives(self, despite: Collection[str]) -> bool:
        """Whether it is allowed for some row, but for lines of these origins."""
        lines = self.program.candidates(self.key, self.subject.membership)
        return self._is_possible(self._decision(self.remainders(lines), despite))

    def granting(self) -> list[Remainder]:
        """The lines that allow it for some row that no line forbids."""
        denials = [rest for rest in self.plan.remainders if rest.effect is Effect.DENY]
        return [
            rest
            for rest in self.plan.remainders
            if rest.effect is Effect.ALLOW and self._is_possible(self._decision([rest, *denials]))
        ]

    def rows(self) -> tuple[str, ...]:
        """For which rows it is allowed, in words: each of these ways is enough."""
        found = self._words(self._decision(self.plan.remainders))
        return found if len(found) <= _MOST_WAYS else self._granted_but()

    def _granted_but(self) -> tuple[str, ...]:
        """What is granted, and what is not allowed of it: denials have too many ways to miss."""
        trees: dict[Effect, list[ast.expr]] = {effect: [] for effect in Effect}
        for rest in self.plan.remainders:
            trees[rest.effect].append(self._left(rest.tree))
        denied = [word for tree in trees[Effect.DENY] for word in self._words(tree)]
        but = "; nor ".join(dict.fromkeys(denied))
        granted = self._words(fold(joined(ast.Or(), trees[Effect.ALLOW])))
        return tuple(f"{way}, but not {but}" for way in granted)

    def against(self, held: Iterable[Considered]) -> list[Considered]:
        """Those that forbid it for every row for which it is granted: each alone, or together.

        Where nothing is granted, those that would forbid it for every row.
        """
        held = list(held)
        denials = [one for one in held if one.matched and one.effect is Effect.DENY]
        origins = {one.origin for one in denials}
        if any(one.matched and one.effect is Effect.ALLOW for one in held):
            alone = [one for one in denials if not self.gives(origins - {one.origin})]
            denials = alone or denials
        else:
            denials = [one for one in denials if one.origin in self._total()]
        return denials + [one for one in held if one.failure]

    def _total(self) -> set[str]:
        """The lines that are true for every row."""
        return {
            rest.line.origin
            for rest in self.plan.remainders
            if not self._is_possible(negated(self._left(rest.tree)))
        }

    def _decision(self, lines: Iterable[Remainder], despite: Collection[str] = ()) -> ast.expr:
        """What is asked of the row by lines together."""
        lines = list(lines)
        allow = [self._left(rest.tree) for rest in lines if rest.effect is Effect.ALLOW]
        deny = [
            negated(self._left(rest.tree))
            for rest in lines
            if rest.effect is Effect.DENY and rest.line.origin not in despite
        ]
        return fold(joined(ast.And(), [joined(ast.Or(), allow), *deny]))

    def _left(self, tree: ast.expr) -> ast.expr:
        """What an expression asks of a row: the rest is true or false by now."""
        if isinstance(tree, ast.BoolOp):
            return fold(ast.BoolOp(tree.op, [self._left(part) for part in tree.values]))
        if isinstance(tree, ast.UnaryOp):
            return fold(negated(self._left(tree.operand)))
        return tree if self._is_open(tree) else ast.Constant(self.terms.holds(tree))

    def _is_open(self, tree: ast.expr) -> bool:
        """Whether a term asks for what is not said: facts of a row, or what an edit changes."""
        if self.program.object in names_in(tree):
            return True
        changes = f"{self.program.subject}.changes"
        return changes not in self._known.values and changes in ast.unparse(tree)

    def _is_possible(self, tree: ast.expr) -> bool:
        return satisfiable(tree, self._known)

    def _words(self, tree: ast.expr) -> tuple[str, ...]:
        found = ways(tree, self._known)
        if found is None:
            return (f"where {spoken(ast.unparse(tree))}",)
        return in_words(found, self.thing.resource, self.program)

    @cached_property
    def _known(self) -> Known:
        told = SUBJECT_FACTS.keys() - {"lacks"} - ({"changes"} if not self.changes else set())
        more = {f"{self.program.subject}.{name}": getattr(self.subject, name) for name in told}
        if not self.enforcer.lacks(self.subject):  # else too many to be told one by one
            more[f"{self.program.subject}.lacks"] = frozenset()
        resource, kind = self.thing.resource, self.who.kind
        # Not what rows are like: an organization that is asked about may join a collaboration yet.
        asked = (self.program, kind, resource, self.operation)
        return known_of(*asked, at=clock.now(), more=more, related=False)

    # --- lines

    def matches(self, rest: Remainder) -> bool:
        """Whether the rest of a line is true for some row."""
        return self._is_possible(self._left(rest.tree))

    def reaches(self, scope: Scope) -> bool:
        """Whether a grant with this scope would allow it for some row, but for total denials."""
        grant = self.remainders([self.grant(self.who.subject, scope)])
        denials = [rest for rest in self.plan.remainders if rest.effect is Effect.DENY]
        return self._is_possible(self._decision([*grant, *denials], self._total()))

    @property
    def scopes(self) -> Sequence[Scope]:
        """Those that roles can be given, narrowest first; all when there is no such rule."""
        wanted = self.thing.resource, self.operation
        rules = {rule.scope for rule in DECLARED if (rule.resource, rule.operation) == wanted}
        return [scope for scope in Scope if scope in rules] or tuple(Scope)

    def _considered(self, rest: Remainder, *, held: bool) -> Considered:
        tree = self._left(rest.tree)
        possible = self._is_possible(tree)
        words = "; or ".join(self._words(tree)) if possible else f"for no {self.thing.resource}"
        return Considered(
            line=str(rest.line),
            origin=rest.line.origin,
            effect=rest.effect,
            held=held,
            matched=possible,
            remaining=spoken(rest.text),
            terms=(Term(spoken(rest.text), possible, words),),
            failing=0 if possible else UNREACHABLE,
            failure=self._failure(rest) if held else None,
        )
