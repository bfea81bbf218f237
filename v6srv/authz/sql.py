"""The remaining expression of a plan as a SQLAlchemy WHERE, from the same tree as the function.

Values that come from the principal or the clock are parameters: the condition is built once per
policy version and plan, and its parameters are computed for each request.

Three traps are avoided on purpose: a NULL under NOT counts as false, as in Python; LIKE is not
case sensitive on SQLite, so GLOB is used there; denials are part of lists too.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Integer,
    SQLColumnExpression,
    String,
    and_,
    bindparam,
    false,
    func,
    not_,
    or_,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import TypeEngine

from v6srv.authz.compiler import Plan, Program
from v6srv.authz.expression import ExpressionError, fact_name, names_in
from v6srv.authz.facts import Scalar, SetOf, TableFacts
from v6srv.authz.principal import SUBJECT_TYPES

_SQL_TYPES: Mapping[type, TypeEngine[Any]] = {
    int: Integer(),
    str: String(),
    bool: Boolean(),
}


class _Glob(FunctionElement[bool]):
    """Case sensitive match of `*` and `?`; arguments are the text and a constant pattern."""

    name = "policy_glob"
    type = Boolean()
    inherit_cache = False

    def __init__(self, text: SQLColumnExpression[Any], pattern: str) -> None:
        self.pattern = pattern
        super().__init__(text)


@compiles(_Glob)
def _glob_like(element: _Glob, compiler: SQLCompiler, **kw: Any) -> str:
    pattern = element.pattern.translate({ord(c): f"!{c}" for c in "!%_"})
    pattern = pattern.replace("*", "%").replace("?", "_")
    literal = compiler.render_literal_value(pattern, String())
    return f"({compiler.process(element.clauses, **kw)} LIKE {literal} ESCAPE '!')"


@compiles(_Glob, "sqlite")
def _glob_sqlite(element: _Glob, compiler: SQLCompiler, **kw: Any) -> str:
    literal = compiler.render_literal_value(element.pattern, String())
    return f"({compiler.process(element.clauses, **kw)} GLOB {literal})"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Where:
    """A condition on rows of one table and how to compute its parameters."""

    condition: ColumnElement[bool]
    _parameters: Mapping[str, Callable[..., Any]]

    def parameters(self, subject: object, operation: str) -> dict[str, Any]:
        """The values to execute it with. Raises what a failing expression raises."""
        return {name: value(subject, operation) for name, value in self._parameters.items()}


def where(plan: Plan, program: Program, table: TableFacts, prefix: str = "policy") -> Where:
    """The rows of a table that a plan allows. Raises ExpressionError where there is no SQL form."""
    translator = _Translator(program, table, prefix)
    allowed = [translator.boolean(tree) for _, tree in sorted(plan.allow.items())]
    denied = [translator.boolean(tree, negated=True) for _, tree in sorted(plan.deny.items())]
    condition = and_(or_(false(), *allowed), *(not_(term) for term in denied))
    return Where(condition, translator.parameters)


class _Translator:
    def __init__(self, program: Program, table: TableFacts, prefix: str) -> None:
        self.program, self.table, self.prefix = program, table, prefix
        self.parameters: dict[str, Callable[..., Any]] = {}
        self._names: dict[str, str] = {}

    # --- parts

    def _has_row(self, tree: ast.expr) -> bool:
        return self.program.object in names_in(tree)

    def _fact(self, tree: ast.expr) -> str | None:
        return fact_name(tree, self.program.object)

    def _parameter(self, tree: ast.expr, type_: TypeEngine[Any], expand: Any = None) -> Any:
        """A parameter whose value is an expression of the request; `expand` makes it a list."""
        text = ast.unparse(tree)
        kind = "set" if expand else "value"
        name = self._names.setdefault(
            f"{kind}:{text}:{id(expand)}", f"{self.prefix}_{len(self._names)}"
        )
        function = self.program.function(text)
        if expand:
            self.parameters[name] = lambda sub, act: expand(function(sub, None, act))
        else:
            self.parameters[name] = lambda sub, act: function(sub, None, act)
        return bindparam(name, type_=type_, expanding=bool(expand))

    def _members(self, tree: ast.expr, fact: SetOf) -> Any:
        """What a set is to meet, as a parameter."""
        return self._parameter(tree, _SQL_TYPES[fact.compared], fact.convert)

    def _set(self, fact: str) -> SetOf | None:
        return self.table.sets.get(fact)

    def _scalar(self, tree: ast.expr) -> Scalar | None:
        fact = self._fact(tree)
        if fact is None:
            return None
        if fact not in self.table.scalars:
            raise ExpressionError(f"{ast.unparse(tree)!r} is not one value of a row")
        return self.table.scalars[fact]

    # --- booleans

    def boolean(self, tree: ast.expr, *, negated: bool = False) -> ColumnElement[bool]:
        """A condition. Under NOT, what is unknown counts as false, as in Python."""
        if isinstance(tree, ast.Constant):
            return true() if tree.value is True else false()
        if not self._has_row(tree):
            parameter: ColumnElement[bool] = self._parameter(tree, Boolean()) == true()
            return parameter
        if isinstance(tree, ast.BoolOp):
            terms = [self.boolean(term, negated=negated) for term in tree.values]
            return or_(*terms) if isinstance(tree.op, ast.Or) else and_(*terms)
        if isinstance(tree, ast.UnaryOp):
            return not_(self.boolean(tree.operand, negated=True))
        leaf = self._call(tree) if isinstance(tree, ast.Call) else self._compare(tree)
        return func.coalesce(leaf, false()) if negated else leaf

    def _call(self, tree: ast.Call) -> ColumnElement[bool]:
        assert isinstance(tree.func, ast.Name)
        if tree.func.id == "meets" and len(tree.args) == 2:
            for here, there in (tree.args, tree.args[::-1]):
                fact = self._fact(here)
                if fact and (found := self._set(fact)) and not self._has_row(there):
                    return found.meets(self._members(there, found))
        if tree.func.id == "glob" and len(tree.args) == 2:
            text, pattern = tree.args
            scalar = self._scalar(text)
            if scalar and scalar.of is str and isinstance(pattern, ast.Constant):
                if not isinstance(pattern.value, str) or "[" in pattern.value:
                    raise ExpressionError("a glob pattern is text of letters, * and ?")
                return _Glob(scalar.column, pattern.value)
        raise ExpressionError(f"{ast.unparse(tree)!r} has no form for lists")

    def _compare(self, tree: ast.expr) -> ColumnElement[bool]:
        if not isinstance(tree, ast.Compare):
            raise ExpressionError(f"{ast.unparse(tree)!r} has no form for lists")
        left, op, right = tree.left, tree.ops[0], tree.comparators[0]
        if isinstance(op, (ast.In, ast.NotIn)):
            found = self._contains(left, right)
            return found if isinstance(op, ast.In) else not_(func.coalesce(found, false()))
        here, there = self._side(left, right), self._side(right, left)
        if isinstance(op, ast.Eq):
            return _equal(here, there)
        if isinstance(op, ast.NotEq):
            return _differ(here, there)
        raise ExpressionError(f"{ast.unparse(tree)!r}: rows are compared with ==, != and in only")

    def _contains(self, member: ast.expr, container: ast.expr) -> ColumnElement[bool]:
        fact = self._fact(container)
        if fact and (found := self._set(fact)) and not self._has_row(member):
            self._check_type(member, found.of)
            single = ast.Tuple([member], ast.Load())
            return found.meets(self._members(single, found))
        scalar = self._scalar(member)
        if scalar and not self._has_row(container):
            parameter = self._parameter(container, _SQL_TYPES[scalar.of], _OF_TYPE[scalar.of])
            return scalar.column.in_(parameter)
        raise ExpressionError(
            f"{ast.unparse(member)} in {ast.unparse(container)} has no form for lists"
        )

    def _side(self, tree: ast.expr, other: ast.expr) -> "_Side":
        """One side of a comparison, as a column or a parameter, with its type checked."""
        scalar = self._scalar(tree) if self._has_row(tree) else None
        if scalar is not None:
            return _Side(scalar.column, nullable=not scalar.always)
        if self._has_row(tree):
            raise ExpressionError(f"{ast.unparse(tree)!r} has no form for lists")
        against = self._scalar(other)
        type_ = against.of if against else str
        self._check_type(tree, type_)
        if isinstance(tree, ast.Constant) and tree.value is None:
            return _Side(None, nullable=True)
        constant = isinstance(tree, ast.Constant)
        return _Side(self._parameter(tree, _SQL_TYPES[type_]), nullable=not constant)

    def _check_type(self, tree: ast.expr, wanted: type) -> None:
        """Refuse a comparison of a number with a text: databases do not agree on it."""
        if isinstance(tree, ast.Constant):
            if tree.value is not None and type(tree.value) is not wanted:
                raise ExpressionError(f"{tree.value!r} is not of type {wanted.__name__}")
            return
        fact = fact_name(tree, self.program.subject)
        if fact is not None and SUBJECT_TYPES.get(fact) is not wanted:
            raise ExpressionError(f"{ast.unparse(tree)!r} is not of type {wanted.__name__}")


@dataclass(frozen=True, slots=True)
class _Side:
    value: SQLColumnExpression[Any] | None
    nullable: bool


def _equal(here: _Side, there: _Side) -> ColumnElement[bool]:
    if here.value is None or there.value is None:
        value = there.value if here.value is None else here.value
        assert value is not None
        return value.is_(None)
    if here.nullable and there.nullable:
        return here.value.is_not_distinct_from(there.value)
    return here.value == there.value  # a plain = can use an index


def _differ(here: _Side, there: _Side) -> ColumnElement[bool]:
    if here.value is None or there.value is None:
        value = there.value if here.value is None else here.value
        assert value is not None
        return value.is_not(None)
    if here.nullable or there.nullable:
        return here.value.is_distinct_from(there.value)
    return here.value != there.value


def _texts(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, str)]


def _whole(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]


def _flags(values: Any) -> list[Any]:
    return [value for value in values if isinstance(value, bool)]


_OF_TYPE: Mapping[type, Callable[[Any], list[Any]]] = {str: _texts, int: _whole, bool: _flags}
"""Members that a column of this type can be equal to: databases do not compare others."""


__all__ = ["Where", "where"]
