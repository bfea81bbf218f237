"""A whole study with the unmodified client, nodes and algorithm client of release 4.15.2.

End-to-end encrypted, once where these programs are told to go (`/v4/api`), and once where they go
by themselves (`/api`). Two data stations hold a CSV file each; the researcher gets the average over
both and sees neither.
"""

import base64
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live import LiveServer, free_port, live_server
from tests.scenario.ears import Ears
from tests.wire.station import V4, eventually
from tests.wire.test_real_client import write_data

IMAGE = "registry.example/average:4"
PASSWORD = "Str0ng-Pass!"
SECRET = "a secret of this study, long enough for its algorithm"


@dataclass
class Study:
    """A server with a study that is under way."""

    server: LiveServer
    path: str
    """The base path that the programs use."""
    folder: Path
    settings: dict[str, Any]
    ages: list[float]
    root: dict[str, str]
    stations: dict[int, ExitStack] = field(default_factory=dict)
    servers: ExitStack = field(default_factory=ExitStack)

    def start(self, number: int, **more: Any) -> None:
        """Start a data station."""
        self.stations[number] = ExitStack()
        folder = self.folder / f"station{number}"
        settings = {**self.station(number), **more}
        self.stations[number].enter_context(V4.data_station(settings, folder))

    def stop(self, number: int) -> None:
        """Stop it again."""
        self.stations.pop(number).close()

    def restart_server(self, secret: str) -> None:
        """Stop the server as a container is stopped, and start it again with another key."""
        old = self.server
        assert old.stop(signal.SIGTERM) == 0, old.tail()
        again = live_server(instance=old.instance, port=old.port, V6SRV_JWT_SECRET=secret)
        self.server = self.servers.enter_context(again)
        self.root = self.server.login(base="/v4/api")

    def log(self, number: int) -> str:
        """What the station has printed."""
        return (self.folder / f"station{number}" / "station.log").read_text()

    def ask(self, what: str, **more: Any) -> Any:
        return V4.errand("researcher.py", what, {**self.settings, **more}, self.folder)

    def get(self, path: str, **query: Any) -> Any:
        """What root sees in the form of 4.x."""
        url = f"{self.server.url}/v4/api{path}"
        answer = requests.get(url, headers=self.root, params=query, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def runs(self, task_id: int) -> list[dict[str, Any]]:
        """The runs of a task."""
        found: list[dict[str, Any]] = self.get("/run", task_id=task_id)["data"]
        return found

    def station(self, number: int) -> dict[str, Any]:
        """The configuration of a data station."""
        csv = str(self.folder / f"{number}.csv")
        return {
            "name": f"station {number}",
            "proxy_port": free_port(),
            "algorithm": {
                "image": IMAGE,
                "module": "federated_average",
                "folder": str(V4.scripts),
            },
            "node": {
                "server_url": "http://127.0.0.1",
                "port": self.server.port,
                "api_path": self.path,
                "api_key": self.settings["keys"][number],
                "encryption": {
                    "enabled": True,
                    "private_key": self.settings["users"][number]["key"],
                },
                "databases": [{"label": "default", "uri": csv, "type": "csv"}],
                "logging": {"level": "DEBUG"},
                "images": {},
            },
        }


@pytest.fixture(scope="module", params=["/v4/api", "/api"])
def study(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("study")
    ages = write_data(folder)
    with live_server(V6SRV_JWT_SECRET=SECRET) as server:
        settings: dict[str, Any] = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "path": request.param,
            "root_password": "root",
            "image": IMAGE,
        }
        made = V4.errand("researcher.py", "prepare", settings, folder)
        settings |= {name: made[name] for name in ("collaboration", "study", "organizations")}
        settings |= {
            "keys": [node["api_key"] for node in made["nodes"]],
            "nodes": [node["id"] for node in made["nodes"]],
            "users": [
                {
                    "username": user["username"],
                    "password": PASSWORD,
                    "key": str(folder / f"{user['username']}.pem"),
                }
                for user in made["users"]
            ],
        }
        study = Study(server, request.param, folder, settings, ages, server.login(base="/v4/api"))
        with ExitStack() as stations:
            stations.callback(lambda: [study.stop(number) for number in list(study.stations)])
            # Alpha's key is uploaded by a person, Beta's by its node when it starts.
            study.ask("share_key", who=0)
            study.ask("make_key", who=1)
            for number in (0, 1):
                study.start(number)
            eventually(lambda: all(_online(study, id) for id in settings["nodes"]))
            yield study
        assert "Traceback" not in study.server.tail()
        study.servers.close()


once = pytest.mark.parametrize("study", ["/api"], indirect=True, scope="module")
"""For what is of sockets and tokens, which have nothing to do with the base path; below both of
them, test_every_method.py calls every method."""


def _online(study: Study, node_id: int) -> bool:
    node = study.get(f"/node/{node_id}")
    return node["status"] == "online" and bool(node["config"])


def test_the_nodes_share_their_configuration(study: Study) -> None:
    config = study.get(f"/node/{study.settings['nodes'][0]}")["config"]
    shared = [(one["key"], one["value"]) for one in config]
    assert ("database_labels", "default") in shared
    assert ("db_type_default", "csv") in shared
    columns = [("columns_default", "patient"), ("columns_default", "age")]
    assert [pair for pair in shared if pair[0] == "columns_default"] == columns


def test_the_average_of_both_stations_is_found_and_nothing_is_readable_on_the_server(
    study: Study,
) -> None:
    ears = Ears(study.server.url, study.root["Authorization"].removeprefix("Bearer "))
    ears.wait_until_connected()
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))
    assert sorted(part["count"] for part in found["parts"]) == [25, 40]
    assert found["status"] == "completed"
    runs = study.runs(found["task"])
    results = study.get("/result", task_id=found["task"])["data"]
    assert len(runs) == len(results) == 2
    for text in [run["input"] for run in runs] + [one["result"] for one in results]:
        key, iv, payload = (base64.b64decode(part, validate=True) for part in text.split("$"))
        assert (len(key), len(iv)) == (512, 16)  # clients.md 8 of 3.x: encrypted AES key, IV, data
        assert payload
        assert not any(word in payload for word in (b"partial", b"count"))
    for run in runs:
        assert run["started_at"] < run["finished_at"]
        assert run["log"].count("counting age") == 1
    ears.take("new", "new_task", {"id": found["task"], "parent_id": None})
    _was_told(study, ears, found["task"], runs)


