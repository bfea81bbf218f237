"""The hospitals of the demo at work: their nodes, and the researchers who ask them."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from v6srv.cli.demo import algorithm
from v6srv.cli.demo.caller import Caller, Cryptor, Ended, Refusal
from v6srv.cli.demo.generations import GENERATIONS
from v6srv.cli.demo.sealing import Plain, Sealed
from v6srv.cli.demo.station import Station
from v6srv.vocabulary import V3, V4

COLUMN = "age"
_GENERATION = {False: V3, True: V4}
"""Of the programs of a collaboration, by whether it is encrypted."""


@contextmanager
def file() -> Iterator[Path]:
    """The file that says who there is."""
    with as_file(files("v6srv.cli.demo") / "network.yaml") as path:
        yield path


class Order(NamedTuple):
    """A task, and who waits for what comes of it."""

    collaboration: str
    members: list[str]
    task_id: int
    caller: Caller
    cryptor: Cryptor

    def wait(self, stop: threading.Event) -> str:
        """What came of it, in words. Raises Ended, or Refusal when it failed or is wrong."""
        [found] = self.caller.answers(self.cryptor, self.task_id, stop)
        off = abs(found["average"] - algorithm.expected(self.members, COLUMN))
        if off > 10**-algorithm.DIGITS:
            raise Refusal(f"task {self.task_id} has a wrong result: {found}")
        return (
            f"{self.collaboration}, task {self.task_id}, nodes of"
            f" {self.caller.generation.number}.x: {found['count']} patients have the {COLUMN}"
            f" {found['average']} on average, as if they were in one place"
        )


class Network:
    """Everybody who takes part."""

    def __init__(self, url: str, keys: Path, pace_s: float, stop: threading.Event) -> None:
        """`keys`: the folder for private keys; `pace_s`: how long an algorithm seems to compute.

        All waiting ends with `stop`.
        """
        self._url, self._pace_s, self._stop = url, pace_s, stop
        with file() as path:
            self._said: dict[str, Any] = yaml.safe_load(path.read_text())
        self.key_files = {
            one["name"]: keys / f"{one['name'].lower().replace(' ', '-')}.pem"
            for collaboration in self._said["collaborations"]
            for one in collaboration["participants"]
            if collaboration["encrypted"]
        }
        self._keys = {name: Sealed(file) for name, file in self.key_files.items()}

    @property
    def users(self) -> list[dict[str, Any]]:
        """Who can log in, with passwords and roles."""
        organizations = self._said["organizations"]
        return [
            user | {"organization": one["name"]} for one in organizations for user in one["users"]
        ]

    @contextmanager
    def nodes(self) -> Iterator[list[Station]]:
        """All nodes, at work. Raises Ended."""
        with ExitStack() as running:
            found = []
            for collaboration in self._said["collaborations"]:
                generation = GENERATIONS[_GENERATION[collaboration["encrypted"]]]
                for one in collaboration["participants"]:
                    if self._stop.is_set():
                        raise Ended
                    cryptor = self._cryptor(collaboration, one["name"])
                    station = Station(self._url, generation, one["api_key"], cryptor, self._pace_s)
                    running.callback(station.stop)
                    station.start()
                    found.append(station)
            yield found

    def order(self) -> list["Order"]:
        """A task in each collaboration, started by its first researcher: an average of all."""
        return [self._order(collaboration) for collaboration in self._said["collaborations"]]

    def _order(self, collaboration: dict[str, Any]) -> "Order":
        members = [one["name"] for one in collaboration["participants"]]
        asks = next(
            user
            for user in self.users
            if user["organization"] in members and "Researcher" in user["roles"]
        )
        caller = Caller(self._url, GENERATIONS[_GENERATION[collaboration["encrypted"]]])
        caller.log_in("user", username=asks["username"], password=asks["password"])
        cryptor = self._cryptor(collaboration, asks["organization"])
        task_id = caller.order(
            cryptor,
            {"method": "average", "kwargs": {"column": COLUMN}},
            [caller.named("organization", asks["organization"])],
            name=f"Average {COLUMN}",
            description=f"Over the patients of all hospitals of the {collaboration['name']}",
            image=algorithm.IMAGE,
            collaboration_id=caller.named("collaboration", collaboration["name"])["id"],
        )
        return Order(collaboration["name"], members, task_id, caller, cryptor)

    def _cryptor(self, collaboration: dict[str, Any], organization: str) -> Cryptor:
        return self._keys[organization] if collaboration["encrypted"] else Plain()
