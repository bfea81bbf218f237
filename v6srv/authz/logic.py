"""Whether an expression can be true at all, without a caller and a row to try it on.

The expressions are remainders of lines and plans (`matcher`): terms over facts, joined by AND, OR
and NOT. The answer "no" is certain. "Yes" may be wrong where a function or a relation between facts
is not understood; nothing is ever refused or reported because of it.
"""

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from v6srv.authz import clock
from v6srv.authz.expression import glob
from v6srv.authz.long_work import step
from v6srv.authz.patterns import covers, overlap

_TOO_MANY_WAYS = 3000


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of facts beforehand. Facts go by their text in expressions, `r_sub.kind`."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Facts with one value; None when they never have one, an empty frozenset for no members."""
    shapes: Mapping[str, tuple[str, re.Pattern[str]]] = field(default_factory=dict)
    """Facts that always look alike: as a pattern of `glob` and, exactly, as an expression."""
    members: Mapping[str, tuple[str, re.Pattern[str]]] = field(default_factory=dict)
    """The same for the members of sets."""
    choices: Mapping[str, Collection[Any]] = field(default_factory=dict)
    """Facts that are one of a few values."""
    at: datetime | None = None
    """The moment it is; None: any moment."""
    since: datetime | None = None
    """With `at` None: no moment before this one."""
    unnamed: Collection[str] = ()
    """Facts that no constant equals but None, and sets that hold no constant."""
    roles: Mapping[str, Collection[str]] = field(default_factory=dict)
    """All that `g` is true for, by its first argument."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known."""

    value: Any

    @property
    def key(self) -> tuple[str, Any]:
        """Told apart from equal values of other types: True is not 1 here."""
        return type(self.value).__name__, self.value


_Term = Constant | str


@dataclass(frozen=True, slots=True)
class Literal:
    """One thing that is so, or is not so."""

    kind: str
    """`equal`, `one_of`, `member`, `within`, `glob`, `order`, `time` or `other`."""
    left: Any
    """A fact by its text or a Constant; of `time` a moment, of `other` the whole expression."""
    right: Any
    """What it is compared with; of `member` the set, of `order` the comparison and a number."""
    so: bool


def satisfiable(tree: ast.expr, known: Known = Known()) -> bool:
    """Whether some caller, row and moment could make the expression true."""
    reader = _Reader(known)
    try:
        for way in reader.ways(tree, True):
            step()
            if _consistent(way, known):
                return True
    except _TooManyWays:
        return True
    return False


def ways(tree: ast.expr, known: Known = Known()) -> list[tuple[Literal, ...]] | None:
    """The ways in which the expression could be true: what has to be so together in each.

    None when they are too many to tell.
    """
    try:
        return [way for way in _Reader(known).ways(tree, True) if _consistent(way, known)]
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


def implies(one: ast.expr, other: ast.expr, known: Known = Known()) -> bool:
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

    def _term(self, tree: ast.expr) -> _Term:
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

    def _equal(self, here: _Term, there: _Term, so: bool) -> Iterator[tuple[Literal, ...]]:
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
                yield from self._decided(term.key in _keys(among), so)
            else:
                yield (Literal("one_of", term, among, so),)
        elif isinstance(right, (ast.Tuple, ast.List)):
            equal = [ast.Compare(left, [ast.Eq()], [member]) for member in right.elts]
            yield from self.ways(joined(ast.Or(), equal), so)
        else:
            yield (self._other(ast.Compare(left, [ast.In()], [right]), so),)

    def _order(
        self, tree: ast.Compare, here: _Term, op: ast.cmpop, there: _Term, so: bool
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
            both = " ".join(sorted((left, right)))
            yield (Literal("other", f"meets {both}", None, so),)
        elif isinstance(left, frozenset) and isinstance(right, frozenset):
            yield from self._decided(not left.isdisjoint(right), so)
        else:
            listed, fact = (left, right) if isinstance(left, frozenset) else (right, left)
            yield from self._any_member(map(Constant, sorted(listed, key=repr)), fact, so)

    @staticmethod
    def _any_member(terms: Iterable[_Term], fact: Any, so: bool) -> Iterator[tuple[Literal, ...]]:
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
            yield from self._decided(_matches(term.value, wanted.value), so)
        else:
            yield (Literal("glob", term, wanted.value, so),)

    def _time(
        self, tree: ast.Call, start: ast.expr, end: ast.expr, so: bool
    ) -> Iterator[tuple[Literal, ...]]:
        window = window_of(tree)
        if window is None:
            yield (self._other(tree, so),)
        elif self.known.at is not None:
            yield from self._decided(_inside(self.known.at, window), so)
        else:
            yield (Literal("time", window[0], window[1], so),)


Window = tuple[datetime | None, datetime | None]


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


def _inside(moment: datetime, window: Window) -> bool:
    start, end = window
    return (start is None or start <= moment) and (end is None or moment < end)


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
_TESTS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}


