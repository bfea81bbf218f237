"""Whether an expression can be true at all, without a caller and a row to try it on.

The expressions are remainders of lines and plans (`matcher`): terms over facts, joined by AND, OR
and NOT. The answer "no" is certain. "Yes" may be wrong where a function or a relation between facts
is not understood; nothing is ever refused or reported because of it.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from v6srv.authz import clock
from v6srv.authz.long_work import step
from v6srv.authz.theory.consistency import consistent
from v6srv.authz.theory.literals import (
    NOTHING_KNOWN,
    ORDERS,
    Constant,
    Known,
    Literal,
    Term,
    Window,
    inside,
    keys,
    matches,
)

_TOO_MANY_WAYS = 3000


def satisfiable(tree: ast.expr, known: Known = NOTHING_KNOWN) -> bool:
    """Whether some caller, row and moment could make the expression true."""
    reader = _Reader(known)
    try:
        for way in reader.ways(tree, True):
            step()
            if consistent(way, known):
                return True
    except _TooManyWays:
        return True
    return False


def ways(tree: ast.expr, known: Known = NOTHING_KNOWN) -> list[tuple[Literal, ...]] | None:
    """The ways in which the expression could be true: what has to be so together in each.

    None when they are too many to tell.
    """
    try:
        return [way for way in _Reader(known).ways(tree, True) if consistent(way, known)]
    except _TooManyWays:
        return None


def negated(tree: ast.expr) -> ast.expr:
    """The expression that is true when this one is not."""
    return ast.UnaryOp(ast.Not(), tree)


def joined(operator: ast.boolop, trees: Sequence[ast.expr]) -> ast.expr:
    """Expressions joined by AND or OR; what none of them says for none."""
    if not trees:
        return ast.Constant(isinstance(operator, ast.And))
    return trees[0] if len(trees) == 1 else ast.BoolOp(operator, list(trees))


def implies(one: ast.expr, other: ast.expr, known: Known = NOTHING_KNOWN) -> bool:
    """Whether the other is true whenever the one is; false when in doubt."""
    return not satisfiable(joined(ast.And(), (one, negated(other))), known)


class _TooManyWays(Exception):
    pass


class _Reader:
    """Takes an expression apart into the ways in which it can be true."""

    def __init__(self, known: Known) -> None:
        self.known, self.left = known, _TOO_MANY_WAYS

    def ways(self, tree: ast.expr, so: bool) -> Iterator[tuple[Literal, ...]]:
        """Each way: literals that must hold together. Raises _TooManyWays."""
        if isinstance(tree, ast.BoolOp):
            if isinstance(tree.op, ast.Or) is so:
                for term in tree.values:
                    yield from self.ways(term, so)
            else:
                yield from self._together(tree.values, so)
        elif isinstance(tree, ast.UnaryOp):
            yield from self.ways(tree.operand, not so)
        elif isinstance(tree, ast.Constant):
            if bool(tree.value) is so:
                yield ()
        elif isinstance(tree, ast.Compare):
            yield from self._compare(tree, so)
        elif isinstance(tree, ast.Call):
            yield from self._call(tree, so)
        else:
            yield (self._other(tree, so),)

    def _together(self, trees: Sequence[ast.expr], so: bool) -> Iterator[tuple[Literal, ...]]:
        if not trees:
            yield ()
            return
        for first in self.ways(trees[0], so):
            for rest in self._together(trees[1:], so):
                step()
                self.left -= 1
                if self.left < 0:
                    raise _TooManyWays
                yield first + rest

    # --- terms

    def _term(self, tree: ast.expr) -> Term:
        if isinstance(tree, ast.Constant):
            return Constant(tree.value)
        text = ast.unparse(tree)
        return Constant(self.known.values[text]) if text in self.known.values else text

    def _set(self, tree: ast.expr) -> frozenset[Any] | str | None:
        """A set of constants, the text of a set fact, or None for what is neither."""
        if isinstance(tree, (ast.Tuple, ast.List)):
            members = [self._term(member) for member in tree.elts]
            values = [m.value for m in members if isinstance(m, Constant)]
            return frozenset(values) if len(values) == len(members) else None
        term = self._term(tree)
        if isinstance(term, Constant):
            return frozenset(term.value) if isinstance(term.value, frozenset) else None
        return term if isinstance(tree, ast.Attribute) else None

    @staticmethod
    def _other(tree: ast.expr, so: bool) -> Literal:
        return Literal("other", ast.unparse(tree), None, so)

    @staticmethod
    def _decided(answer: bool, so: bool) -> Iterator[tuple[Literal, ...]]:
        if answer is so:
            yield ()

    # --- comparisons

    def _compare(self, tree: ast.Compare, so: bool) -> Iterator[tuple[Literal, ...]]:
        op, left, right = tree.ops[0], tree.left, tree.comparators[0]
        if isinstance(op, (ast.NotEq, ast.NotIn)):
            so = not so
        if isinstance(op, (ast.Eq, ast.NotEq)):
            yield from self._equal(self._term(left), self._term(right), so)
        elif isinstance(op, (ast.In, ast.NotIn)):
            yield from self._member(tree, left, right, so)
        else:
            yield from self._order(tree, self._term(left), op, self._term(right), so)

    def _equal(self, here: Term, there: Term, so: bool) -> Iterator[tuple[Literal, ...]]:
        if isinstance(here, Constant) and isinstance(there, Constant):
            yield from self._decided(here.key == there.key, so)
        else:
            yield (Literal("equal", here, there, so),)

    def _member(
        self, tree: ast.Compare, left: ast.expr, right: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        term, among = self._term(left), self._set(right)
        if isinstance(among, str) and term == Constant(None):
            yield from self._decided(False, so)  # no set of a row or a principal has it
        elif isinstance(among, str):
            yield (Literal("member", term, among, so),)
        elif among is not None:
            if isinstance(term, Constant):
                yield from self._decided(term.key in keys(among), so)
            elif len(among) == 1:  # both members of the list are the same
                yield from self._equal(term, Constant(*among), so)
            else:
                yield (Literal("one_of", term, among, so),)
        elif isinstance(right, (ast.Tuple, ast.List)):
            equal = [ast.Compare(left, [ast.Eq()], [member]) for member in right.elts]
            yield from self.ways(joined(ast.Or(), equal), so)
        else:
            yield (self._other(ast.Compare(left, [ast.In()], [right]), so),)

    def _order(
        self, tree: ast.Compare, here: Term, op: ast.cmpop, there: Term, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        if isinstance(here, Constant) and not isinstance(there, Constant):
            here, there, op = there, here, _TURNED[type(op)]()
        if not isinstance(there, Constant) or isinstance(here, Constant):
            answer = _compared(here, op, there)
            if answer is None:
                yield (self._other(tree, so),)
            else:
                yield from self._decided(answer, so)
        elif not isinstance(there.value, int):
            yield (self._other(tree, so),)
        else:
            test = type(op) if so else _OPPOSITE[type(op)]
            yield (Literal("order", here, (test, there.value), True),)
            if not so:  # an order with what is absent is false
                yield (Literal("equal", here, Constant(None), True),)

    # --- functions

    def _call(self, tree: ast.Call, so: bool) -> Iterator[tuple[Literal, ...]]:
        name = tree.func.id if isinstance(tree.func, ast.Name) else ""
        read: Callable[..., Iterator[tuple[Literal, ...]]] | None = {
            "meets": self._meets,
            "within": self._within,
            "glob": self._glob,
            "timeMatch": self._time,
            "g": self._role,
        }.get(name)
        if read is None or len(tree.args) != 2:
            yield (self._other(tree, so),)
        else:
            yield from read(tree, *tree.args, so)

    def _meets(
        self, tree: ast.Call, here: ast.expr, there: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        left, right = self._set(here), self._set(there)
        for fact, written in ((left, there), (right, here)):
            if isinstance(fact, str) and isinstance(written, (ast.Tuple, ast.List)):
                yield from self._any_member(map(self._term, written.elts), fact, so)
                return
        if not left or not right:  # not understood is None, without members is empty
            nobody = left == frozenset() or right == frozenset()
            yield from self._decided(False, so) if nobody else [(self._other(tree, so),)]
        elif isinstance(left, str) and isinstance(right, str):
            yield (Literal("meets", min(left, right), max(left, right), so),)
        elif isinstance(left, frozenset) and isinstance(right, frozenset):
            yield from self._decided(not left.isdisjoint(right), so)
        else:
            listed, fact = (left, right) if isinstance(left, frozenset) else (right, left)
            yield from self._any_member(map(Constant, sorted(listed, key=repr)), fact, so)

    @staticmethod
    def _any_member(terms: Iterable[Term], fact: Any, so: bool) -> Iterator[tuple[Literal, ...]]:
        among = [Literal("member", term, fact, so) for term in terms]
        yield from ((literal,) for literal in among) if so else [tuple(among)]

    def _role(
        self, tree: ast.Call, member: ast.expr, role: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        held = self.known.roles.get(ast.unparse(member))
        if held is None or not isinstance(role, ast.Constant):
            yield (self._other(tree, so),)
        else:
            yield from self._decided(role.value in held, so)

    def _within(
        self, tree: ast.Call, here: ast.expr, there: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        members, allowed = self._set(here), self._set(there)
        if members == frozenset():
            yield from self._decided(True, so)
        elif isinstance(members, frozenset) and isinstance(allowed, frozenset):
            yield from self._decided(members <= allowed, so)
        elif isinstance(members, str) and isinstance(allowed, frozenset):
            yield (Literal("within", members, allowed, so),)
        else:
            yield (self._other(tree, so),)

    def _glob(
        self, tree: ast.Call, text: ast.expr, pattern: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        term, wanted = self._term(text), self._term(pattern)
        if not isinstance(wanted, Constant) or not isinstance(wanted.value, str):
            yield (self._other(tree, so),)
        elif isinstance(term, Constant):
            yield from self._decided(matches(term.value, wanted.value), so)
        else:
            yield (Literal("glob", term, wanted.value, so),)

    def _time(
        self, tree: ast.Call, start: ast.expr, end: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        window = window_of(tree)
        if window is None:
            yield (self._other(tree, so),)
        elif self.known.at is not None:
            yield from self._decided(inside(self.known.at, window), so)
        else:
            yield (Literal("time", window[0], window[1], so),)


def window_of(tree: ast.Call) -> Window | None:
    """Beginning and end of a `timeMatch`, None where it is open; None for one that is no such."""
    ends: list[datetime | None] = []
    for argument in tree.args:
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            return None
        try:
            open_end = argument.value == clock.OPEN_END
            ends.append(None if open_end else clock.read(argument.value))
        except (ValueError, OverflowError):
            return None
    return (ends[0], ends[1]) if len(ends) == 2 else None


_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}


def _compared(here: Term, op: ast.cmpop, there: Term) -> bool | None:
    if not isinstance(here, Constant) or not isinstance(there, Constant):
        return None
    if not isinstance(here.value, int) or not isinstance(there.value, int):
        return None
    return ORDERS[type(op)](here.value, there.value)
