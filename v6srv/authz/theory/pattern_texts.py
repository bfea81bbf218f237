"""Texts to try glob patterns with: one for each way that they can match or not match together."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from v6srv.errors import Invalid

_TOO_MANY_STATES = 20_000
_Pattern = tuple[str, bool]
_State = tuple[frozenset[int], ...]


def words(patterns: Collection[str], literals: Collection[str]) -> Sequence[str]:
    """The shortest text for each set of patterns and literals that one text can match at once.

    A literal matches only itself. Raises Invalid when the patterns are too many to look through.
    """
    return _words((*((text, True) for text in patterns), *((text, False) for text in literals)))


@lru_cache(maxsize=1000)
def _words(both: tuple[_Pattern, ...]) -> tuple[str, ...]:
    alphabet = _alphabet(both)
    start = tuple(_rest(pattern, frozenset({0})) for pattern in both)
    seen: dict[_State, str] = {start: ""}
    found: dict[tuple[bool, ...], str] = {}
    ahead = deque([start])
    while ahead:
        state = ahead.popleft()
        text = seen[state]
        found.setdefault(_matched(both, state), text)
        for char in alphabet:
            following = tuple(
                _step(pattern, at, char) for pattern, at in zip(both, state, strict=True)
            )
            if following not in seen:
                seen[following] = text + char
                ahead.append(following)
        if len(seen) > _TOO_MANY_STATES:
            raise Invalid(f"{len(both)} patterns are too many to compare: {both[0][0]!r}, ...")
    return tuple(found.values())


def _alphabet(patterns: Collection[_Pattern]) -> list[str]:
    """Every character that is asked for, and one that is not."""
    asked = {c for text, glob in patterns for c in text if not (glob and c in "*?")}
    other = next(c for c in _candidates() if c not in asked)
    return [other, *sorted(asked)]


def _candidates() -> Iterator[str]:
    yield from "xzyqwvkj"
    yield from map(chr, range(0x4E00, 0x9FFF))


def _rest(pattern: _Pattern, positions: frozenset[int]) -> frozenset[int]:
    """Positions, and those behind the stars at them: a star may match nothing."""
    text, glob = pattern
    found = set(positions)
    for at in positions:
        here = at
        while glob and here < len(text) and text[here] == "*":
            here += 1
            found.add(here)
    return frozenset(found)


def _step(pattern: _Pattern, positions: frozenset[int], char: str) -> frozenset[int]:
    text, glob = pattern
    after = set()
    for at in positions:
        if at == len(text):
            continue
        if glob and text[at] == "*":
            after.add(at)
        elif text[at] == char or (glob and text[at] == "?"):
            after.add(at + 1)
    return _rest(pattern, frozenset(after))


def _matched(patterns: Collection[_Pattern], state: _State) -> tuple[bool, ...]:
    return tuple(len(text) in at for (text, _), at in zip(patterns, state, strict=True))
