"""The algorithm of the demo: an average over data that stays where it is.

`partial` counts in the data of one organization; `average` is sent to one of them, asks all for
their part by a subtask, and combines what comes back.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

IMAGE = "registry.example/v6srv/average:1"
PATIENTS = 200
DIGITS = 3

Ask = Callable[[str, dict[str, Any]], Sequence[Mapping[str, float]]]
"""Starts a method with arguments at all organizations, and waits for what each of them says."""


def data_of(organization: str) -> dict[str, list[float]]:
    """Patients that nobody is: the same ones whenever they are made."""
    chance = random.Random(organization)  # noqa: S311 - no secret
    middle = chance.uniform(55, 70)
    return {
        "age": [round(chance.gauss(middle, 9), 1) for _ in range(PATIENTS)],
        "weight": [round(chance.gauss(78, 11), 1) for _ in range(PATIENTS)],
    }


def expected(organizations: Sequence[str], column: str) -> float:
    """What the average is, for those who see all patients at once."""
    values = [value for name in organizations for value in data_of(name)[column]]
    return fmean(values)


def partial(data: Mapping[str, Sequence[float]], column: str) -> dict[str, float]:
    """Sum and count of one organization."""
    return {"sum": sum(data[column]), "count": len(data[column])}


def average(ask: Ask, column: str) -> dict[str, float]:
    """The average over all organizations, none of which shows a patient."""
    parts = ask("partial", {"column": column})
    count = sum(part["count"] for part in parts)
    return {"average": round(sum(part["sum"] for part in parts) / count, DIGITS), "count": count}


METHODS = {"partial": partial}
USAGE = "the methods partial and average, with the argument column: age or weight; as JSON"
