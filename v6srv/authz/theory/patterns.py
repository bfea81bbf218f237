"""What texts a few glob patterns match together: whether there is one, and one of each kind."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from v6srv.errors import Invalid

_TOO_MANY_STATES = 20_000
_Pattern = tuple[str, bool]
_State = tuple[frozenset[int], ...]
"""How far each pattern can have been read."""


def words(patterns: Collection[str], literals: Collection[str]) -> Sequence[str]:
    """The shortest text for each set of patterns and literals that one text can match at once.

    A literal matches only itself. Raises Invalid when the patterns are too many to look through.
    """
    return _words((*((text, True) for text in patterns), *((text, False) for text in literals)))


def matched_together(
    like: Collection[str], unlike: Collection[str], literals: Collection[str] = ()
) -> bool:
    """Whether some text matches all of `like`, none of `unlike` and is none of the literals.

    True in doubt, when they are too many to look through.
    """
    if len(like) < 2 and not unlike and not literals:
        return True
    needed = frozenset((text, True) for text in like)
    others = ((text, True) for text in unlike), ((text, False) for text in literals)
    return _matched_together(needed, frozenset().union(*others))


@lru_cache(maxsize=1000)
def _words(both: tuple[_Pattern, ...]) -> tuple[str, ...]:
    found: dict[tuple[bool, ...], str] = {}
    for text, matched in _texts(both):
        found.setdefault(matched, text)
    return tuple(found.values())


@lru_cache(maxsize=10_000)
def _matched_together(needed: frozenset[_Pattern], others: frozenset[_Pattern]) -> bool:
    wanted = (*(True for _ in needed), *(False for _ in others))
    try:
        return any(matched == wanted for _, matched in _texts((*needed, *others), len(needed)))
    except Invalid:
        return True


def _texts(patterns: Sequence[_Pattern], needed: int = 0) -> Iterator[tuple[str, tuple[bool, ...]]]:
    """Texts that patterns tell apart, shortest first, and whether each matches.

    But for those that begin as none that matches the first `needed` patterns.
    """
    alphabet = _alphabet(patterns)
    start = tuple(_rest(pattern, frozenset({0})) for pattern in patterns)
    seen: dict[_State, str] = {start: ""}
    ahead = deque([start])
    while ahead:
        state = ahead.popleft()
        text = seen[state]
        yield text, tuple(len(p) in at for (p, _), at in zip(patterns, state, strict=True))
        for char in alphabet:
            after = tuple(_step(p, at, char) for p, at in zip(patterns, state, strict=True))
            if after not in seen and all(after[:needed]):
                seen[after] = text + char
                ahead.append(after)
        if len(seen) > _TOO_MANY_STATES:
            first = patterns[0][0]
            raise Invalid(f"{len(patterns)} patterns are too many to compare: {first!r}, ...")


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
