"""Numbers over time, as a picture of stacked bars."""

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, BELOW = 640, 160, 44, 22
"""Of the whole picture, and of what is beside and below the bars, in pixels."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar."""

    kind: str
    number: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """What there is of each kind at one time."""

    label: str
    x: float
    parts: list[Part]
    total: int


@dataclass(frozen=True, slots=True)
class Bars:
    """The picture; the words beside it are its table."""

    bars: list[Bar]
    kinds: list[str]
    highest: int
    bar_width: float

    @property
    def total(self) -> int:
        """Of all that is shown."""
        return sum(bar.total for bar in self.bars)

    @property
    def labelled(self) -> list[Bar]:
        """The bars that have room for a word below."""
        every = -(-len(self.bars) // 8)
        return self.bars[::every]


def stacked(numbers: Mapping[str, Mapping[str, int]]) -> Bars:
    """A bar for each entry, in its order, with a part for each kind that has a number."""
    kinds = sorted({kind for each in numbers.values() for kind in each})
    highest = max((sum(each.values()) for each in numbers.values()), default=0) or 1
    step = (WIDTH - LEFT) / max(len(numbers), 1)
    bars = []
    for place, (label, each) in enumerate(numbers.items()):
        y, parts = float(HEIGHT - BELOW), []
        for kind in kinds:
            if number := each.get(kind, 0):
                height = number / highest * (HEIGHT - BELOW - 10)
                y -= height
                parts.append(Part(kind, number, round(y, 1), round(height, 1)))
        bars.append(Bar(label, round(LEFT + place * step, 1), parts, sum(each.values())))
    return Bars(bars, kinds, highest, round(step * 0.8, 1))