def _was_told(study: Study, ears: Ears, task_id: int, runs: list[dict[str, Any]]) -> None:
    """A user heard of each state of each node's part, and of its lines while it ran."""
    settings = study.settings
    nodes = dict(zip(settings["organizations"], settings["nodes"], strict=True))
    for run in runs:
        organization = run["organization"]["id"]
        change = {
            "run_id": run["id"],
            "task_id": task_id,
            "job_id": study.get(f"/task/{task_id}")["job_id"],
            "collaboration_id": settings["collaboration"],
            "node_id": nodes[organization],
            "organization_id": organization,
            "parent_id": None,
        }
        for status in ("active", "completed"):
            ears.take(status, "algorithm_status_change", {**change, "status": status})
        eventually(lambda id=run["id"]: "counting age" in _lines(ears, id))  # type: ignore[misc]
    ears.close()


def _lines(ears: Ears, run_id: int) -> str:
    """What was heard of what an algorithm printed while it ran."""
    heard = (data for name, data in ears.events if name == "algorithm_log")
    return "".join(data["log"] for data in heard if data["run_id"] == run_id)


def test_an_algorithm_starts_subtasks_through_the_proxy_of_its_node(study: Study) -> None:
    settings = study.settings
    found = study.ask("central")
    assert found["result"], found["log"]
    assert found["result"]["average"] == pytest.approx(statistics.fmean(study.ages))
    assert found["result"]["seen"] == {
        "parts": 2,
        "organizations": settings["organizations"],
        "collaboration": settings["collaboration"],
        "node": settings["nodes"][0],
        "study": settings["study"],
        "studies": [settings["study"]],
        "databases": [{"label": "default"}],
        "runs": ["completed", "completed"],
        "status": "completed",
        "addresses": [],
    }
    [child] = found["children"]
    assert child["job_id"] == found["task"]["job_id"]
    assert child["parent"]["id"] == found["task"]["id"]
    assert child["study"]["id"] == settings["study"]
    assert child["init_user"]["id"] == found["task"]["init_user"]["id"]
    assert child["status"] == "completed"


def test_a_kill_reaches_the_algorithms_and_their_lines_stay(study: Study) -> None:
    task = study.ask("sleep")["id"]
    eventually(lambda: [run["status"] for run in study.runs(task)] == ["active"] * 2)
    eventually(lambda: all("going to sleep" in (run["log"] or "") for run in study.runs(task)))
    killed = study.ask("kill", task=task)
    assert killed["task"]["status"] == "killed by user"
    assert {run["status"] for run in killed["runs"]} == {"killed by user"}
    assert all(run["finished_at"] and "going to sleep" in run["log"] for run in killed["runs"])
    organizations = study.settings["organizations"]
    for run in killed["runs"]:
        number = organizations.index(run["organization"]["id"])
        said = f"killed the process of run {run['id']}\n"
        eventually(lambda number=number, said=said: said in study.log(number))  # type: ignore[misc]


@once
def test_a_station_computes_what_was_asked_while_it_was_off(study: Study) -> None:
    study.stop(1)
    node = study.settings["nodes"][1]
    eventually(lambda: study.get(f"/node/{node}")["status"] == "offline")
    task = study.ask("sleep", seconds=0)["id"]
    path = f"/task/{task}/status"
    eventually(lambda: {run["status"] for run in study.runs(task)} == {"completed", "pending"})
    assert study.get(path) == {"status": "pending"}
    study.start(1)
    eventually(lambda: study.get(path) == {"status": "completed"})


@once
def test_a_station_that_connects_with_an_expired_token_recovers(study: Study) -> None:
    study.stop(1)
    node = study.settings["nodes"][1]
    eventually(lambda: study.get(f"/node/{node}")["status"] == "offline")
    study.start(1, secret=SECRET, expires_s=-1_000)
    eventually(lambda: "connecting for time 2" in study.log(1))
    assert "Your token is no longer valid... reconnecting" in study.log(1)
    eventually(lambda: _online(study, node))
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))


@once
def test_a_station_whose_token_expires_while_it_is_connected_comes_back_once(study: Study) -> None:
    """Everyday business: its library comes back with the first token for ever."""
    study.stop(1)
    (study.folder / "station1" / "station.log").unlink()
    begun = time.monotonic()
    study.start(1, secret=SECRET, expires_s=20)
    node = study.settings["nodes"][1]
    eventually(lambda: _online(study, node))
    eventually(lambda: time.monotonic() > begun + 22)
    study.restart_server(SECRET)
    eventually(lambda: "connecting for time 2" in study.log(1))
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))
    assert study.log(1).count("Your token is no longer valid") == 1
    assert "connecting for time 3" not in study.log(1)


@once
def test_the_stations_come_back_when_the_server_signs_with_another_key(study: Study) -> None:
    """By themselves: they are told that their tokens are no good, and log in with their keys."""
    study.restart_server(f"another {SECRET}")
    eventually(lambda: all(_online(study, node) for node in study.settings["nodes"]))
    assert all("Node has invalid token. Reauthenticating" in study.log(n) for n in (0, 1))
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))
