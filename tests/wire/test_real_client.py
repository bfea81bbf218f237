"""A whole study with the unmodified client and nodes of release 3.11.1, end-to-end encrypted.

Two data stations hold a CSV file each; the researcher gets the average over both and sees neither.
"""

import base64
import csv
import random
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
from tests.wire.station import HERE, data_station, errand, eventually

IMAGE = "registry.example/average:1"
PASSWORD = "Str0ng-Pass!"
SECRET = "a secret of this study, long enough for its algorithm"


@dataclass
class Study:
    """A server with a study that is under way."""

    server: LiveServer
    folder: Path
    settings: dict[str, Any]
    ages: list[float]
    root: dict[str, str]
    keys: list[str]
    """Public keys, as their owners know them."""
    stations: dict[int, ExitStack] = field(default_factory=dict)
    servers: ExitStack = field(default_factory=ExitStack)

    def start(self, number: int, **more: Any) -> None:
        """Start a data station."""
        self.stations[number] = ExitStack()
        folder = self.folder / f"station{number}"
        settings = {**self.station(number), **more}
        self.stations[number].enter_context(data_station(settings, folder))

    def stop(self, number: int) -> None:
        """Stop it again."""
        self.stations.pop(number).close()

    def restart_server(self) -> None:
        """Stop the server as a container is stopped, and start it again."""
        old = self.server
        assert old.stop(signal.SIGTERM) == 0, old.tail()
        again = live_server(instance=old.instance, port=old.port, V6SRV_JWT_SECRET=SECRET)
        self.server = self.servers.enter_context(again)

    def ask(self, what: str, **more: Any) -> Any:
        return errand("researcher.py", what, {**self.settings, **more}, self.folder)

    def get(self, path: str, **query: Any) -> Any:
        """What root sees, as it is stored."""
        answer = requests.get(
            f"{self.server.api}{path}", headers=self.root, params=query, timeout=10
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def station(self, number: int) -> dict[str, Any]:
        """The configuration of a data station."""
        return {
            "name": f"station {number}",
            "proxy_port": free_port(),
            "algorithm": {
                "image": IMAGE,
                "module": "federated_average",
                "folder": str(HERE),
                "csv": str(self.folder / f"{number}.csv"),
            },
            "node": {
                "server_url": "http://127.0.0.1",
                "port": self.server.port,
                "api_path": "/api",
                "api_key": self.settings["keys"][number],
                "encryption": {
                    "enabled": True,
                    "private_key": self.settings["users"][number]["key"],
                },
                "logging": {"level": "DEBUG"},
                "images": {},
            },
        }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    folder = tmp_path_factory.mktemp("study")
    ages = write_data(folder)
    with live_server(V6SRV_JWT_SECRET=SECRET) as server:
        settings: dict[str, Any] = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "root_password": "root",
            "image": IMAGE,
        }
        made = errand("researcher.py", "prepare", settings, folder)
        settings |= {
            "collaboration": made["collaboration"]["id"],
            "organizations": made["organizations"],
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
        study = Study(server, folder, settings, ages, server.login(), [])
        try:
            # Alpha's key is uploaded by a person, Beta's by its node when it starts.
            shared = study.ask("share_key", who=0)
            assert shared["organization"] == "Alpha"
            study.keys = [shared["public_key"], study.ask("make_key", who=1)["public_key"]]
            assert study.get(f"/organization/{settings['organizations'][1]}")["public_key"] == ""
            for number in (0, 1):
                study.start(number)
            eventually(lambda: all(_online(study, id) for id in settings["nodes"]))
            yield study
        finally:
            for number in list(study.stations):
                study.stop(number)
            study.servers.close()


def write_data(folder: Path) -> list[float]:
    chance = random.Random(7)
    everything: list[float] = []
    for number, size in enumerate((40, 25)):
        ages = [round(chance.uniform(18, 95), 1) for _ in range(size)]
        with (folder / f"{number}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["patient", "age"])
            rows.writerows(enumerate(ages))
        everything += ages
    return everything


def _online(study: Study, node_id: int) -> bool:
    node = study.get(f"/node/{node_id}")
    return node["status"] == "online" and bool(node["config"])


def test_both_public_keys_are_stored_exactly_as_they_were_sent(study: Study) -> None:
    stored = [
        study.get(f"/organization/{id}")["public_key"] for id in study.settings["organizations"]
    ]
    assert stored == study.keys
    assert all(base64.b64decode(key).startswith(b"-----BEGIN PUBLIC KEY-----") for key in stored)


def test_the_average_of_both_stations_is_found_and_nothing_is_readable_on_the_server(
    study: Study,
) -> None:
    ears = Ears(study.server.url, study.root["Authorization"].removeprefix("Bearer "))
    ears.wait_until_connected()
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))
    assert sorted(part["count"] for part in found["parts"]) == [25, 40]
    assert found["status"] == "completed"
    stored = study.get("/result", task_id=found["task"])
    assert len(stored) == 2
    for result in stored:
        for text in (result["input"], result["result"]):
            key, iv, payload = (base64.b64decode(part, validate=True) for part in text.split("$"))
            assert (len(key), len(iv)) == (512, 16)  # clients.md 8: encrypted AES key, IV, data
            assert payload
            assert not any(word in payload for word in (b"partial", b"count"))
        assert result["started_at"]
        assert result["finished_at"]
        assert "Dispatching" in result["log"]
    _was_told(study, ears, found["task"], stored)


