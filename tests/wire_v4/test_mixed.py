"""One collaboration with a node and a user of 3.11.1 and a node and a user of 4.15.2, at one time.

All use `/api`: nobody has told them, or the server, who is of which generation. Each hears and reads
its own form.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import requests

from tests.live import LiveServer, free_port, live_server
from tests.scenario.ears import Ears
from tests.wire.station import V3, V4, Programs, eventually
from tests.wire.test_real_client import PASSWORD, write_data

BASES = {3: "/v3/api", 4: "/v4/api"}
IMAGES = {3: "registry.example/average:3", 4: "registry.example/average:4"}
PROGRAMS = {3: V3, 4: V4}
AT = {3: 0, 4: 1}
"""Which organization is of which generation: its number in the settings."""


@dataclass
class Mixed:
    """A collaboration of both."""

    server: LiveServer
    folder: Path
    settings: dict[str, Any]
    headers: dict[int, dict[str, str]]
    """Of root, in each form."""
    ages: list[list[float]]

    def ask(self, generation: int, what: str, to: int | None = None, **more: Any) -> Any:
        """What the person of this generation found; `to` the organization of that generation."""
        settings = self.settings
        own = {
            "users": [settings["users"][AT[generation]]],
            "organizations": [settings["organizations"][AT[to or generation]]],
            "image": IMAGES[generation],
            "in_study": False,
        }
        folder = self.folder / f"person{generation}"
        folder.mkdir(exist_ok=True)
        asked = {**settings, **own, **more}
        return PROGRAMS[generation].errand("researcher.py", what, asked, folder)

    def get(self, generation: int, path: str, **query: Any) -> Any:
        """What root sees in one form."""
        url = self.server.url + BASES[generation] + path
        answer = requests.get(url, headers=self.headers[generation], params=query, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ears(self, generation: int) -> Ears:
        """Root's socket."""
        token = self.headers[generation]["Authorization"].removeprefix("Bearer ")
        ears = Ears(self.server.url, token)
        ears.wait_until_connected()
        return ears

    def log(self, generation: int) -> str:
        """What the station has printed."""
        return (self.folder / f"station{generation}" / "station.log").read_text()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    folder = tmp_path_factory.mktemp("mixed")
    write_data(folder)
    with live_server() as server, ExitStack() as stations:
        settings: dict[str, Any] = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "path": "/api",
            "root_password": "root",
        }
        made = V4.errand("researcher.py", "prepare", settings, folder)
        settings |= {name: made[name] for name in ("collaboration", "organizations")}
        settings["nodes"] = [node["id"] for node in made["nodes"]]
        settings["users"] = [
            {
                "username": user["username"],
                "password": PASSWORD,
                "key": str(folder / f"{user['username']}.pem"),
            }
            for user in made["users"]
        ]
        headers = {number: server.login(base=base) for number, base in BASES.items()}
        mixed = Mixed(server, folder, settings, headers, [_ages(folder, n) for n in (0, 1)])
        V4.errand("researcher.py", "share_key", {**settings, "who": 0}, folder)
        V4.errand("researcher.py", "share_key", {**settings, "who": 1}, folder)
        for generation, programs in PROGRAMS.items():
            station = _station(mixed, generation, made["nodes"][AT[generation]]["api_key"])
            stations.enter_context(_started(programs, station, folder / f"station{generation}"))
        eventually(lambda: all(_online(mixed, id) for id in settings["nodes"]))
        yield mixed
        stations.close()
        assert "Traceback" not in server.tail()


def _ages(folder: Path, number: int) -> list[float]:
    rows = (folder / f"{number}.csv").read_text().splitlines()[1:]
    return [float(row.split(",")[1]) for row in rows]


def _started(programs: Programs, station: dict[str, Any], folder: Path) -> Any:
    return programs.data_station(station, folder)


