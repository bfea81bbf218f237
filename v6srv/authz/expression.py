"""The language of matchers and conditions: Casbin's text, read into a tree and checked strictly.

Casbin interprets the text anew for every line and every decision and accepts nearly anything. Here
a matcher is parsed once, against a short list of what a policy needs, and everything else is
refused: no arithmetic, no attribute tricks, no text substitution that could break out of its
parentheses.
"""

import ast
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from casbin.util import util as casbin_util

from v6srv.authz import clock
from v6srv.authz.path_patterns import PATH_PATTERNS, Unsayable

TRUE = ast.Constant(value=True)
FALSE = ast.Constant(value=False)

_ALLOWED = {
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.UnaryOp,
    ast.Not,
    ast.Compare,
    ast.Eq,
    ast.NotEq,
    ast.Lt,
    ast.LtE,
    ast.Gt,
    ast.GtE,
    ast.In,
    ast.NotIn,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Attribute,
    ast.Constant,
    ast.Tuple,
    ast.List,
}

# CPython's ast.parse is not thread safe before 3.11.8 and 3.12.2 (gh-106905).
_parsing = threading.Lock()
_LARGEST = 2**31 - 1
"""No number in the database is larger, and drivers refuse to compare with one that is."""
_DEEPEST = 40
"""Levels of an expression. What is read in one process must not be too deep for another."""

_literal = re.compile(r"""'[^']*'|"[^"]*\"""")
_rewritten = re.compile(r"!(?!=)|&&|\|\||\b[rp]2?[._]")
_escaped = re.compile(r"\\")


class ExpressionError(ValueError):
    """A matcher or condition that cannot be used; the text says why."""


def meets(left: frozenset[Any], right: frozenset[Any]) -> bool:
    """Whether two sets have a member in common."""
    return not left.isdisjoint(right)


def glob(text: str | None, pattern: str) -> bool:
    """Whether text matches a pattern of `*` and `?`; case counts, no text never matches."""
    return text is not None and fnmatchcase(text, pattern)


def within(members: frozenset[Any], allowed: tuple[Any, ...]) -> bool:
    """Whether a set has no member but those listed; true for the empty set."""
    return members.issubset(allowed)


FUNCTIONS: Mapping[str, Callable[..., bool]] = {
    "meets": meets,
    "within": within,
    "glob": glob,
    "timeMatch": clock.within,
}
"""What a matcher or condition may call, besides `g`, `g2` and `eval`."""


def tokens_to_names(text: str) -> str:
    """`r.sub.id` -> `r_sub.id`: what Casbin does to matchers when it loads a model."""
    return str(casbin_util.escape_assertion(text))


_signs = {"&&": " and ", "||": " or ", "!": " not "}
_sign = re.compile(r"&&|\|\||!(?!=)")


def to_python(text: str) -> tuple[str, list[int]]:
    """An expression with Python's words for Casbin's signs, and where each character comes from."""
    python: str = ""
    places: list[int] = []
    done = 0
    for sign in _sign.finditer(text):
        word = _signs[sign.group()]
        python += text[done : sign.start()] + word
        places += [*range(done, sign.start()), *[sign.start()] * len(word)]
        done = sign.end()
    return python + text[done:], [*places, *range(done, len(text) + 1)]


def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """All parts of a tree in the order of `ast.walk`, in a third of its time."""
    found = [tree]
    for node in found:
        for name in node._fields:
            part = getattr(node, name, None)
            if isinstance(part, list):
                found += [one for one in part if isinstance(one, ast.AST)]
            elif isinstance(part, ast.AST):
                found.append(part)
    return found


def text_of(tree: ast.expr) -> str:
    """As `ast.unparse`, which takes its time also for what most parts are: a name or a fact."""
    if isinstance(tree, ast.Name):
        return tree.id
    if isinstance(tree, ast.Attribute) and isinstance(tree.value, ast.Name):
        return f"{tree.value.id}.{tree.attr}"
    return ast.unparse(tree)


def syntax_tree(python: str) -> ast.Module:
    """The tree of Python text, checked by nobody yet. Raises as `ast.parse`."""
    with _parsing:
        return ast.parse(python)


