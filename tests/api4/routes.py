"""The endpoints of the 4.x contract: routes.csv, one line for each method and path.

callers: U user, N node, C container, A anybody, without token.
"""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Route:
    """An endpoint of the contract."""

    method: str
    path: str
    callers: str
    success: int
    paged: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _read() -> tuple[Route, ...]:
    with Path(__file__).with_name("routes.csv").open(newline="") as file:
        return tuple(
            Route(
                row["method"],
                row["path"],
                row["callers"],
                int(row["success"]),
                row["paged"] == "yes",
            )
            for row in csv.DictReader(file)
        )


ROUTES = _read()