def _station(mixed: Mixed, generation: int, api_key: str) -> dict[str, Any]:
    number = AT[generation]
    csv = str(mixed.folder / f"{number}.csv")
    return {
        "name": f"station of {generation}",
        "proxy_port": free_port(),
        "algorithm": {
            "image": IMAGES[generation],
            "module": "federated_average",
            "folder": str(PROGRAMS[generation].scripts),
            "csv": csv,
        },
        "node": {
            "server_url": "http://127.0.0.1",
            "port": mixed.server.port,
            "api_path": "/api",
            "api_key": api_key,
            "encryption": {
                "enabled": True,
                "private_key": mixed.settings["users"][number]["key"],
            },
            "databases": [{"label": "default", "uri": csv, "type": "csv"}],
            "logging": {"level": "DEBUG"},
            "images": {},
        },
    }


def _online(mixed: Mixed, node_id: int) -> bool:
    node = mixed.get(4, f"/node/{node_id}")
    return node["status"] == "online" and bool(node["config"])


def test_both_compute_at_one_time_and_each_reads_its_own_form(mixed: Mixed) -> None:
    ears = {generation: mixed.ears(generation) for generation in (3, 4)}
    with ThreadPoolExecutor(2) as both:
        found = dict(zip((3, 4), both.map(lambda g: mixed.ask(g, "average"), (3, 4)), strict=True))
    for generation in (3, 4):
        assert found[generation]["average"] == pytest.approx(fmean(mixed.ages[AT[generation]]))
        assert found[generation]["status"] == "completed"
    for generation in (3, 4):
        task = found[generation]["task"]
        ears[3].take("3.x", "new_task", task)
        ears[4].take("4.x", "new_task", {"id": task, "parent_id": None})
        old, new = (mixed.get(form, f"/task/{task}") for form in (3, 4))
        assert old["run_id"] == new["job_id"]
        assert (old["complete"], new["status"]) == (True, "completed")
        assert old["initiator"] == new["init_org"]["id"]
        assert [one["label"] for one in new["databases"]] == [old["database"]]
        [run] = mixed.get(4, "/run", task_id=task)["data"]
        [result] = mixed.get(3, "/result", task_id=task)
        assert (run["id"], run["input"], run["log"]) == (
            result["id"],
            result["input"],
            result["log"],
        )
        [output] = mixed.get(4, "/result", task_id=task)["data"]
        assert output["result"] == result["result"]
    for heard in ears.values():
        heard.close()


@pytest.mark.parametrize(("user", "node"), [(3, 4), (4, 3)])
def test_a_task_for_a_node_of_the_other_generation_is_refused(
    mixed: Mixed, user: int, node: int
) -> None:
    before = len(mixed.get(3, "/task"))
    answer = mixed.ask(user, "sleep", to=node)
    name = ("Alpha", "Beta")[AT[node]]
    assert name in answer["msg"], answer
    assert len(mixed.get(3, "/task")) == before


@pytest.mark.parametrize(("user", "killer"), [(3, 4), (4, 3)])
def test_one_generation_stops_what_the_other_runs(mixed: Mixed, user: int, killer: int) -> None:
    task = mixed.ask(user, "sleep")["id"]
    eventually(lambda: mixed.get(4, f"/task/{task}/status") == {"status": "active"})
    mixed.ask(killer, "kill", task=task)
    [run] = mixed.get(4, "/run", task_id=task)["data"]
    assert run["status"] == "killed by user"
    word = {3: "result", 4: "run"}[user]
    said = f"killed the process of {word} {run['id']}\n"
    eventually(lambda: said in mixed.log(user))


def test_which_node_is_of_which_generation_is_known(mixed: Mixed) -> None:
    for generation, number in AT.items():
        log = mixed.log(generation)
        assert "Traceback" not in log
        id = mixed.settings["nodes"][number]
        config = {one["key"] for one in mixed.get(4, f"/node/{id}")["config"]}
        assert ("database_labels" in config) == (generation == 4)