def parse(text: str) -> ast.expr:
    """The tree of one expression, in Casbin's notation with names already joined (`r_sub.id`).

    Raises ExpressionError for anything that is not a single expression of the short list.
    """
    for _, message in unkept_texts(text):
        raise ExpressionError(message)
    python, _ = to_python(text)
    try:
        module = syntax_tree(python.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError, SystemError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ExpressionError(f"cannot read {text.strip()!r}: {reason}") from error
    if len(module.body) != 1 or not isinstance(module.body[0], ast.Expr):
        raise ExpressionError(f"one expression expected: {text.strip()!r}")
    tree = module.body[0].value
    for _, _, message in unallowed(tree):
        raise ExpressionError(message)
    parts = nodes_of(tree)
    for node in parts:
        if isinstance(node, ast.Constant):
            check_constant(node.value)
    if len(parts) > _DEEPEST:
        _check_depth(tree)
    said: ast.expr = _WithoutPathPatterns().visit(tree)
    return said


class _WithoutPathPatterns(ast.NodeTransformer):
    """`keyMatch` and its like become `glob`. In place: for a tree that nobody else has."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A call with a text and a pattern."""
        say = PATH_PATTERNS.get(node.func.id) if isinstance(node.func, ast.Name) else None
        if say is None:
            return node
        pattern = node.args[1] if len(node.args) == 2 and not node.keywords else None
        if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
            raise ExpressionError(f"{ast.unparse(node)!r}: the pattern is a quoted text")
        try:
            return ast.fix_missing_locations(say(node.args[0], pattern.value))
        except Unsayable as error:
            raise ExpressionError(f"the pattern {pattern.value!r}: {error}, use glob") from error


def unkept_texts(text: str) -> Iterator[tuple[int, str]]:
    """Quoted texts that Casbin would rewrite: where they start, and what is wrong."""
    for literal in _literal.finditer(text):
        if _rewritten.search(literal.group()):
            held = f"the text {literal.group()} holds ! && || r. or p."
            yield literal.start(), f"{held}, which Casbin would rewrite"
        elif _escaped.search(literal.group()):
            held = f"the text {literal.group()} holds a backslash"
            yield literal.start(), f"{held}, which makes it another text"


def unallowed(tree: ast.expr) -> Iterator[tuple[ast.expr, str, str]]:
    """What policies may not use: the expression, the kind of Python it is, and what is wrong."""
    nodes = nodes_of(tree)
    if all(type(node) in _ALLOWED for node in nodes):
        return
    for node in nodes:
        children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr)]
        for part in (node, *children):
            if type(part) not in _ALLOWED and isinstance(node, ast.expr):
                kind = type(getattr(part, "op", part)).__name__
                yield node, kind, f"{type(part).__name__} is not allowed in a policy"


def check_constant(value: object) -> None:
    """Refuse values that no fact can have and that a database would fail on."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if value > _LARGEST:
            raise ExpressionError(f"{value} is larger than every number there can be")
        return
    if not isinstance(value, str):
        raise ExpressionError(f"{value!r} is neither text nor a whole number")


def _check_depth(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise ExpressionError("too many levels of brackets and negations")


def check_names(tree: ast.expr, names: set[str], functions: set[str]) -> None:
    """Refuse unknown names and functions, and attributes that are not facts.

    `eval(p_cond)` is written with a bare policy field; all else that is called is in `functions`.
    """
    nodes = nodes_of(tree)
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    for node in nodes:
        if isinstance(node, ast.Call) and (
            not isinstance(node.func, ast.Name) or node.func.id not in functions or node.keywords
        ):
            raise ExpressionError(f"unknown function {ast.unparse(node.func)!r}")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            raise ExpressionError(f"{node.attr!r} is not a fact")
        if isinstance(node, ast.Name) and id(node) not in called and node.id not in names:
            raise ExpressionError(f"unknown name {node.id.replace('_', '.', 1)!r}")


def check_boolean(tree: ast.expr) -> None:
    """Refuse an expression that is not true or false by its form."""
    if isinstance(tree, ast.BoolOp):
        for value in tree.values:
            check_boolean(value)
    elif isinstance(tree, ast.UnaryOp):
        check_boolean(tree.operand)
    elif isinstance(tree, ast.Compare):
        if len(tree.ops) != 1:
            raise ExpressionError(f"write {ast.unparse(tree)!r} as two comparisons")
    elif not isinstance(tree, ast.Call) and not (
        isinstance(tree, ast.Constant) and isinstance(tree.value, bool)
    ):
        raise ExpressionError(f"{ast.unparse(tree)!r} is neither true nor false")


def conjuncts(tree: ast.expr) -> list[ast.expr]:
    """The terms of an AND, or the tree itself."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [term for value in tree.values for term in conjuncts(value)]
    return [tree]


def disjuncts(tree: ast.expr) -> list[ast.expr]:
    """The terms of an OR, or the tree itself."""
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.Or):
        return [term for value in tree.values for term in disjuncts(value)]
    return [tree]


def all_of(terms: list[ast.expr]) -> ast.expr:
    """The AND of terms; true for none."""
    if not terms:
        return TRUE
    return terms[0] if len(terms) == 1 else ast.BoolOp(ast.And(), terms)


def names_in(tree: ast.expr) -> set[str]:
    """All names, functions included."""
    return {n.id for n in nodes_of(tree) if isinstance(n, ast.Name)}


def facts_in(tree: ast.expr, token: str) -> set[str]:
    """The facts of `token` (such as `r_obj`) that an expression asks for."""
    return {
        n.attr
        for n in nodes_of(tree)
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == token
    }


