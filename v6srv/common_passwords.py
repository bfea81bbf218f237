"""Passwords that are guessed first: the list of zxcvbn, and what somebody is called.

Only its list is used: its estimate takes seconds for some texts, and would refuse others than the
contract does. The rules of the contract leave few of the list as they are, so what people add to
keep such rules (a capital, `1!` behind, `@` for `a`) is taken off before the look.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache

_LOOKS_LIKE = str.maketrans("@4310$5!7", "aaeiossit")
_LOOKS_LIKE_L = _LOOKS_LIKE | str.maketrans("1!", "ll")
_SIGNS = re.compile(r"^[\W_]+|[\W_]+$")
_SIGNS_AND_DIGITS = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_BETWEEN = re.compile(r"[\W_]+")
SHORTEST_NAME = 3


def is_common(text: str, names: Iterable[str | None] = ()) -> bool:
    """Whether this is a common password, or one of the `names`, with nothing but ornaments.

    A name inside of more is no fault: `Rita-pass-1` is in the contract.
    """
    called = {word for name in names for word in _words(name or "")}
    return any(
        form in _list() or called.issuperset(_BETWEEN.split(form))
        for form in (text.casefold(), *_forms(text.casefold()))
        if form
    )


def _forms(text: str) -> Iterator[str]:
    """What `text` may be made from."""
    for taken_off in (_SIGNS, _SIGNS_AND_DIGITS):
        bare = taken_off.sub("", text)
        yield bare
        for alike in (_LOOKS_LIKE, _LOOKS_LIKE_L):
            yield taken_off.sub("", text.translate(alike))
            yield bare.translate(alike)


def _words(name: str) -> Iterator[str]:
    """A name, whole and in its words; of an address what stands before the `@`."""
    name = name.casefold().partition("@")[0]
    for word in (name, _BETWEEN.sub("", name), *_BETWEEN.split(name)):
        if len(word) >= SHORTEST_NAME:
            yield word


@cache
def _list() -> frozenset[str]:
    """Read when it is first needed: most commands never ask."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])