def _compared(here: _Term, op: ast.cmpop, there: _Term) -> bool | None:
    if not isinstance(here, Constant) or not isinstance(there, Constant):
        return None
    if not isinstance(here.value, int) or not isinstance(there.value, int):
        return None
    return _TESTS[type(op)](here.value, there.value)


def _keys(values: Iterable[Any]) -> set[tuple[str, Any]]:
    return {Constant(value).key for value in values}


def _matches(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and glob(value, pattern)


# --- whether literals can hold together


@dataclass(slots=True)
class _Group:
    """Terms that are equal, and what is said of their one value."""

    names: set[str] = field(default_factory=set)
    constants: dict[tuple[str, Any], Any] = field(default_factory=dict)
    among: list[Collection[Any]] = field(default_factory=list)
    not_among: list[Collection[Any]] = field(default_factory=list)
    like: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)
    exactly: list[re.Pattern[str]] = field(default_factory=list)
    order: list[tuple[type[ast.cmpop], int]] = field(default_factory=list)
    unnamed: bool = False

    def possible(self) -> bool:
        """Whether there is a value for it."""
        if len(self.constants) > 1:
            return False
        if self.constants:
            candidates: Collection[Any] | None = list(self.constants.values())
        else:
            candidates = self.among[0] if self.among else None
        if candidates is not None:
            return any(self._fits(value) for value in candidates)
        return self._patterns_fit() and self._numbers_fit()

    def only(self) -> tuple[str, Any] | None:
        """The one value it can have, if there is just one."""
        return next(iter(self.constants)) if len(self.constants) == 1 else None

    def _fits(self, value: Any) -> bool:
        key = Constant(value).key
        return (
            (value is None or not self.unnamed)
            and all(key in _keys(values) for values in self.among)
            and not any(key in _keys(values) for values in self.not_among)
            and all(_matches(value, pattern) for pattern in self.like)
            and not any(_matches(value, pattern) for pattern in self.unlike)
            and all(isinstance(value, str) and p.fullmatch(value) for p in self.exactly)
            and all(isinstance(value, int) and _TESTS[t](value, than) for t, than in self.order)
        )

    def _patterns_fit(self) -> bool:
        pairs = [(a, b) for i, a in enumerate(self.like) for b in self.like[i + 1 :]]
        return all(overlap(*pair) for pair in pairs) and not any(
            covers(unlike, like) for like in self.like for unlike in self.unlike
        )

    def _numbers_fit(self) -> bool:
        lows = [than + (test is ast.Gt) for test, than in self.order if test in (ast.Gt, ast.GtE)]
        highs = [than - (test is ast.Lt) for test, than in self.order if test in (ast.Lt, ast.LtE)]
        return not lows or not highs or max(lows) <= min(highs)