def _was_told(study: Study, ears: Ears, task_id: int, results: list[dict[str, Any]]) -> None:
    """A user of the collaboration heard of the task and of each state of each node's part."""
    settings = study.settings
    task = study.get(f"/task/{task_id}")
    about = {"task_id": task_id, "run_id": task["run_id"]}
    about["collaboration_id"] = settings["collaboration"]
    created = {**about, "init_org_id": settings["organizations"][0]}
    ears.take("created", "task_created", created)
    ears.take("new", "new_task", task_id)
    nodes = dict(zip(settings["organizations"], settings["nodes"], strict=True))
    for result in results:
        organization = result["organization"]["id"]
        change = {
            **about,
            "result_id": result["id"],
            "node_id": nodes[organization],
            "organization_id": organization,
            "parent_id": None,
        }
        for status in ("active", "completed"):
            ears.take(status, "algorithm_status_change", {**change, "status": status})
        for _ in ("started_at", "active", "completed"):
            ears.take("patched", "status_update", {"result_id": result["id"]})
    ears.close()


def test_an_algorithm_starts_subtasks_through_the_proxy_of_its_node(study: Study) -> None:
    found = study.ask("central")
    assert found["result"], found["log"]
    assert found["result"]["average"] == pytest.approx(statistics.fmean(study.ages))
    assert found["result"]["seen"] == {
        "parts": 2,
        "collaboration": study.settings["collaboration"],
        "node": study.settings["nodes"][0],
        "addresses": [],
        "children": [],
    }
    [child] = found["children"]
    assert child["run_id"] == found["task"]["run_id"]
    assert child["parent"]["id"] == found["task"]["id"]
    assert child["init_user"] == found["task"]["init_user"]
    assert child["status"] == "completed"


def test_a_kill_reaches_the_algorithms(study: Study) -> None:
    task = study.ask("sleep")
    path = f"/task/{task['id']}"
    eventually(lambda: study.get(path)["status"] == "active")
    eventually(
        lambda: all(one["status"] == "active" for one in study.get("/result", task_id=task["id"]))
    )
    killed = study.ask("kill", task=task["id"])
    assert killed["complete"] is True
    assert {one["status"] for one in killed["results"]} == {"killed by user"}
    for one, number in zip(task["results"], range(2), strict=True):
        log = study.folder / f"station{number}" / "station.log"
        said = f"killed the process of result {one['id']}\n"
        eventually(lambda log=log, said=said: said in log.read_text())  # type: ignore[misc]


def test_a_station_computes_what_was_asked_while_it_was_off(study: Study) -> None:
    study.stop(1)
    eventually(lambda: study.get(f"/node/{study.settings['nodes'][1]}")["status"] == "offline")
    task = study.ask("sleep", seconds=0)
    path = f"/task/{task['id']}"
    eventually(lambda: study.get(path, include="results")["results"][0]["status"] == "completed")
    assert study.get(path)["status"] == "pending"
    study.start(1)
    eventually(lambda: study.get(path)["status"] == "completed")


def test_a_station_that_connects_with_an_expired_token_recovers(study: Study) -> None:
    """Everyday business: the library of the node reconnects with its first token for ever."""
    study.stop(1)
    node = study.settings["nodes"][1]
    eventually(lambda: study.get(f"/node/{node}")["status"] == "offline")
    study.start(1, secret=SECRET, expires_s=-1_000)
    log = study.folder / "station1" / "station.log"
    eventually(lambda: "connecting for time 2" in log.read_text())
    assert "Your token is no longer valid... reconnecting" in log.read_text()
    eventually(lambda: _online(study, node))
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))


def test_the_stations_come_back_when_the_server_was_restarted(study: Study) -> None:
    """By themselves, and with what they share: stopping has marked them offline."""
    study.restart_server()
    eventually(lambda: all(_online(study, node) for node in study.settings["nodes"]))
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))


def test_a_station_whose_token_expires_while_it_is_connected_comes_back_once(study: Study) -> None:
    """Everyday business: its library comes back with the first token for ever."""
    study.stop(1)
    log = study.folder / "station1" / "station.log"
    log.unlink()
    begun = time.monotonic()
    study.start(1, secret=SECRET, expires_s=20)
    eventually(lambda: _online(study, study.settings["nodes"][1]))
    eventually(lambda: time.monotonic() > begun + 22)
    study.restart_server()
    eventually(lambda: "connecting for time 2" in log.read_text())
    found = study.ask("average")
    assert found["average"] == pytest.approx(statistics.fmean(study.ages))
    assert log.read_text().count("Your token is no longer valid") == 1
    assert "connecting for time 3" not in log.read_text()
