"""Every regular expression of the server against texts that are bad for it, in a bounded process.

`python -m tests.patterns.attack [PATTERN]` ends with 0, or is ended by the kernel when it has used
more processor than texts of this length could take that are read once: what needs steps that grow
with the square of a text, or faster, does not come to an end.
"""

from __future__ import annotations

import ast
import importlib
import re
import resource
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from re import _constants as of  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).parents[2] / "v6srv"
LONG = 60_000
"""Characters: more than a text that anybody may send, but for inputs and results; steps that grow
with its square take ten times what is given."""
PROCESSOR_S, OF_ONE_S = 15, 2
MANY = 16
"""What is repeated so often counts as repeated without end."""

_KNOWN = {"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}

Site = tuple[str, str, str | re.Pattern[str] | re.Pattern[bytes]]
"""File and line, the function that is called, and the pattern."""


def sites() -> Iterator[Site]:
    """Every call of `re` in the package; a pattern that is put together at run time has none."""
    for file in sorted(ROOT.rglob("*.py")):
        name = ".".join(file.relative_to(ROOT.parent).with_suffix("").parts)
        if "migrations" in name or file.name == "__main__.py":
            continue
        module = importlib.import_module(name.removesuffix(".__init__"))
        lines = file.read_text().splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            if (of_re or node.func.attr == "Regexp") and node.args:
                try:
                    found = eval(ast.unparse(node.args[0]), vars(module))
                except (NameError, AttributeError):
                    continue
                place = f"{file.relative_to(ROOT)}:{node.lineno}"
                for how in _asked(node.func.attr, lines, node.lineno):
                    yield place, how, found


def _asked(function: str, lines: list[str], at: int) -> list[str]:
    """How a pattern is asked; one that has a name, by its name in the same file."""
    named = re.match(r"\s*(\w+)(?:: [^=]+)? = re\.compile\(", lines[at - 1])
    if function != "compile" or named is None:
        return [{"Regexp": "match", "compile": "match"}.get(function, function)]
    calls = re.findall(rf"\b{named[1]}\.(\w+)\(", "\n".join(lines))
    return sorted(_KNOWN.intersection(calls)) or ["match"]


def samples(tree: Any) -> str:
    """A short text that a pattern matches, mostly."""
    return "".join(_sample(code, argument) for code, argument in tree)


def _sample(code: Any, argument: Any) -> str:
    if code is of.LITERAL:
        return chr(argument)
    if code is of.NOT_LITERAL:
        return "b" if argument == ord("a") else "a"
    if code is of.IN:
        return _of_set(argument)
    if code is of.ANY:
        return "a"
    if code is of.BRANCH:
        return samples(argument[1][0])
    if code is of.SUBPATTERN:
        return samples(argument[-1])
    if code in (of.MAX_REPEAT, of.MIN_REPEAT, of.POSSESSIVE_REPEAT):
        return samples(argument[2]) * max(argument[0], 1)
    if code is of.ATOMIC_GROUP:
        return samples(argument)
    return ""


def _of_set(members: Any) -> str:
    negated = members and members[0][0] is of.NEGATE
    for candidate in 'a0 /.-_b,":%A\n\x00é':
        if _is_in(candidate, members[1:] if negated else members) is not negated:
            return candidate
    return "a"


def _is_in(candidate: str, members: Any) -> bool:
    kinds = {of.CATEGORY_DIGIT: r"\d", of.CATEGORY_SPACE: r"\s", of.CATEGORY_WORD: r"\w"}
    kinds |= {of.CATEGORY_NOT_DIGIT: r"\D", of.CATEGORY_NOT_SPACE: r"\S"}
    kinds |= {of.CATEGORY_NOT_WORD: r"\W"}
    for code, argument in members:
        if code is of.LITERAL and ord(candidate) == argument:
            return True
        if code is of.RANGE and argument[0] <= ord(candidate) <= argument[1]:
            return True
        if code is of.CATEGORY and re.fullmatch(kinds[argument], candidate):
            return True
    return False


def attacks(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Before each repetition what leads to it, then its body very often, then what breaks it."""
    tree = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    for text in _attacks(tree, ""):
        for end in ("", "\x01", "!", "a", "\n"):
            yield text + end


def _attacks(tree: Any, before: str) -> Iterator[str]:
    for code, argument in tree:
        if code in (of.MAX_REPEAT, of.MIN_REPEAT):
            body = samples(argument[2])
            if argument[1] is of.MAXREPEAT or argument[1] > MANY:
                yield before + body * (LONG // max(len(body), 1))
            yield from _attacks(argument[2], before)
        elif code is of.SUBPATTERN:
            yield from _attacks(argument[-1], before)
        elif code is of.BRANCH:
            for branch in argument[1]:
                yield from _attacks(branch, before)
        elif code in (of.ASSERT, of.ASSERT_NOT):
            yield from _attacks(argument[1], before)
        before += _sample(code, argument)


def tell(text: str) -> None:
    """Before it is done: who is ended says no more."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def attack(site: Site) -> None:
    """Ask as the server does."""
    place, function, given = site
    pattern = re.compile(given)
    call = getattr(pattern, function)
    binary = isinstance(pattern.pattern, bytes)
    tell(f"{place} {function}")
    for text in attacks(pattern):
        subject = text.encode("latin-1", "replace") if binary else text
        if function in ("sub", "subn"):
            call("", subject)
        elif function == "finditer":
            for _ in call(subject):
                pass
        else:
            call(subject)


def others() -> None:
    """Wildcards that people write: of policies, and of filters on SQLite."""
    from v6srv.authz.expression import FUNCTIONS

    tell("glob")
    FUNCTIONS["glob"]("a" * 5_000, "*a" * 500 + "b")
    tell("LIKE")
    with closing(sqlite3.connect(":memory:")) as database, database:
        database.execute("SELECT ? LIKE ?", ("a" * 10_000, "%a" * 2_000 + "%b")).fetchone()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    chosen: list[Site] = [("given", "fullmatch", one) for one in sys.argv[1:]] or [*sites()]
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + (OF_ONE_S if sys.argv[1:] else PROCESSOR_S)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    for one in chosen:
        attack(one)
    if not sys.argv[1:]:
        others()
    tell(f"sites {len(chosen)}")
