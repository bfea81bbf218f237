"""Which rows are meant, in words: `in collaborations of organization 2`, `whose image is 'x'`."""

import ast
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from v6srv.authz.compiler import Program
from v6srv.authz.theory.literals import Constant, Literal
from v6srv.policy.inquiry.terms import shown, spoken
from v6srv.vocabulary import Resource

Way = tuple[Literal, ...]

_ORDERS: Mapping[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_MOST_WAYS = 10
_IFS = ("if ", "unless ")
"""How what is not asked of a row, but of the request, begins."""

_OF_WORK = "in collaborations of organization {}", "in collaboration {}"
_OF_MEMBERS = "of organization {}", "of members of collaboration {}"
_SETS: Mapping[Resource, tuple[str, str]] = {
    Resource.TASK: _OF_WORK,
    Resource.RESULT: _OF_WORK,
    Resource.PORT: _OF_WORK,
    Resource.COLLABORATION: ("with organization {} as a member", "with the id {}"),
    Resource.STUDY: ("with organization {} in it", "of collaboration {}"),
    Resource.ORGANIZATION: ("with the id {}", "in collaboration {}"),
    Resource.NODE: ("of organization {}", "in collaboration {}"),
    Resource.USER: _OF_MEMBERS,
    Resource.ROLE: (
        "of organization {}, or default roles",
        "of members of collaboration {}, or default roles",
    ),
    Resource.EVENT: ("for organization {}", "in collaboration {}"),
}
"""What it means that `orgs` and `collabs` of a row have a member."""
_RULES = {"rules": "the rule", "role_rules": "a role with the rule"}
"""What a row has that has a member of these sets."""


def in_words(ways: Iterable[Way], resource: Resource, program: Program) -> tuple[str, ...]:
    """One text for each way in which a row can be meant; what another says as well is left out."""
    rows = {frozenset(way) for way in ways}
    widest = [way for way in rows if not any(other < way for other in rows)]
    speaker = _Speaker(resource, program)
    texts = sorted({speaker.way(merged) for merged in _merged(widest)})
    if len(texts) > _MOST_WAYS:
        return (*texts[:_MOST_WAYS], f"in one of {len(texts) - _MOST_WAYS} more ways")
    return tuple(texts)


_Merged = tuple[frozenset[Literal], str, tuple[Any, ...]]
"""What has to be so, and of one set that it has one of these members."""


def _merged(ways: Iterable[frozenset[Literal]]) -> list[_Merged]:
    """Ways that differ in the member of one set only are told as one."""
    found: dict[tuple[frozenset[Literal], str], list[Any]] = {}
    for way in ways:
        members = [one for one in way if _is_member(one)]
        if len(members) == 1:
            [one] = members
            found.setdefault((way - {one}, one.right), []).append(one.left.value)
        else:
            found.setdefault((way, ""), [])
    return [(rest, fact, tuple(sorted(values, key=str))) for (rest, fact), values in found.items()]


def _is_member(literal: Literal) -> bool:
    return literal.kind == "member" and literal.so and isinstance(literal.left, Constant)


class _Speaker:
    def __init__(self, resource: Resource, program: Program) -> None:
        self.resource, self.program = resource, program

    def way(self, merged: _Merged) -> str:
        """One way, in words."""
        rest, fact, members = merged
        texts = [self._member(fact, members, so=True)] if fact else []
        unchanged = frozenset(one for one in rest if self._is_unchanged(one))
        texts += sorted(self._literal(one) for one in rest - unchanged)
        if unchanged:
            names = sorted(str(one.left.value) for one in unchanged)
            texts.append(f"unless {' or '.join(names)} is changed")
        if_s = [text for text in texts if text.startswith(_IFS)]
        rows = " and ".join(text for text in texts if text not in if_s)
        return ", ".join([rows or f"every {self.resource}", *if_s])

    def _literal(self, one: Literal) -> str:
        if one.kind == "member" and isinstance(one.left, Constant):
            return self._member(one.right, (one.left.value,), so=one.so)
        are = "is" if one.so else "is not"
        if one.kind == "equal":
            here, there = (one.left, one.right)
            if isinstance(here, Constant):
                here, there = there, here
            if one.so and self._is_id(here):
                return f"with the id {self._value(there)}"
            return f"{self._whose(here)} {are} {self._value(there)}"
        if one.kind == "one_of":
            return f"{self._whose(one.left)} {are} among {shown(one.right)}"
        if one.kind == "member":
            return f"{self._whose(one.left)} {are} among {self._value(one.right)}"
        if one.kind == "within":
            return self._within(one.left, sorted(map(str, one.right)), so=one.so)
        if one.kind == "glob":
            does = "matches" if one.so else "does not match"
            return f"{self._whose(one.left)} {does} {shown(one.right)}"
        if one.kind == "order":
            test, than = one.right
            return f"{self._whose(one.left)} {_ORDERS[test]} {than}"
        if one.kind == "meets" and (lacking := self._lacking(one)):
            return lacking
        text = f"meets({one.left}, {one.right})" if one.kind == "meets" else str(one.left)
        return f"where {'' if one.so else 'not '}{spoken(text)}"

    def _is_id(self, here: Any) -> bool:
        name = str(here).removeprefix(f"{self.program.object}.")
        return name == "id" or (name == "org" and self.resource is Resource.ORGANIZATION)

    def _member(self, fact: str, members: Collection[Any], *, so: bool) -> str:
        name = fact.rpartition(".")[2]
        values = [shown(member) for member in members]
        if name == "changes":
            return f"{'if' if so else 'unless'} {' or '.join(map(str, members))} is changed"
        if name == "refused":
            return f"where {'a' if so else 'no'} node refuses {' or '.join(values)}"
        if name == "owners":
            text = f"owned by {' or '.join(values)}"
        elif name == "owner_orgs":
            text = f"owned by organization {' or '.join(values)}"
        elif name in _RULES:
            text = f"with {_RULES[name]} {' or '.join(values)}"
        else:
            of = _SETS.get(self.resource, ("of organization {}", "in collaboration {}"))
            template = of[0] if name == "orgs" else of[1]
            text = _plural(template, values) if len(values) > 1 else template.format(values[0])
        return text if so else f"not {text}"

    def _is_unchanged(self, one: Literal) -> bool:
        """Whether it says that some field is not changed."""
        named = one.kind == "member" and isinstance(one.left, Constant)
        return named and not one.so and one.right == f"{self.program.subject}.changes"

    def _lacking(self, one: Literal) -> str | None:
        """That a row has, or has not, what the principal may not hand out."""
        sides = {one.left, one.right} - {f"{self.program.subject}.lacks"}
        held = _RULES.get(str(next(iter(sides))).rpartition(".")[2]) if len(sides) == 1 else None
        if held is None:
            return None
        held = held.replace("the rule", "a rule")
        return f"{'with' if one.so else 'without'} {held} that one may not hand out"

    def _within(self, fact: str, members: Sequence[str], *, so: bool) -> str:
        among = ", ".join(members)
        if fact == f"{self.program.subject}.changes":
            return f"if {'nothing but' if so else 'more than'} {among} is changed"
        return f"{self._whose(fact)} are {'' if so else 'not '}all among {{{among}}}"

    def _whose(self, fact: str, word: str = "whose") -> str:
        token, _, name = fact.partition(".")
        return f"{word} {name}" if token == self.program.object else spoken(fact)

    def _value(self, term: Any) -> str:
        return shown(term.value) if isinstance(term, Constant) else self._whose(str(term), "its")


def _plural(template: str, values: Sequence[str]) -> str:
    return re.sub(r"\b(\w+) \{\}", r"\1s {}", template).format(", ".join(values))