def times_in(tree: ast.expr) -> set[str]:
    """The texts that an expression gives to `timeMatch`."""
    return {
        argument.value
        for n in nodes_of(tree)
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "timeMatch"
        for argument in n.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def fact_name(tree: ast.expr, token: str) -> str | None:
    """`image` for `r_obj.image`, else None."""
    if (
        isinstance(tree, ast.Attribute)
        and isinstance(tree.value, ast.Name)
        and tree.value.id == token
    ):
        return tree.attr
    return None


class Substitute(ast.NodeVisitor):
    """Policy fields and known request expressions become constants, `eval` the condition.

    In a new tree: that of a condition is used again, for the next resource and operation. Fields
    that are not given stay what they are.
    """

    def __init__(
        self,
        fields: Mapping[str, str],
        known: Mapping[str, Any],
        condition: Callable[[str], ast.expr],
    ) -> None:
        self.fields = fields
        self.known = known
        self.condition = condition

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """What has no parts stays as it is."""
        return node

    def _all(self, trees: list[ast.expr]) -> list[ast.expr]:
        return [self.visit(tree) for tree in trees]

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        """AND and OR of what the terms become."""
        return ast.BoolOp(node.op, self._all(node.values))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        """NOT of what the operand becomes."""
        return ast.UnaryOp(node.op, self.visit(node.operand))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """The same comparison of what both sides become."""
        return ast.Compare(self.visit(node.left), node.ops, self._all(node.comparators))

    def visit_Tuple(self, node: ast.Tuple) -> ast.expr:
        """A list of what the members become."""
        return ast.Tuple(self._all(node.elts), node.ctx)

    def visit_List(self, node: ast.List) -> ast.expr:
        """A list of what the members become."""
        return ast.List(self._all(node.elts), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """`eval` of a field becomes the condition it holds."""
        if isinstance(node.func, ast.Name) and node.func.id == "eval":
            [field] = node.args
            assert isinstance(field, ast.Name)
            if field.id not in self.fields:
                return node
            tree: ast.expr = self.visit(self.condition(self.fields[field.id]))
            return tree
        return ast.Call(node.func, self._all(node.args), [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """A known request expression becomes its value."""
        text = text_of(node)
        return ast.Constant(self.known[text]) if text in self.known else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A policy field, or a known request token, becomes its value."""
        if node.id in self.fields:
            return ast.Constant(self.fields[node.id])
        return ast.Constant(self.known[node.id]) if node.id in self.known else node


class OnlyOfWhatIsThere(ast.NodeTransformer):
    """An order with an absent value is false, where Python would raise."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """`a < b` where both are there."""
        if not isinstance(node.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            return node
        there: list[ast.expr] = [
            ast.Compare(side, [ast.IsNot()], [ast.Constant(None)])
            for side in (node.left, node.comparators[0])
            if not isinstance(side, ast.Constant)
        ]
        return ast.BoolOp(ast.And(), [*there, node])


def fold(tree: ast.expr) -> ast.expr:
    """Do what can be done without the request: constants compared, AND and OR shortened.

    Calls are never folded: `timeMatch` depends on the clock. A value is `in` a list where it equals
    a member, also one that is absent: that is written out, as a database would take it differently.
    """
    if isinstance(tree, ast.BoolOp):
        return _shortened(ast.BoolOp(tree.op, [fold(value) for value in tree.values]))
    if isinstance(tree, ast.UnaryOp):
        operand = fold(tree.operand)
        if isinstance(operand, ast.Constant):
            return ast.Constant(not operand.value)
        return ast.UnaryOp(ast.Not(), operand)
    if isinstance(tree, ast.Compare):
        return _fold_comparison(tree, tree.left, tree.ops[0], tree.comparators[0])
    return tree


def _fold_comparison(tree: ast.Compare, left: ast.expr, op: ast.cmpop, right: ast.expr) -> ast.expr:
    if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, (ast.Tuple, ast.List)):
        found = _member_of(left, right.elts)
        return found if isinstance(op, ast.In) else fold(ast.UnaryOp(ast.Not(), found))
    if isinstance(left, ast.Constant) and isinstance(right, ast.Constant):
        if isinstance(op, ast.Eq):
            return ast.Constant(left.value == right.value)
        if isinstance(op, ast.NotEq):
            return ast.Constant(left.value != right.value)
    return tree


def _member_of(value: ast.expr, members: list[ast.expr]) -> ast.expr:
    """`value` is one of a list: a list of constants that are there, or equal to one of the rest."""
    plain = [m for m in members if isinstance(m, ast.Constant) and m.value is not None]
    if isinstance(value, ast.Constant):
        plain = []
    ways: list[ast.expr] = [
        fold(ast.Compare(value, [ast.Eq()], [member])) for member in members if member not in plain
    ]
    if plain:
        ways.append(ast.Compare(value, [ast.In()], [ast.Tuple(list(plain), ast.Load())]))
    return _shortened(ast.BoolOp(ast.Or(), ways))


def _shortened(tree: ast.BoolOp) -> ast.expr:
    """An AND or OR of terms that are folded, without the constants among them."""
    deciding = isinstance(tree.op, ast.Or)  # the constant that decides: True in OR, False in AND
    terms: list[ast.expr] = []
    for term in tree.values:
        if isinstance(term, ast.Constant):
            if bool(term.value) is deciding:
                return ast.Constant(deciding)
            continue
        terms.append(term)
    if not terms:
        return ast.Constant(not deciding)
    return terms[0] if len(terms) == 1 else ast.BoolOp(tree.op, terms)
