"""The endpoints of the contract: routes.csv, one line for each method and path.

callers: U user, N node, C container, A anybody, without token. free: a user without any role or
rule is not refused. body: takes a JSON object. Different from 3.x only where quirks.md says so
(GET /node/{id} is open to containers, Q-03), and where nothing needs the limit of 3.x: what the
policy lets a node view it may also list (ADR 15).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from tests.world import World


@dataclass(frozen=True)
class Route:
    """An endpoint of the contract."""

    method: str
    path: str
    callers: str
    success: int
    paged: bool
    free: bool
    body: bool

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def anonymous(self) -> bool:
        """No token is needed."""
        return "A" in self.callers

    def url(self, world: World) -> str:
        """The path with the ids of rows that everybody in organization north has to do with."""
        path = self.path.replace("{rule_id}", "21")
        return path.replace("{id}", str(_ids(world).get(path.split("/")[1], 1)))

    def caller(self) -> str | None:
        """Somebody of the right kind who may do everything that this kind may do."""
        if self.anonymous:
            return None
        return BY_KIND[self.callers[0]]


BY_KIND = {"U": "root", "N": "north_registry", "C": "container"}
"""A caller of each kind, with all rules that it can have."""


def _ids(world: World) -> dict[str, int]:
    return {
        "node": world.node.north_registry,
        "organization": world.org.north,
        "collaboration": world.collab.registry,
        "task": world.task.running,
        "result": world.result["running", "north"],
        "user": world.user.viewer,
        "role": world.role.analysts,
        "port": world.port["first"],
        "rule": 1,
    }


def _read() -> tuple[Route, ...]:
    with Path(__file__).with_name("routes.csv").open(newline="") as file:
        return tuple(
            Route(
                row["method"],
                row["path"],
                row["callers"],
                int(row["success"]),
                *(row[name] == "yes" for name in ("paged", "free", "body")),
            )
            for row in csv.DictReader(file)
        )


ROUTES = _read()
