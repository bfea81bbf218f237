"""What can be said of two patterns of `*` and `?` without a text to try them on."""

from collections.abc import Callable, Iterable
from functools import cache

_State = tuple[int, int]
"""How far two patterns have been read."""


@cache
def overlap(left: str, right: str) -> bool:
    """Whether some text matches both patterns."""

    def after(i: int, j: int) -> Iterable[_State]:
        if i < len(left) and left[i] == "*":
            yield i + 1, j
        if j < len(right) and right[j] == "*":
            yield i, j + 1
        if i < len(left) and j < len(right) and _same(left[i], right[j]):
            yield i + (left[i] != "*"), j + (right[j] != "*")

    return _leads_to((len(left), len(right)), after)


@cache
def covers(wide: str, narrow: str) -> bool:
    """Whether every text that matches `narrow` surely matches `wide`; false when in doubt."""

    def after(i: int, j: int) -> Iterable[_State]:
        if i == len(wide):
            return
        if wide[i] == "*":
            yield i + 1, j
            if j < len(narrow):
                yield i, j + 1
        elif j < len(narrow) and (wide[i] == narrow[j] or (wide[i] == "?" and narrow[j] != "*")):
            yield i + 1, j + 1

    return _leads_to((len(wide), len(narrow)), after)


def _leads_to(end: _State, after: Callable[[int, int], Iterable[_State]]) -> bool:
    """Whether both patterns can be read to their ends."""
    seen: set[_State] = set()
    ahead = [(0, 0)]
    while ahead:
        state = ahead.pop()
        if state == end:
            return True
        if state not in seen:
            seen.add(state)
            ahead += after(*state)
    return False


def _same(here: str, there: str) -> bool:
    """Whether one character can be what both signs stand for."""
    return here in "*?" or there in "*?" or here == there
