"""No regular expression of the server takes longer than its text is long, whatever that is.

Steps are not counted but made impossible: what is repeated without end holds nothing that is.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import v6srv

ROOT = Path(v6srv.__file__).parent
ASKS = {"compile", "fullmatch", "match", "search", "sub", "split", "findall", "finditer"}
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def _patterns() -> Iterator[tuple[str, str]]:
    """File and text of every expression that is written down."""
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr in ASKS
                and isinstance(node.args[0], ast.Constant)
            ):
                yield str(file.relative_to(ROOT)), node.args[0].value


def _endless(parsed: Any, inside: bool = False) -> bool:
    """Whether an endless repeat is within another one."""
    for operator, argument in parsed:
        endless = operator in REPEATS and argument[1] is _constants.MAXREPEAT
        if endless and inside:
            return True
        for part in _parts(argument):
            if _endless(part, inside or endless):
                return True
    return False


def _parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for each in argument:
            yield from _parts(each)


@pytest.mark.parametrize("pattern", [r"(a+)+", r"(?:a*b?)*c", r"(x|y+)*", r"((ab)+c)+"])
def test_the_test_knows_what_is_meant(pattern: str) -> None:
    assert _endless(_parser.parse(pattern))


def test_nothing_endless_is_repeated_without_end() -> None:
    found = list(_patterns())
    assert len(found) > 20
    bad = [(file, text) for file, text in found if _endless(_parser.parse(text))]
    assert bad == []
