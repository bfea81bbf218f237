"""What is measured, as numbers."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """Answers of one server to one kind of request; milliseconds."""

    count: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """Of all its processes, for each answer; that of a PostgreSQL is not in it."""
    queries: int | None = None
    """SQL statements that one answer takes."""


@dataclass(frozen=True)
class Row:
    """One kind of request, measured in turns."""

    name: str
    samples: dict[str, Sample]
    """By server: "v6srv", "floor" (or "plain write") and "reference"."""
    goal: float | None = None
    """How many times the floor it may take."""

    def times(self, server: str, base: str) -> float | None:
        """The median of one server as a multiple of that of another."""
        if server not in self.samples or base not in self.samples:
            return None
        return self.samples[server].p50_ms / self.samples[base].p50_ms


@dataclass(frozen=True)
class Growth:
    """The same requests at several sizes, on a database each."""

    name: str
    base: str
    """What it is a multiple of: "floor" or "plain write"."""
    rows: dict[int, list[Row]] = field(default_factory=dict)
    """By size."""


@dataclass(frozen=True)
class Report:
    """One run."""

    conditions: dict[str, str]
    """Of the machine and of the servers, each a line for people."""
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By the name of the database."""
    together: list[Row] = field(default_factory=list)
    """With several connections at once; a row for each number."""
    growths: list[Growth] = field(default_factory=list)
    memory_mb: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By server: when it had started, and when the first database was measured."""
    sockets: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    """By server: how many, seconds until all had joined, kilobytes for each."""
    decisions: list[dict[str, float]] = field(default_factory=list)


def percentile(values: Sequence[float], part: float) -> float:
    """The smallest of the values that at least this part of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def sample(seconds: Sequence[float], cpu_s: float, queries: int | None = None) -> Sample:
    """Of how long the answers took and what all of them took of the processor."""
    return Sample(
        len(seconds),
        1000 * statistics.median(seconds),
        1000 * percentile(seconds, 0.99),
        1000 * cpu_s / len(seconds),
        queries,
    )
