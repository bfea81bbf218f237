"""Whether every way of a matcher to be true asks for the fields of the line.

A pair of brackets that is lost, or `|| True`, makes a matcher that is true for lines which speak of
somebody or something else. Stock Casbin takes it, and so would everybody's rights.
"""

import ast
from collections.abc import Iterator, Sequence

from v6srv.authz.expression import conjuncts, disjuncts, names_in


def unbound(
    tree: ast.expr, fields: Sequence[str], request: Sequence[str], row: str | None
) -> Iterator[tuple[ast.expr, str]]:
    """Each way to be true that does not ask for one of `fields`, and the field.

    `fields` are tokens such as `p_sub`, `request` those of the request, the principal first. `row`
    is the token of the row, where scopes narrower than global must relate it to the principal. For
    a way that asks the line for a word, and the request for nothing, it is the part of the request:
    `p.act == "delete"` alone is true whatever is done.
    """
    for field in fields:
        binds = _Binds(field, request)
        if binds.can_hold(tree):
            yield binds.way(tree), field
            continue
        counterpart = _counterpart(field, request, row)
        answers = _Answers(field, request, counterpart)
        if counterpart and answers.can_hold(tree):
            yield answers.way(tree), counterpart
    scope = next((field for field in fields if field.endswith("_scope")), None)
    if row is not None and scope is not None:
        relates = _Relates(scope, request[0], row)
        if relates.can_hold(tree) and not _Binds(scope, request).can_hold(tree):
            yield relates.way(tree), f"{request[0]} {row}"


def _counterpart(field: str, request: Sequence[str], row: str | None) -> str:
    """What of the request a field of lines is about; empty where that is asked for otherwise."""
    name = field.partition("_")[2]
    if row is None:  # the second request: a rule with the same words
        return f"{request[1]}.{name}" if name in ("res", "scope", "act") else ""
    return {"res": f"{row}.type", "act": request[2]}.get(name, "")


class _Ways:
    """Ways to be true without any term of the kind that `is_wanted` knows."""

    def is_wanted(self, term: ast.expr) -> bool:
        raise NotImplementedError

    def can_hold(self, tree: ast.expr, *, as_wanted: bool = True) -> bool:
        """Whether the tree can be `as_wanted` while all wanted terms are false."""
        if isinstance(tree, ast.BoolOp):
            parts = [self.can_hold(part, as_wanted=as_wanted) for part in tree.values]
            return all(parts) if isinstance(tree.op, ast.And) is as_wanted else any(parts)
        if isinstance(tree, ast.UnaryOp):
            return self.can_hold(tree.operand, as_wanted=not as_wanted)
        if isinstance(tree, ast.Constant):
            return bool(tree.value) is as_wanted
        return not as_wanted or not self.is_wanted(tree)

    def way(self, tree: ast.expr) -> ast.expr:
        """The smallest part of the tree that is to blame."""
        ways = [way for way in disjuncts(tree) if self.can_hold(way)]
        if len(disjuncts(tree)) > 1:
            return self.way(ways[0])
        for part in conjuncts(tree):
            if part is not tree and any(map(self.is_wanted, ast.walk(part))):  # type: ignore[arg-type]
                return self.way(part)
        return tree


class _Binds(_Ways):
    def __init__(self, field: str, request: Sequence[str]) -> None:
        self._field, self._request = field, set(request)
        self._of_request = field.endswith("_sub")

    def is_wanted(self, term: ast.expr) -> bool:
        """A term that ties the field to the request or, but for the subject, to a word."""
        if isinstance(term, ast.Call):
            arguments = [ast.unparse(argument) for argument in term.args]
            named = isinstance(term.func, ast.Name) and term.func.id
            return self._field in arguments and (named == "eval" or self._asks_request(term))
        if not isinstance(term, ast.Compare) or not isinstance(term.ops[0], (ast.Eq, ast.In)):
            return False
        sides = (term.left, term.comparators[0])
        tied = any(isinstance(side, ast.Name) and side.id == self._field for side in sides)
        same = ast.unparse(sides[0]) == ast.unparse(sides[1])
        return tied and not same and (self._asks_request(term) or not self._of_request)

    def _asks_request(self, term: ast.expr) -> bool:
        return not self._request.isdisjoint(names_in(term))


class _Answers(_Binds):
    """Terms that tie the field to the request, let `*` be all, or ask for the request's part."""

    def __init__(self, field: str, request: Sequence[str], counterpart: str) -> None:
        super().__init__(field, request)
        self._counterpart = counterpart

    def is_wanted(self, term: ast.expr) -> bool:
        """Not those that compare the field with any other word."""
        if isinstance(term, ast.Compare) and isinstance(term.ops[0], (ast.Eq, ast.In)):
            sides = [ast.unparse(side) for side in (term.left, term.comparators[0])]
            if self._counterpart in sides and sides[0] != sides[1]:
                return True
            if self._field in sides and "'*'" in sides:
                return True
        return super().is_wanted(term) and self._asks_request(term)


class _Relates(_Ways):
    def __init__(self, scope: str, subject: str, row: str) -> None:
        self._scope, self._both = scope, {subject, row}

    def is_wanted(self, term: ast.expr) -> bool:
        """A term that compares the principal with the row, or is about the widest scope."""
        if not isinstance(term, (ast.Call, ast.Compare)):
            return False
        words = {n.value for n in ast.walk(term) if isinstance(n, ast.Constant)}
        return self._both <= names_in(term) or (self._scope in names_in(term) and "global" in words)
