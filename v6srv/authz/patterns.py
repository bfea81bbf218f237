"""What can be said of two patterns of `*` and `?` without a text to try them on."""

from functools import cache


@cache
def overlap(left: str, right: str) -> bool:
    """Whether some text matches both patterns."""
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        state = ahead.pop()
        if state in seen:
            continue
        seen.add(state)
        i, j = state
        if i == len(left) and j == len(right):
            return True
        if i < len(left) and left[i] == "*":
            ahead.append((i + 1, j))
        if j < len(right) and right[j] == "*":
            ahead.append((i, j + 1))
        if i < len(left) and j < len(right) and _same(left[i], right[j]):
            ahead.append((i + (left[i] != "*"), j + (right[j] != "*")))
    return False


def _same(here: str, there: str) -> bool:
    """Whether one character can be what both signs stand for."""
    return here in "*?" or there in "*?" or here == there


@cache
def covers(wide: str, narrow: str) -> bool:
    """Whether every text that matches `narrow` surely matches `wide`; false when in doubt."""
    seen: set[tuple[int, int]] = set()
    ahead = [(0, 0)]
    while ahead:
        state = ahead.pop()
        if state in seen:
            continue
        seen.add(state)
        i, j = state
        if i == len(wide):
            if j == len(narrow):
                return True
            continue
        if wide[i] == "*":
            ahead.append((i + 1, j))
            if j < len(narrow):
                ahead.append((i, j + 1))
        elif j < len(narrow) and (wide[i] == narrow[j] or (wide[i] == "?" and narrow[j] != "*")):
            ahead.append((i + 1, j + 1))
    return False
