"""keyMatch, keyMatch2 and globMatch: what stock Casbin says, or a refusal."""

import ast
import random
import re
from collections.abc import Callable

import pytest
from casbin.model import FunctionMap

from v6srv.authz.expression import FUNCTIONS, ExpressionError, parse
from v6srv.authz.path_patterns import PATH_PATTERNS, Unsayable

STOCK = FunctionMap.load_function_map().fm
PATTERNS, TEXTS = "ab/.:*?", "ab/.:"


def _said(name: str, pattern: str) -> Callable[[str | None], bool]:
    """The expression that stands for a call, as a function of the text."""
    tree = PATH_PATTERNS[name](ast.Name("text", ast.Load()), pattern)
    source = ast.unparse(ast.fix_missing_locations(tree))
    found: Callable[[str | None], bool] = eval(f"lambda text: {source}", {**FUNCTIONS})
    return found


def _letters(chance: random.Random, letters: str, most: int) -> str:
    return "".join(chance.choices(letters, k=chance.randint(0, most)))


def _near(chance: random.Random, pattern: str) -> str:
    """A text that may match."""
    text = re.sub(r":[^/]+", lambda _: _letters(chance, TEXTS, 2), pattern)
    return re.sub(r"[*?]", lambda _: _letters(chance, TEXTS, 3), text)


@pytest.mark.parametrize("name", PATH_PATTERNS)
def test_random_texts_match_as_in_stock_casbin(name: str) -> None:
    chance, sayable, matched = random.Random(name), 0, 0
    while sayable < 500:
        pattern = _letters(chance, PATTERNS, 7)
        try:
            said = _said(name, pattern)
        except Unsayable:
            continue
        sayable += 1
        for _ in range(10):
            text = _near(chance, pattern) if chance.random() < 0.7 else _letters(chance, TEXTS, 7)
            if name == "globMatch" and ("//" in text or text.endswith("/")):
                assert not said(text), (pattern, text)  # other-than-casbin
                continue
            expected = bool(STOCK[name](text, pattern))
            assert said(text) is expected, (pattern, text)
            matched += expected
    assert matched > 500


@pytest.mark.parametrize("name", PATH_PATTERNS)
def test_an_absent_text_never_matches(name: str) -> None:
    assert not _said(name, "a/*")(None)
    assert not _said(name, "a/b")(None)


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("keyMatch2(r_obj.image, 'registry.example/:x')", "another meaning in stock Casbin"),
        ("keyMatch2(r_obj.image, 'a*')", "follows a slash"),
        ("keyMatch2(r_obj.image, ':x/*')", "both : and *"),
        ("keyMatch(r_obj.image, 'a?/*')", "another meaning"),
        ("globMatch(r_obj.image, 'a/**')", "ways of its own"),
        ("globMatch(r_obj.image, '*/a')", "ways of its own"),
        ("globMatch(r_obj.image, 'a//b')", "a segment of it is empty"),
        ("globMatch(r_obj.image, '{a,b}')", "another meaning"),
        ("globMatch(r_obj.image, r_sub.image)", "is a quoted text"),
        ("keyMatch(r_obj.image)", "is a quoted text"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused(condition: str, says: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(says)):
        parse(condition)
