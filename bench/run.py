"""Measures v6srv beside a floor and the reference server: see README.md in this folder.

python bench/run.py [--write] [--json FILE] [--database URL] [--small] [PART ...]
"""

import argparse
import dataclasses
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import page
from fair import ask, page_of
from figures import Growth, Report, Row, sample
from fill import Filled, Size
from measures import counted, decisions, in_turns
from picture import picture
from scenarios import NODES, RESULTS, ROLES, SCENARIOS, TASKS, Scenario
from servers import REFERENCE_PYTHON, Failed, Party, floor, ours, prepare, reference
from sockets import joined

from tests import postgres
from v6srv import migrations

DOCS = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    size: Size = field(default_factory=Size)
    turns: int = 150
    seconds: float = 3
    """At most, for each kind of request; the servers that take part share them."""
    tasks: tuple[int, ...] = (500, 5_000, 25_000)
    roles: tuple[int, ...] = (10, 100, 1_000)
    nodes: tuple[int, ...] = (10, 100, 1_000)
    role_turns: int = 20
    connections: tuple[int, ...] = (8,)
    requests: int = 600
    sockets: int = 100
    deciders: tuple[tuple[int, int], ...] = ((200, 10), (10_000, 1_000))
    """Users and roles."""


SMALL = Plan(
    size=Size(organizations=10, collaborations=2, members=5, users=10, tasks=10),
    turns=3,
    seconds=600,
    tasks=(10,),
    roles=(1,),
    nodes=(5,),
    role_turns=2,
    connections=(2,),
    requests=20,
    sockets=2,
    deciders=((5, 2),),
)


