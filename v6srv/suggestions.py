"""What was probably meant by a word that nobody knows.

Said only when it is plausible: a proposal that has nothing to do with what somebody wanted is worse
than none. Plausible is a typo, another form of the word, or the same words in another order or with
some missing.
"""

import difflib
import re
from collections.abc import Iterable
from itertools import takewhile

_SPELT_ALIKE = 0.8
"""Of 1: one letter of five, two of ten."""
_ENDING = re.compile(r"(?:i?ed|ing|i?es|s|e|y)$")
_LONG_ENOUGH = 3
"""Letters: in a shorter one another letter is another word."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty when none is near."""
    by_case = {name.casefold(): name for name in known}
    said = word.casefold()
    near = difflib.get_close_matches(said, list(by_case), n=1, cutoff=_SPELT_ALIKE)
    if not near:
        near = [name for name in by_case if any(alike(said, name) for alike in _ALIKE)]
    return by_case[near[0]] if near else ""


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean organization?` or nothing."""
    near = nearest(word, known)
    return f", did you mean {near}?" if near else ""


def _one_typo(one: str, other: str) -> bool:
    """`prud` and `prod`, `prot` and `port`: one letter more, less or another, or two exchanged."""
    letters = len(one)
    start = _shared(one, other)
    one, other = one[start:], other[start:]
    end = _shared(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    if not one or not other:
        return letters > 1 and len(one + other) == 1
    return letters >= _LONG_ENOUGH and (len(one) == len(other) == 1 or one == other[1::-1])


def _shared(one: str, other: str) -> int:
    """How many letters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other)))  # noqa: B905


def _same_stem(one: str, other: str) -> bool:
    """`denied` and `deny`, `deleting` and `delete`."""
    return _ENDING.sub("", one) == _ENDING.sub("", other) != ""


def _same_words(one: str, other: str) -> bool:
    """`secret_jwt` and `jwt_secret_key`: two words in common, and all of one of them."""
    words, others = set(re.split(r"[^a-z0-9]+", one)), set(re.split(r"[^a-z0-9]+", other))
    return len(words & others) > 1 and (words <= others or others <= words)


_ALIKE = (_one_typo, _same_stem, _same_words)
