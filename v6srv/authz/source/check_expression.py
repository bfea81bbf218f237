"""What is wrong with a condition or a matcher, each fault at its character.

`expression` refuses what must not be compiled; here it is said where, why and what was meant, and
what would compile and then fail or mislead is refused too: values of different types compared, a
text where a list is meant, a word that no fact ever equals.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from v6srv.authz import clock
from v6srv.authz.expression import (
    ExpressionError,
    check_boolean,
    check_constant,
    check_names,
    fact_name,
    names_in,
    nodes_of,
    parse,
    syntax_tree,
    to_python,
    tokens_to_names,
    unallowed,
    unkept_texts,
)
from v6srv.authz.fact_types import SetType, Type
from v6srv.authz.path_patterns import PATH_PATTERNS, Unsayable
from v6srv.authz.source import codes
from v6srv.authz.source.check_matcher import unbound
from v6srv.authz.source.codes import Code
from v6srv.authz.source.language import Language, spoken
from v6srv.authz.source.lines import odd_characters
from v6srv.suggestions import nearest


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with a text, at a character of it, from 0."""

    at: int
    code: Code
    message: str
    suggestion: str = ""


_BOUND = ("sub", "res", "scope", "act", "cond")
"""The fields that every way of a matcher to be true has to ask for."""


def faults(text: str, language: Language) -> list[Fault]:
    """Everything wrong with an expression, in the order of its characters."""
    found = [Fault(*odd) for odd in odd_characters(text)]
    found = found or [
        Fault(at, codes.REWRITTEN_TEXT, message) for at, message in unkept_texts(text)
    ]
    found = found or [*_comment(text)]
    return found or sorted(_Checker(text, language).faults(), key=lambda fault: fault.at)


def unbound_faults(text: str, language: Language) -> list[Fault]:
    """Where a matcher without other faults can be true for lines about something else.

    And where it looks at the effect of a line, which is not its business.
    """
    return list(_Checker(text, language).unbound())


def _comment(text: str) -> Iterator[Fault]:
    for part in re.finditer(r"""'[^']*'|"[^"]*"|#""", text):
        if part.group() == "#":
            message = "everything after # is dropped: a comment has a line of its own"
            yield Fault(part.start(), codes.HIDDEN_BY_COMMENT, message)
            return