@dataclass(frozen=True)
class Bench:
    """A run: what is planned, and what has been found."""

    plan: Plan
    report: Report
    with_reference: bool

    def database(self, uri: str, instance: Path) -> None:
        """All scenarios on one database, which is empty before."""
        kind = uri.partition(":")[0].partition("+")[0]
        _say(kind)
        data = prepare(uri, instance, self.plan.size)
        with ExitStack() as stack:
            parties = self._start(stack, uri, instance, data)
            started = {party.name: party.memory_mb() for party in parties}
            rows = [self._measure(one, data, parties) for one in SCENARIOS]
            for connections in self.plan.connections:
                row = self._together(f"{kind}, {connections}", connections, data, parties)
                self.report.together.append(row)
            if kind == "sqlite":
                for party in parties:
                    self.report.memory_mb[party.name] = started[party.name], party.memory_mb()
                    if party.name != "floor":
                        self.report.sockets[party.name] = joined(party, self.plan.sockets)
        self.report.rows[kind] = counted(rows, SCENARIOS, data, uri, instance)

    def growth(self, name: str, sizes: dict[int, Size], scenarios: tuple[Scenario, ...]) -> None:
        """The same scenarios on a database of each size, beside the floor."""
        found = Growth(name, "floor")
        for number, size in sizes.items():
            found.rows[number] = self._at(
                size,
                lambda stack, *place: self._start(stack, *place),
                scenarios,
            )
        self.report.growths.append(found)

    def roles(self) -> None:
        """Changing what everybody is decided by, beside a plain write to the same server."""
        found = Growth("roles", "plain write")
        for number in self.plan.roles:
            found.rows[number] = self._at(
                replace(self.plan.size, roles=number, tasks=min(100, self.plan.size.tasks)),
                _beside_a_write,
                ROLES,
                self.plan.role_turns,
            )
        self.report.growths.append(found)

    def _at(
        self,
        size: Size,
        start: "Callable[[ExitStack, str, Path, Filled], list[Party]]",
        scenarios: tuple[Scenario, ...],
        turns: int = 50,
    ) -> list[Row]:
        _say(f"{size.tasks} tasks, {size.roles} roles, {size.organizations} organizations")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v6srv-bench-")))
            uri = f"sqlite:///{folder / 'bench.sqlite'}"
            data = prepare(uri, folder, size)
            parties = start(stack, uri, folder, data)
            turns = min(turns, self.plan.turns)
            return [in_turns(one, data, parties, turns, self.plan.seconds) for one in scenarios]

    def _start(self, stack: ExitStack, uri: str, instance: Path, data: Filled) -> list[Party]:
        parties = [
            stack.enter_context(floor(uri)),
            stack.enter_context(ours(uri, instance, data)),
        ]
        if self.with_reference and uri.startswith("sqlite"):
            parties.append(stack.enter_context(reference(uri, instance, data)))
        return parties

    def _measure(self, scenario: Scenario, data: Filled, parties: list[Party]) -> Row:
        _say(f"  {scenario.name}")
        return in_turns(scenario, data, parties, self.plan.turns, self.plan.seconds)

    def _together(self, name: str, connections: int, data: Filled, parties: list[Party]) -> Row:
        """Kept connections that always ask; in five rounds, so that the servers take turns."""
        took: dict[str, list[float]] = {}
        cpu: dict[str, float] = {}
        for _ in range(5):
            for party in parties[:2]:  # the reference would take minutes
                before = party.cpu_s()
                asked = ask(party.port, page_of(party, data), connections, self.plan.requests // 5)
                took.setdefault(party.name, []).extend(t for one in asked for t in one.took)
                cpu[party.name] = cpu.get(party.name, 0) + party.cpu_s() - before
        return Row(name, {server: sample(times, cpu[server]) for server, times in took.items()})


def _beside_a_write(stack: ExitStack, uri: str, folder: Path, data: Filled) -> list[Party]:
    party = stack.enter_context(ours(uri, folder, data))
    return [party, replace(party, name="plain write", base_who="root", kept={})]


def _sqlite(bench: Bench, folder: Path, _database: str | None) -> None:
    bench.database(f"sqlite:///{folder / 'bench.sqlite'}", folder)
    for one in bench.plan.deciders:
        bench.report.decisions.append(decisions(folder / "policies", *one, 30))


def _postgresql(bench: Bench, folder: Path, database: str | None) -> None:
    with ExitStack() as stack:
        try:
            uri = database or stack.enter_context(postgres.private_cluster())[0]
        except postgres.NoPostgres as error:
            _say(f"without PostgreSQL: {error}")
        else:
            bench.database(uri, folder)


def _tasks(bench: Bench, _folder: Path, _database: str | None) -> None:
    sizes = {number: replace(bench.plan.size, tasks=number) for number in bench.plan.tasks}
    bench.growth("tasks", sizes, (TASKS, RESULTS))


def _nodes(bench: Bench, _folder: Path, _database: str | None) -> None:
    sizes = {number: Size(number, 1, number, max(number, 10), 10) for number in bench.plan.nodes}
    bench.growth("nodes of one collaboration", sizes, (NODES,))


def _roles(bench: Bench, _folder: Path, _database: str | None) -> None:
    bench.roles()


PARTS = {part.__name__[1:]: part for part in (_sqlite, _postgresql, _tasks, _nodes, _roles)}


def run(plan: Plan, with_reference: bool, database: str | None, parts: Iterable[str]) -> Report:
    """What is planned, of the parts that are wanted."""
    bench = Bench(plan, Report(_conditions(with_reference)), with_reference)
    began, load = time.monotonic(), os.getloadavg()
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="v6srv-bench-") as folder:
            PARTS[part](bench, Path(folder), database)
    ends = " and ".join(f"{one[0]:.1f}" for one in (load, os.getloadavg()))
    bench.report.conditions["load of the machine, first and last minute"] = ends
    bench.report.conditions["took"] = f"{time.monotonic() - began:.0f} s"
    return bench.report


def _conditions(with_reference: bool) -> dict[str, str]:
    return {
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "v6srv": f"commit {_commit()}",
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "reference server": "3.11.1, on SQLite" if with_reference else "not installed",
    }


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=DOCS)
    return done.stdout.strip() or "unknown"


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--database", help="URL of an empty PostgreSQL database, not a private one")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--write", action="store_true", help="renew docs/performance.*")
    parser.add_argument("--small", action="store_true", help="almost nothing: does it run?")
    arguments = parser.parse_args()
    if arguments.database and migrations.current(arguments.database) is not None:
        parser.error("this database is in use: give an empty one")
    if set(arguments.parts) - set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    if arguments.write and (arguments.parts or arguments.small):
        parser.error("the page is written of a whole run")
    plan = SMALL if arguments.small else Plan()
    try:
        report = run(plan, REFERENCE_PYTHON.exists(), arguments.database, arguments.parts or PARTS)
    except Failed as error:
        sys.exit(f"bench: {error}")
    finally:
        if arguments.database:
            migrations.drop_all(arguments.database)
    print(page.markdown(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(dataclasses.asdict(report), indent=2) + "\n")
    if arguments.write:
        text = DOCS / "performance.md"
        text.write_text(page.renewed(text.read_text(), page.markdown(report)))
        (DOCS / "performance.svg").write_text(picture(report))


if __name__ == "__main__":
    main()