class _Groups:
    def __init__(self, known: Known) -> None:
        self.known = known
        self._of: dict[str, _Group] = {}
        self._constants: dict[tuple[str, Any], _Group] = {}

    def of(self, term: _Term) -> _Group:
        """The group of a term, made when it is first spoken of."""
        if isinstance(term, Constant):
            if term.key not in self._constants:
                self._constants[term.key] = _Group(constants={term.key: term.value})
            return self._constants[term.key]
        if term not in self._of:
            group = self._of[term] = _Group(names={term}, unnamed=term in self.known.unnamed)
            if term in self.known.shapes:
                pattern, exactly = self.known.shapes[term]
                group.like.append(pattern)
                group.exactly.append(exactly)
            if term in self.known.choices:
                group.among.append(self.known.choices[term])
        return self._of[term]

    def join(self, here: _Term, there: _Term) -> None:
        """Let the two be equal."""
        one, other = self.of(here), self.of(there)
        if one is other:
            return
        one.unnamed |= other.unnamed
        one.names |= other.names
        one.constants |= other.constants
        for name in ("among", "not_among", "like", "unlike", "exactly", "order"):
            getattr(one, name).extend(getattr(other, name))
        for name in other.names:
            self._of[name] = one
        for key in other.constants:
            self._constants[key] = one

    def all(self) -> list[_Group]:
        """Each group once."""
        return list({id(g): g for g in (*self._of.values(), *self._constants.values())}.values())


def _consistent(way: Sequence[Literal], known: Known) -> bool:
    groups = _Groups(known)
    for literal in way:
        if literal.kind == "equal" and literal.so:
            groups.join(literal.left, literal.right)
    return (
        _say(way, groups, known)
        and all(group.possible() for group in groups.all())
        and all(_differ(literal, groups) for literal in way)
        and _members_fit(way, groups, known)
        and _time_fits(way, known)
    )


def _say(way: Sequence[Literal], groups: _Groups, known: Known) -> bool:
    """Note what literals say of single values; false when two say the opposite."""
    said: dict[tuple[str, Any], bool] = {}
    for literal in way:
        if literal.kind == "other":
            if said.setdefault((literal.kind, literal.left), literal.so) is not literal.so:
                return False
        elif literal.kind == "one_of":
            group = groups.of(literal.left)
            (group.among if literal.so else group.not_among).append(literal.right)
        elif literal.kind == "glob":
            group = groups.of(literal.left)
            (group.like if literal.so else group.unlike).append(literal.right)
        elif literal.kind == "order":
            groups.of(literal.left).order.append(literal.right)
        elif literal.kind == "member" and literal.so and literal.right in known.members:
            pattern, exactly = known.members[literal.right]
            group = groups.of(literal.left)
            group.like.append(pattern)
            group.exactly.append(exactly)
    return True


def _differ(literal: Literal, groups: _Groups) -> bool:
    if literal.kind != "equal" or literal.so:
        return True
    here, there = groups.of(literal.left), groups.of(literal.right)
    if here is there:
        return False
    for one, other in ((here, there), (there, here)):
        only = other.only()
        if only and not one.constants:
            one.not_among.append(list(other.constants.values()))
            if not one.possible():
                return False
    return True


def _members_fit(way: Sequence[Literal], groups: _Groups, known: Known) -> bool:
    inside: dict[str, list[_Group]] = {}
    outside: dict[str, list[_Group]] = {}
    for literal in way:
        if literal.kind == "member":
            (inside if literal.so else outside).setdefault(literal.right, []).append(
                groups.of(literal.left)
            )
    for name, members in inside.items():
        if any(member is other for member in members for other in outside.get(name, ())):
            return False
        constants = [member.only() for member in members]
        if ("NoneType", None) in constants or (name in known.unnamed and any(constants)):
            return False
    for literal in way:
        if literal.kind == "within" and literal.so:
            allowed = _keys(literal.right)
            for member in inside.get(literal.left, ()):
                only = member.only()
                if not allowed or (only and only not in allowed):
                    return False
            for other in way:
                if (
                    other.kind == "within"
                    and not other.so
                    and other.left == literal.left
                    and (allowed <= _keys(other.right))
                ):
                    return False
    return True


def _time_fits(way: Sequence[Literal], known: Known) -> bool:
    """Whether some moment is in all windows that must be open and in none that must be closed."""
    windows = [literal for literal in way if literal.kind == "time"]
    if not windows:
        return True
    marks = {m for w in windows for m in (w.left, w.right) if m is not None}
    start = min(marks, default=clock.now())
    moments = {*marks, known.since or start.replace(year=1)}
    return any(
        (known.since is None or moment >= known.since)
        and all(_inside(moment, (w.left, w.right)) is w.so for w in windows)
        for moment in moments
    )
