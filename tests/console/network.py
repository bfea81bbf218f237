"""A small network on a live server, made through REST: for pages in a real browser."""

from dataclasses import dataclass, field
from typing import Any

import requests

from tests.api4.store import algorithm_store
from tests.live import LiveServer

PASSWORD = "Wind-mill-42-tulip"
IMAGE = "registry.example/average:1"


@dataclass
class Network:
    """Who is there, by number."""

    server: LiveServer
    headers: dict[str, str]
    organizations: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    ids: dict[str, Any] = field(default_factory=dict)
    """As `places.ids`."""

    def ask(self, method: str, path: str, body: Any = None, base: str = "/api") -> Any:
        """What the server answers to root. Fails where that is a refusal."""
        answer = requests.request(
            method, f"{self.server.url}{base}{path}", json=body, headers=self.headers, timeout=20
        )
        assert answer.ok, answer.text
        return answer.json()


def network(server: LiveServer) -> Network:
    """Three hospitals in a collaboration, two nodes, a task with a subtask, a user and a role."""
    net = Network(server, server.login())
    names = ("North hospital", "South hospital", "West registry")
    net.organizations = [net.ask("POST", "/organization", {"name": name})["id"] for name in names]
    members = {"name": "Heart failure", "organization_ids": [1, *net.organizations]}
    collaboration = net.ask("POST", "/collaboration", members | {"encrypted": False})["id"]
    nodes = [
        net.ask("POST", "/node", {"collaboration_id": collaboration, "organization_id": id})
        for id in net.organizations[:2]
    ]
    net.keys = [node["api_key"] for node in nodes]
    order = {
        "name": "average",
        "image": IMAGE,
        "collaboration_id": collaboration,
        "organizations": [{"id": id, "input": "e30="} for id in net.organizations[:2]],
    }
    task = net.ask("POST", "/task", order)["id"]
    role = {
        "name": "analysts",
        "description": "Who looks",
        "organization_id": net.organizations[0],
        "rules": [1, 2],
    }
    person = {
        "username": "ada",
        "firstname": "Ada",
        "lastname": "Example",
        "email": "ada@north.example",
        "password": PASSWORD,
        "organization_id": net.organizations[0],
    }
    net.ids = {
        "organization": net.organizations[0],
        "collaboration": collaboration,
        "node": nodes[0]["id"],
        "task": task,
        "role": net.ask("POST", "/role", role)["id"],
        "user": net.ask("POST", "/user", person)["id"],
        "result": net.ask("GET", f"/task/{task}/result")[0]["id"],
    }
    line = ("role:viewer", "port", "own", "view", "allow")
    names = ("subject", "resource", "scope", "operation", "effect")
    net.ids["policy"] = net.ask("POST", "/policy/line", dict(zip(names, line, strict=True)))["id"]
    study = {"name": "subgroup", "collaboration_id": collaboration, "organization_ids": [1]}
    net.ids["study"] = net.ask("POST", "/study", study, "/v4/api")["id"]
    with algorithm_store() as store:
        images = {"name": "images", "algorithm_store_url": store.url, "force": True}
        net.ids["algorithmstore"] = net.ask("POST", "/algorithmstore", images, "/v4/api")["id"]
    _start_subtask(net, order)
    denied = requests.get(f"{server.api}/task", headers=server.login("ada", PASSWORD), timeout=20)
    net.ids["decision"] = denied.json()["decision_id"]
    return net


def _start_subtask(net: Network, order: dict[str, Any]) -> None:
    """As the algorithm at the first node does."""
    url = net.server.api
    key = {"api_key": net.keys[0]}
    token = requests.post(f"{url}/token/node", json=key, timeout=20).json()["access_token"]
    asked = {"task_id": net.ids["task"], "image": IMAGE}
    node = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{url}/token/container", json=asked, headers=node, timeout=20)
    algorithm = {"Authorization": f"Bearer {answer.json()['container_token']}"}
    part = order | {"name": "part", "organizations": order["organizations"][1:]}
    assert requests.post(f"{url}/task", json=part, headers=algorithm, timeout=20).ok