class _Checker:
    def __init__(self, text: str, language: Language) -> None:
        self.text, self.language = text, language
        python, places = to_python(tokens_to_names(text))
        self.python = python.strip()
        self.places = places[len(python) - len(python.lstrip()) :]

    def faults(self) -> list[Fault]:
        try:
            module = syntax_tree(self.python)
        except SyntaxError as error:
            return [self._unreadable(error)]
        except (ValueError, RecursionError, MemoryError, SystemError) as error:
            return [Fault(0, codes.SYNTAX, f"cannot read {self.text.strip()!r}: {error}")]
        if len(module.body) != 1 or not isinstance(module.body[0], ast.Expr):
            return [self._no_expression(module)]
        tree = module.body[0].value
        found = [self._not_allowed(*odd) for odd in unallowed(tree)][:1]
        found = found or [*self._names(tree)] or [*self._boolean(tree)]
        found = found or [*self._calls(tree), *self._comparisons(tree)]
        return found or self._last_resort()

    def _last_resort(self) -> list[Fault]:
        try:
            tree = parse(tokens_to_names(self.text))
            check_names(tree, {*self.language.tokens}, set(self.language.functions))
            check_boolean(tree)
        except ExpressionError as error:
            return [Fault(0, codes.NOT_ALLOWED, str(error))]
        return []

    def unbound(self) -> Iterator[Fault]:
        tree = syntax_tree(self.python).body[0]
        assert isinstance(tree, ast.Expr)
        asked = [f for f in self.language.fields if f.partition("_")[2] in _BOUND]
        request = self.language.request
        row = request[1] if len(request) > 2 else None
        for way, field in unbound(tree.value, asked, request, row):
            if " " in field:
                message = "a scope narrower than global has to compare r.sub with r.obj"
            else:
                message = f"this can be true without asking for {spoken(field)}"
            yield self._fault(way, codes.UNBOUND_FIELD, message)
        for node in nodes_of(tree):
            if isinstance(node, ast.Name) and node.id == "p_eft":
                message = "a matcher that asks for p.eft could make denials deny nothing"
                yield self._fault(node, codes.NOT_ALLOWED, message)

    # --- places

    def _at(self, column: int) -> int:
        """A column of Python, in bytes, as a place in the text."""
        index = len(self.python.encode()[:column].decode(errors="ignore"))
        return self.places[min(index, len(self.places) - 1)]

    def _fault(self, node: ast.AST, code: Code, message: str, meant: str = "") -> Fault:
        hint = f", did you mean {meant}?" if meant else ""
        return Fault(self._at(getattr(node, "col_offset", 0)), code, message + hint, meant)

    def _not_allowed(self, node: ast.expr, kind: str, message: str) -> Fault:
        meant = _BITS.get(kind, "")
        if isinstance(node, ast.BinOp) and meant:  # the sign binds more than was meant: show it
            end = self._at((node.left.end_col_offset or 1) - 1) + 1
            sign = re.compile(r"[&|]").search(self.text, end)
            hint = f", did you mean {meant}?"
            return Fault(sign.start() if sign else end, codes.NOT_ALLOWED, message + hint, meant)
        return self._fault(node, codes.NOT_ALLOWED, message, meant)

    def _source(self, node: ast.AST) -> str:
        start, end = getattr(node, "col_offset", 0), getattr(node, "end_col_offset", None)
        if end is None:
            return self.text.strip()
        return self.text[self._at(start) : self._at(end - 1) + 1] if end > start else ""

    # --- form

    def _unreadable(self, error: SyntaxError) -> Fault:
        offset = max((error.offset or 1) - 1, 0)
        at = self.places[min(offset, len(self.places) - 1)] if self.text.strip() else 0
        meant = ""
        single = re.search(r"(?<![=!<>])=(?!=)", self.text)
        if single:
            at, meant = single.start(), "=="
        hint = f", did you mean {meant}?" if meant else ""
        message = f"cannot read {self.text.strip()!r}: {error.msg}{hint}"
        return Fault(at, codes.SYNTAX, message, meant)

    def _no_expression(self, module: ast.Module) -> Fault:
        if not self.text.strip():
            message = "the condition is missing, did you mean True?"
            return Fault(0, codes.SYNTAX, message, "True")
        single = re.search(r"(?<![=!<>])=(?!=)", self.text)
        if single and module.body and isinstance(module.body[0], (ast.Assign, ast.AnnAssign)):
            message = f"one expression expected: {self.text.strip()!r}, did you mean ==?"
            return Fault(single.start(), codes.SYNTAX, message, "==")
        return Fault(0, codes.SYNTAX, f"one expression expected: {self.text.strip()!r}")

    def _boolean(self, tree: ast.expr) -> Iterator[Fault]:
        if isinstance(tree, ast.BoolOp):
            for value in tree.values:
                yield from self._boolean(value)
        elif isinstance(tree, ast.UnaryOp):
            yield from self._boolean(tree.operand)
        elif isinstance(tree, ast.Compare):
            if len(tree.ops) != 1:
                message = f"write {self._source(tree)!r} as two comparisons"
                yield self._fault(tree, codes.CHAINED_COMPARISON, message)
        elif not isinstance(tree, ast.Call) and not (
            isinstance(tree, ast.Constant) and isinstance(tree.value, bool)
        ):
            message = f"{self._source(tree)!r} is neither true nor false"
            yield self._fault(tree, codes.NOT_BOOLEAN, message)

    # --- words

    def _names(self, tree: ast.expr) -> Iterator[Fault]:
        called = {id(n.func) for n in nodes_of(tree) if isinstance(n, ast.Call)}
        owners = {id(n.value): n for n in nodes_of(tree) if isinstance(n, ast.Attribute)}
        for node in nodes_of(tree):
            if isinstance(node, ast.Call):
                yield from self._function(node)
            elif isinstance(node, ast.Name) and id(node) not in called:
                yield from self._name(node, owners.get(id(node)))
            elif isinstance(node, ast.Attribute) and id(node) not in called:
                yield from self._attribute(node)
            elif isinstance(node, ast.Constant):
                try:
                    check_constant(node.value)
                except ExpressionError as error:
                    yield self._fault(node, codes.NOT_ALLOWED, str(error))

    def _function(self, node: ast.Call) -> Iterator[Fault]:
        functions = self.language.functions
        name = node.func.id if isinstance(node.func, ast.Name) else None
        if name not in functions or node.keywords:
            shown = spoken(ast.unparse(node.func))
            near = _INSTEAD.get(shown) or nearest(shown, functions)
            yield self._fault(node, codes.UNKNOWN_FUNCTION, f"unknown function {shown!r}", near)

    def _name(self, node: ast.Name, owner: ast.Attribute | None) -> Iterator[Fault]:
        tokens = self.language.tokens
        if node.id in tokens:
            if owner is None and node.id in self.language.facts:
                message = f"{spoken(node.id)} is no value: ask for one of its facts"
                yield self._fault(node, codes.UNKNOWN_FACT, message)
            return
        shown = spoken(node.id) if "_" in node.id else node.id
        known = [*map(spoken, tokens), "True", "False", "None"]
        whole = f"{node.id}.{owner.attr}" if owner else node.id
        near = next((word for word in known if word.endswith(f".{node.id}")), "")
        near = near or next((word for word in known if word.endswith(f".{whole}")), "")
        near = near or nearest(shown, known)
        yield self._fault(node, codes.UNKNOWN_NAME, f"unknown name {shown!r}", near)

    def _attribute(self, node: ast.Attribute) -> Iterator[Fault]:
        if node.attr.startswith("_"):
            yield self._fault(node, codes.UNKNOWN_FACT, f"{node.attr!r} is not a fact")
            return
        if not isinstance(node.value, ast.Name):
            inner = self._source(node.value)
            message = f"{inner} is one value, it has no {node.attr!r}"
            yield self._fault(node, codes.UNKNOWN_FACT, message)
            return
        token = node.value.id
        known = self.language.facts.get(token)
        if known is None:
            if token in self.language.tokens:
                message = f"{spoken(token)} is a text, it has no {node.attr!r}"
                yield self._fault(node, codes.UNKNOWN_FACT, message)
        elif node.attr not in known:
            near = nearest(node.attr, known)
            message = f"unknown fact {spoken(token)}.{node.attr}"
            yield self._fault(node, codes.UNKNOWN_FACT, message, near)

    # --- types

    def _type(self, node: ast.expr) -> Type | None:
        """The type of an expression; None when it has no single one."""
        if isinstance(node, ast.Constant):
            return None if node.value is None else type(node.value)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            fact = self.language.facts.get(node.value.id, {}).get(node.attr)
            return None if fact is None else fact.type
        if isinstance(node, ast.Name):
            return str
        return bool if isinstance(node, (ast.Call, ast.Compare, ast.BoolOp)) else None

    def _comparisons(self, tree: ast.expr) -> Iterator[Fault]:
        for node in nodes_of(tree):
            if isinstance(node, ast.Compare):
                op, left, right = node.ops[0], node.left, node.comparators[0]
                if isinstance(op, (ast.In, ast.NotIn)):
                    yield from self._member(left, right)
                elif isinstance(op, (ast.Eq, ast.NotEq)):
                    yield from self._equal(left, right)
                else:
                    yield from self._order(node, left, right)

    def _equal(self, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        for side in (left, right):
            kind = self._type(side)
            if isinstance(kind, SetType):
                message = f"{self._source(side)} is {kind.spoken}: use in, meets or within"
                yield self._fault(side, codes.WRONG_TYPE, message)
                return
            if isinstance(side, (ast.Tuple, ast.List)):
                yield self._fault(side, codes.WRONG_TYPE, "one value is never a list: use in")
                return
        yield from self._same_type(left, right)
        yield from self._word(left, right)

    def _same_type(self, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        one, other = self._type(left), self._type(right)
        if one is None or other is None or one == other:
            return
        wrong, wanted = (left, other) if isinstance(left, ast.Constant) else (right, one)
        if isinstance(wanted, type):
            message = f"{self._source(wrong)} is not of type {wanted.__name__}"
            yield self._fault(wrong, codes.WRONG_TYPE, message)

    def _word(self, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        """A word compared with what is always one of a few others."""
        for here, there in ((left, right), (right, left)):
            found = self.language.words.get(ast.unparse(here))
            if found and isinstance(there, ast.Constant) and isinstance(there.value, str):
                code, name, known = found
                if there.value not in known:
                    near = nearest(there.value, known)
                    yield self._fault(there, code, f"unknown {name} {there.value!r}", near)
            elif isinstance(here, ast.Attribute) and "*" in _quoted(there):
                instead = f"glob({self._source(here)}, {ast.unparse(there)})"
                message = f"* stands for itself here, {instead} takes a pattern"
                yield self._fault(there, codes.PATTERN_FOR_TEXT, message)

    def _member(self, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        if isinstance(right, (ast.Tuple, ast.List)):
            for member in right.elts:
                yield from self._same_type(left, member)
                yield from self._word(left, member)
            return
        if isinstance(right, ast.Constant) and isinstance(right.value, str):
            yield self._text_for_list(right)
            return
        kind = self._type(right)
        if not isinstance(kind, SetType):
            message = f"{self._source(right)} is neither a set nor a list"
            yield self._fault(right, codes.WRONG_TYPE, message)
            return
        if self._holds_roles(right):
            yield from self._role_word(left)
        one = self._type(left)
        if isinstance(left, (ast.Tuple, ast.List)):
            yield self._fault(left, codes.WRONG_TYPE, "a list is no member of a set: use meets")
        elif isinstance(one, SetType):
            message = f"{self._source(left)} is {one.spoken}: use meets"
            yield self._fault(left, codes.WRONG_TYPE, message)
        elif one is not None and one is not kind.of:
            message = f"{self._source(left)} is not of type {kind.of.__name__}"
            yield self._fault(left, codes.WRONG_TYPE, message)

    def _text_for_list(self, node: ast.Constant) -> Fault:
        meant = f"({node.value!r},)"
        message = f"{node.value!r} is a text, not a list"
        return self._fault(node, codes.TEXT_FOR_LIST, message, meant)

    def _order(self, node: ast.Compare, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        row = self.language.request[1] if len(self.language.request) > 1 else ""
        if row in names_in(node):
            message = f"{self._source(node)!r}: rows are compared with ==, != and in only"
            yield self._fault(node, codes.NO_LIST_FORM, message)
            return
        for side in (left, right):
            if self._type(side) is not int:
                message = f"{self._source(side)} is not of type int"
                yield self._fault(side, codes.WRONG_TYPE, message)

    # --- functions

    def _calls(self, tree: ast.expr) -> Iterator[Fault]:
        for node in nodes_of(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            name, wanted = node.func.id, self.language.functions[node.func.id]
            if len(node.args) != wanted:
                message = f"{name} takes {wanted} arguments, {len(node.args)} are given"
                yield self._fault(node, codes.WRONG_ARGUMENTS, message)
            elif name == "eval":
                yield from self._eval(node.args[0])
            elif name == "timeMatch":
                yield from self._time(node)
            elif name == "glob":
                yield from self._glob(*node.args)
            elif name in PATH_PATTERNS:
                yield from self._path_pattern(name, *node.args)
            elif name == "meets":
                yield from self._meets(*node.args)
            elif name == "within":
                yield from self._within(*node.args)
            else:
                yield from self._role(*node.args)

    def _eval(self, field: ast.expr) -> Iterator[Fault]:
        if not isinstance(field, ast.Name) or field.id not in self.language.fields:
            yield self._fault(field, codes.WRONG_ARGUMENTS, "eval takes a field, such as p.cond")

    def _time(self, node: ast.Call) -> Iterator[Fault]:
        moments = []
        for argument in node.args:
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                message = "timeMatch takes two quoted times; '_' is an open end"
                yield self._fault(argument, codes.WRONG_ARGUMENTS, message)
                continue
            if argument.value == clock.OPEN_END:
                continue
            try:
                moments.append(clock.read(argument.value))
            except (ValueError, OverflowError):
                message = f"{argument.value!r} is no date or time"
                yield self._fault(argument, codes.BAD_TIME, message)
        if len(moments) == 2 and moments[0] >= moments[1]:
            message = "the time window ends before it begins"
            yield self._fault(node, codes.EMPTY_WINDOW, message)

    def _glob(self, text: ast.expr, pattern: ast.expr) -> Iterator[Fault]:
        yield from self._text(text)
        if isinstance(pattern, ast.Constant) and (
            not isinstance(pattern.value, str) or not {"[", "^", "$", "|"}.isdisjoint(pattern.value)
        ):
            message = "a glob pattern is text of letters, * and ?"
            yield self._fault(pattern, codes.GLOB_PATTERN, message)
        elif not isinstance(pattern, ast.Constant):
            shown = f"glob({self._source(text)}, {self._source(pattern)})"
            message = f"{shown!r} has no form for lists: the pattern is a quoted text"
            yield self._fault(pattern, codes.NO_LIST_FORM, message)

    def _path_pattern(self, name: str, text: ast.expr, pattern: ast.expr) -> Iterator[Fault]:
        yield from self._text(text)
        if not isinstance(pattern, ast.Constant) or not isinstance(pattern.value, str):
            yield self._fault(pattern, codes.GLOB_PATTERN, f"{name} takes a quoted text as pattern")
            return
        try:
            PATH_PATTERNS[name](text, pattern.value)
        except Unsayable as error:
            message = f"the pattern {pattern.value!r} of {name}: {error}, did you mean glob?"
            yield self._fault(pattern, codes.GLOB_PATTERN, message)

    def _text(self, node: ast.expr) -> Iterator[Fault]:
        if self._type(node) not in (str, None):
            message = f"{self._source(node)} is not of type str"
            yield self._fault(node, codes.WRONG_TYPE, message)

    def _meets(self, left: ast.expr, right: ast.expr) -> Iterator[Fault]:
        kind = self._type(left)
        if not isinstance(kind, SetType):
            message = f"{self._source(left)} is no set fact: meets takes one, and a set or list"
            yield self._fault(left, codes.WRONG_ARGUMENTS, message)
            return
        yield from self._listed(left, kind, right)

    def _within(self, members: ast.expr, allowed: ast.expr) -> Iterator[Fault]:
        kind = self._type(members)
        if not isinstance(kind, SetType):
            message = f"{self._source(members)} is no set fact: within takes one, and a list"
            yield self._fault(members, codes.WRONG_ARGUMENTS, message)
        elif fact_name(members, self.language.request[0]) is None:
            message = f"within({self._source(members)}, ...) has no form for lists"
            yield self._fault(members, codes.NO_LIST_FORM, message)
        else:
            yield from self._listed(members, kind, allowed)

    def _holds_roles(self, node: ast.expr) -> bool:
        return ast.unparse(node) == f"{self.language.request[0]}.roles"

    def _listed(self, fact: ast.expr, kind: SetType, values: ast.expr) -> Iterator[Fault]:
        """A set or list whose members can be members of a set of this kind."""
        if isinstance(values, (ast.Tuple, ast.List)):
            for value in values.elts:
                if self._holds_roles(fact):
                    yield from self._role_word(value)
                if self._type(value) not in (kind.of, None):
                    message = f"{self._source(value)} is not of type {kind.of.__name__}"
                    yield self._fault(value, codes.WRONG_TYPE, message)
        elif isinstance(values, ast.Constant) and isinstance(values.value, str):
            yield self._text_for_list(values)
        else:
            other = self._type(values)
            if not isinstance(other, SetType):
                message = f"{self._source(values)} is neither a set nor a list"
                yield self._fault(values, codes.WRONG_ARGUMENTS, message)
            elif other != kind:
                message = f"{self._source(values)} is {other.spoken}, not {kind.spoken}"
                yield self._fault(values, codes.WRONG_TYPE, message)

    def _role(self, member: ast.expr, role: ast.expr) -> Iterator[Fault]:
        for argument in (member, role):
            if self._type(argument) is not str:
                message = f"{self._source(argument)} is no name of a member or role"
                yield self._fault(argument, codes.WRONG_ARGUMENTS, message)
        if isinstance(member, ast.Constant) and not self.language.evaluates:
            message = f"{self._source(member)} is in its roles whoever asks, did you mean r.sub.id?"
            yield self._fault(member, codes.WRONG_ARGUMENTS, message, "r.sub.id")
        if not self.language.evaluates:
            yield from self._role_word(role)

    def _role_word(self, node: ast.expr) -> Iterator[Fault]:
        """The name of a role, as lines write it."""
        word = node.value if isinstance(node, ast.Constant) else None
        if isinstance(word, str) and not _ROLE.fullmatch(word):
            meant = f"role:{word}"
            message = f"{word!r} is no role: role:<name> or role:<id>"
            near = repr(meant) if _ROLE.fullmatch(meant) else ""
            yield self._fault(node, codes.NOT_A_SUBJECT, message, near)


def _quoted(node: ast.expr) -> str:
    """The text that is written out; empty for what is none."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


_ROLE = re.compile(r"role:[A-Za-z0-9_.-]+|rule:[1-9][0-9]*")
_BITS = {"BitAnd": "&&", "BitOr": "||", "Invert": "!", "Is": "==", "IsNot": "!="}
_INSTEAD = dict.fromkeys(("regexMatch", "keyMatch3", "keyMatch4", "keyMatch5"), "glob")
