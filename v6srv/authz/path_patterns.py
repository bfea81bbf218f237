"""Casbin's functions over paths, said with `glob`: one meaning in Python, in SQL and in all tools.

A segment is what is between two slashes. That a wildcard stays inside of its segment is said by
counting: a text with as many slashes as the pattern has none that a wildcard could stand for.
"""

import ast
import re
from collections.abc import Callable, Mapping
from itertools import pairwise


class Unsayable(ValueError):
    """A pattern that `glob` cannot say; the text says what is wrong with it."""


def key_match(text: ast.expr, pattern: str) -> ast.expr:
    """Up to the first `*` the same, then whatever."""
    _refuse(pattern, "?[")
    head, star, _ = pattern.partition("*")
    return _glob(text, head + star) if star else _equal(text, pattern)


def key_match2(text: ast.expr, pattern: str) -> ast.expr:
    """`:name` is the rest of a segment, not empty; `*` after a slash is everything that follows."""
    _refuse(pattern, ".?[](){}+^$|\\")
    if pattern == "*":
        return _glob(text, "*")
    said = re.sub(r":[^/]+", "?*", pattern)
    if "*" in pattern.replace("/*", "/"):
        raise Unsayable("a * is at the end of a path or follows a slash")
    if said == pattern:
        return _glob(text, pattern) if "*" in pattern else _equal(text, pattern)
    if "*" in pattern:
        raise Unsayable("it has both : and *")
    return _in_segments(text, said)


def glob_match(text: ast.expr, pattern: str) -> ast.expr:
    """`*` and `?` stay inside of a segment and are not its first dot; `*` alone is not empty."""
    _refuse(pattern, "[]{}\\")
    if "**" in pattern or pattern.startswith("*/"):
        raise Unsayable("stock Casbin reads ** and a leading */ in ways of its own")
    if not pattern or pattern.startswith("/") or any(a == b == "/" for a, b in pairwise(pattern)):
        raise Unsayable("a segment of it is empty")
    if pattern.endswith("/"):
        raise Unsayable("a segment of it is empty")
    if "*" not in pattern and "?" not in pattern:
        return _equal(text, pattern)
    segments = ["?*" if segment == "*" else segment for segment in pattern.split("/")]
    hidden = [
        _glob(text, "/".join([*segments[:at], ".*", *segments[at + 1 :]]))
        for at, segment in enumerate(segments)
        if segment[0] in "*?"
    ]
    return _and(_in_segments(text, "/".join(segments)), *map(_not, hidden))


PATH_PATTERNS: Mapping[str, Callable[[ast.expr, str], ast.expr]] = {
    "keyMatch": key_match,
    "keyMatch2": key_match2,
    "globMatch": glob_match,
}
"""Functions of stock Casbin: what a text has to be, as an expression of this server."""


def _refuse(pattern: str, signs: str) -> None:
    found = next((sign for sign in signs if sign in pattern), None)
    if found:
        raise Unsayable(f"{found} has another meaning in stock Casbin than it seems")


def _in_segments(text: ast.expr, pattern: str) -> ast.expr:
    more = "*".join(["", *["/"] * (pattern.count("/") + 1), ""])
    return _and(_glob(text, pattern), _not(_glob(text, more)))


def _glob(text: ast.expr, pattern: str) -> ast.expr:
    return ast.Call(ast.Name("glob", ast.Load()), [text, ast.Constant(pattern)], [])


def _equal(text: ast.expr, value: str) -> ast.expr:
    return ast.Compare(text, [ast.Eq()], [ast.Constant(value)])


def _and(*terms: ast.expr) -> ast.expr:
    return ast.BoolOp(ast.And(), list(terms))


def _not(term: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), term)
