"""What the lines of a policy say, read and asked once more in plain Python.

Files are read as text, conditions are walked as trees of Python; the matcher of `model.conf` is
`Policy.allows`, and its second one `Policy.hands_out`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.unit_of_work.state import Facts, State, Who

Values = tuple[str, ...]
_NARROWER = ("global", "collaboration", "organization", "own_organization", "own")
"""Each scope covers those after it."""


@dataclass(frozen=True)
class Policy:
    """All lines that count at a moment."""

    grants: tuple[Values, ...]
    """Of `p` lines: subject, resource, scope, operation, condition, effect."""
    edges: tuple[Values, ...]
    """Of `g` lines: member and role."""
    rules: tuple[tuple[str, str, str], ...]
    """All that can be handed out: resource, scope and operation."""

    @classmethod
    def of(cls, folder: Path, state: State, live: Collection[int]) -> Policy:
        """The lines of files and database; `live`: the ids of those of admins that count."""
        lines = [*read_files(folder), *_of_rules(state)]
        for (id,), row in state.tables["casbin_rule"].items():
            if id in live:
                columns = (row[f"v{number}"] for number in range(6))
                lines.append((row["ptype"], *(one for one in columns if one is not None)))
        return cls(
            tuple(line[1:] for line in lines if line[0] == "p"),
            tuple(line[1:] for line in lines if line[0] == "g"),
            tuple(
                (row["name"], row["scope"], row["operation"])
                for row in state.tables["rule"].values()
            ),
        )

    def allows(self, who: Who, operation: str, facts: Facts, changes: Collection[str] = ()) -> bool:
        """Whether a caller may do this with a row; of an edit, with what is changed."""
        return self._effects(who, operation, facts, changes) == {"allow"}

    def denies(self, who: Who, operation: str, facts: Facts, changes: Collection[str] = ()) -> bool:
        """Whether a line denies this, whatever others allow."""
        return "deny" in self._effects(who, operation, facts, changes)

    def allows_all(self, who: Who, operation: str, resource: str) -> bool:
        """Whether this is plainly allowed for every row: without a condition, without a denial."""
        found = {
            (scope, condition, effect)
            for subject, res, scope, act, condition, effect in self.grants
            if res in (resource, "*") and act in (operation, "*") and subject in self._names(who)
        }
        everywhere = ("global", "True", "allow") in found
        return everywhere and all(effect == "allow" for _, _, effect in found)

    def hands_out(self, who: Who, rule: Facts) -> bool:
        """Whether a caller may give this rule to others: only what lines say without condition."""
        effects = {
            effect
            for subject, resource, scope, act, condition, effect in self.grants
            if resource in (rule["name"], "*")
            and act in (rule["operation"].lower(), "*")
            and subject in self._names(who)
            and condition == "True"
            and rule["scope"].lower() in _covered(scope)
        }
        return effects == {"allow"}

    def _effects(
        self, who: Who, operation: str, facts: Facts, changes: Collection[str]
    ) -> set[str]:
        return {
            effect
            for subject, resource, scope, act, condition, effect in self.grants
            if resource in (facts["type"], "*")
            and act in (operation, "*")
            and subject in self._names(who)
            and _in_scope(scope, who, facts)
            and self._holds(condition, who, operation, facts, frozenset(changes))
        }

    def _names(self, who: Who) -> frozenset[str]:
        return _closure(who.names, self.edges)

    def _holds(
        self, condition: str, who: Who, operation: str, facts: Facts, changes: frozenset[str]
    ) -> bool:
        if condition == "True":
            return True
        sub = {**who.facts, "changes": changes}
        if ".lacks" in condition:
            sub["lacks"] = self._lacks(who)
        held = _closure(who.roles | {who.id}, self.edges)
        return bool(_value(_parsed(condition), {"sub": sub, "obj": facts, "act": operation}, held))

    def _lacks(self, who: Who) -> frozenset[str]:
        """The rules that a caller may not give to others."""
        words = ("name", "scope", "operation")
        return frozenset(
            ":".join(rule).lower()
            for rule in self.rules
            if not self.hands_out(who, dict(zip(words, rule, strict=True)))
        )


def read_files(folder: Path) -> Iterator[Values]:
    """The lines of the CSV files of a folder: type and fields."""
    for file in sorted(folder.glob("*.csv")):
        for text in file.read_text().splitlines():
            if text.strip() and not text.startswith("#"):
                yield tuple(_fields(text))


def _fields(text: str) -> Iterator[str]:
    """What stands between the commas that are in no parentheses and no quotes."""
    depth, quoted, field = 0, False, ""
    for char in text:
        quoted ^= char == "'"
        depth += 0 if quoted else (char == "(") - (char == ")")
        if char == "," and not depth and not quoted:
            yield field.strip()
            field = ""
        else:
            field += char
    yield field.strip()


def _of_rules(state: State) -> Iterator[Values]:
    """What a rule grants to who has it, as an extra rule or in a role that is of no file."""
    rules = {
        id: (row["name"], row["scope"].lower(), row["operation"].lower(), "True", "allow")
        for (id,), row in state.tables["rule"].items()
    }
    for id, words in rules.items():
        yield ("p", f"rule:{id}", *words)
    for row in state.tables["role_rule_association"].values():
        if state.tables["role"][row["role_id"],]["slug"] is None:
            yield ("p", f"role:{row['role_id']}", *rules[row["rule_id"]])


@lru_cache(4096)
def _closure(names: frozenset[str], edges: Iterable[Values]) -> frozenset[str]:
    while True:
        more = {role for member, role in edges if member in names}
        if more <= names:
            return names
        names = names | more


def _in_scope(scope: str, who: Who, facts: Facts) -> bool:
    if scope == "collaboration":
        own = facts["type"] == "organization" and who.org == facts["id"]
        return own or bool(who.collabs & facts["collabs"])
    if scope == "organization":
        return who.org in facts["orgs"]
    if scope == "own_organization":
        return who.org in facts["owner_orgs"]
    return scope == "global" or who.id in facts["owners"]


def _covered(scope: str) -> Values:
    return _NARROWER[_NARROWER.index(scope) :]


# --- conditions


@lru_cache(4096)
def _parsed(condition: str) -> ast.expr:
    text = condition.replace("&&", " and ").replace("||", " or ")
    return ast.parse(re.sub("!(?!=)", " not ", text).strip(), mode="eval").body


def _value(tree: ast.expr, known: Facts, held: frozenset[str]) -> Any:
    """What a part of a condition is."""
    match tree:
        case ast.Constant(value=value):
            return value
        case ast.Tuple(elts=parts):
            return tuple(_value(part, known, held) for part in parts)
        case ast.Attribute(value=ast.Name(id="r"), attr=name):
            return known[name]
        case ast.Attribute(value=of, attr=name):
            return _value(of, known, held)[name]
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _value(part, known, held)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, known, held) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_value(part, known, held) for part in parts)
        case ast.Call(func=ast.Name(id="g"), args=[_, role]):
            return _value(role, known, held) in held
        case ast.Call(func=ast.Name(id=function), args=[first, second]):
            return _FUNCTIONS[function](_value(first, known, held), _value(second, known, held))
        case ast.Compare(left=left, ops=[sign], comparators=[right]):
            return _compared(sign, _value(left, known, held), _value(right, known, held))
    raise AssertionError(f"the oracle cannot read {ast.unparse(tree)}")


def _compared(sign: ast.cmpop, left: Any, right: Any) -> bool:
    match sign:
        case ast.Eq():
            return bool(left == right)
        case ast.NotEq():
            return bool(left != right)
        case ast.In():
            return left in right
        case ast.NotIn():
            return left not in right
    raise AssertionError(f"the oracle does not know {sign}")


_FUNCTIONS = {
    "meets": lambda left, right: bool(set(left) & set(right)),
    "within": lambda members, allowed: set(members) <= set(allowed),
    "glob": lambda text, pattern: text is not None and fnmatchcase(text, pattern),
}
