"""Why an expression of the policy is true or false for one principal and one row, in words."""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from v6srv.authz import clock
from v6srv.authz.attempt import attempt, why
from v6srv.authz.compiler import Program
from v6srv.authz.expression import fact_name
from v6srv.authz.principal import SubjectFacts
from v6srv.db import LARGEST_ID

UNREACHABLE = 100
"""More terms than any line has: what no principal and no row can make true."""

_NOUNS = {
    "id": "",
    "kind": "",
    "group": "",
    "org": "organization",
    "orgs": "organizations",
    "owner_orgs": "owning organizations",
    "collabs": "collaborations",
}
"""What facts are called, where it is not their own name."""


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison or call in an expression, as it came out."""

    expression: str
    """As policies write it: `r.sub.org in r.obj.orgs`."""
    holds: bool
    words: str
    """What was found: `organization 3 is not among {4, 5}`."""


class Terms:
    """The expressions of one question: what they are worth, and why."""

    def __init__(
        self,
        program: Program,
        subject: SubjectFacts,
        row: SimpleNamespace,
        operation: str,
        noun: str,
    ) -> None:
        """`noun`: what a row of this table is called."""
        self.program, self.noun = program, noun
        self._request = (subject, row, operation)

    def value(self, tree: ast.expr) -> Any:
        """What an expression is worth. Raises what a missing fact raises."""
        return self.program.function(ast.unparse(tree))(*self._request)

    def holds(self, tree: ast.expr) -> bool:
        """Whether a condition is true; one that fails is not."""
        return attempt(self.value, tree)[0] is True

    def failure(self, tree: ast.expr) -> str | None:
        """Why a condition cannot be told; None when it can."""
        _, error = attempt(self.value, tree)
        return why(error) if error else None

    def reasons(self, tree: ast.expr) -> list[Term]:
        """The terms that make the condition what it is, in their order."""
        if isinstance(tree, ast.UnaryOp):
            return self.reasons(tree.operand)
        if isinstance(tree, ast.BoolOp):
            deciding = isinstance(tree.op, ast.Or)
            decided = [part for part in tree.values if self.holds(part) is deciding]
            # A true OR needs one reason, a false AND is told all of its false terms.
            parts = (decided[:1] if deciding else decided) or tree.values
            return [term for part in parts for term in self.reasons(part)]
        return [Term(spoken(ast.unparse(tree)), self.holds(tree), self._words(tree))]

    def distance(self, tree: ast.expr, wanted: bool = True) -> int:
        """How many terms would have to come out otherwise for the condition to be as wanted."""
        if isinstance(tree, ast.Constant):
            return 0 if bool(tree.value) is wanted else UNREACHABLE
        if isinstance(tree, ast.UnaryOp):
            return self.distance(tree.operand, not wanted)
        if isinstance(tree, ast.BoolOp):
            parts = [self.distance(part, wanted) for part in tree.values]
            needs_all = isinstance(tree.op, ast.And) is wanted
            return min(UNREACHABLE, sum(parts) if needs_all else min(parts))
        return 0 if self.holds(tree) is wanted else 1

    # --- words

    def _words(self, tree: ast.expr) -> str:
        failure = self.failure(tree)
        if failure is not None:
            return f"cannot be told: {failure}"
        holds = self.holds(tree)
        if isinstance(tree, ast.Compare):
            return self._compared(tree, holds)
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            words = self._called(tree.func.id, tree.args, holds)
            if words:
                return words
        return f"{spoken(ast.unparse(tree))} is {'true' if holds else 'false'}"

    def _compared(self, tree: ast.Compare, holds: bool) -> str:
        left, op, right = self._noun(tree.left), tree.ops[0], self._other(tree.comparators[0])
        if isinstance(op, (ast.In, ast.NotIn)):
            among = holds is isinstance(op, ast.In)
            return f"{left} is {'' if among else 'not '}among {right}"
        if isinstance(op, (ast.Eq, ast.NotEq)):
            same = holds is isinstance(op, ast.Eq)
            return f"{left} is {'' if same else 'not '}{right}"
        sign = ast.unparse(tree)[len(ast.unparse(tree.left)) :].split()[0]
        return f"{left} {sign} {right} is {'true' if holds else 'false'}"

    def _called(self, name: str, arguments: list[ast.expr], holds: bool) -> str | None:
        if name == "timeMatch":
            return self._time(*(self.value(argument) for argument in arguments))
        if len(arguments) != 2:
            return None
        left, right = arguments
        if name in self.program.graphs:
            return f"{shown(self.value(left))} is {'' if holds else 'not '}{self.value(right)}"
        if name == "glob":
            does = "matches" if holds else "does not match"
            return f"{self._noun(left)} {does} {shown(self.value(right))}"
        if name == "within":
            are = "are all" if holds else "are not all"
            return f"{self._noun(left)} {are} among {self._other(right)}"
        if name == "meets":
            common = frozenset(self.value(left)) & frozenset(self.value(right))
            both = f"{self._noun(left)} and {shown(frozenset(self.value(right)))}"
            return f"{both} have {shown(common) if holds else 'nothing'} in common"
        return None

    @staticmethod
    def _time(start: str, end: str) -> str:
        now = clock.now()
        it_is = f"it is {clock.write(now)} UTC"
        if start != clock.OPEN_END and now < clock.read(start):
            return f"{it_is}, before {start}"
        if end != clock.OPEN_END and now >= clock.read(end):
            return f"{it_is}, not before {end}"
        since = "" if start == clock.OPEN_END else f", not before {start}"
        return f"{it_is}{since}{'' if end == clock.OPEN_END else f', before {end}'}"

    def _noun(self, tree: ast.expr) -> str:
        """A value with what it is: `organization 3`."""
        value = shown(self.value(tree))
        row = fact_name(tree, self.program.object)
        if row == "id":
            return f"{self.noun} {value}"
        fact = row or fact_name(tree, self.program.subject)
        return value if fact is None else f"{_NOUNS.get(fact, fact)} {value}".lstrip()

    def _other(self, tree: ast.expr) -> str:
        """A value that another is compared with: `3, the principal's organization`."""
        value = self.value(tree)
        fact = fact_name(tree, self.program.subject)
        text = shown(frozenset(value) if isinstance(value, (tuple, list)) else value)
        if fact is None:
            return text
        return f"{text}, the principal's {_NOUNS.get(fact) or fact}"


_TOKEN = re.compile(r"\b(r\d?)_(?=[a-z])")


def spoken(text: str) -> str:
    """An expression as policies write it: `r_sub.org` -> `r.sub.org`."""
    return _TOKEN.sub(r"\1.", text)


def shown(value: Any) -> str:
    """A fact as words of the policy: sets in order, text in quotes, `(none)` for null."""
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return f"{{{', '.join(str(member) for member in ordered(value))}}}"
    if isinstance(value, str) and not re.fullmatch(
        r"(user|node|container|kind|org|role):\w+", value
    ):
        return repr(value)
    return str(value)


def ordered(values: Iterable[Any]) -> list[Any]:
    """The members of a set, numbers by size, everything else by its text."""
    return sorted(values, key=lambda v: (v, "") if isinstance(v, int) else (LARGEST_ID, str(v)))
