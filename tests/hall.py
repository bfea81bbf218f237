"""A large collaboration and a small one, served by real processes: for tests/crowd.py's sockets."""

import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from pydantic import SecretStr

from tests import postgres
from tests.crowd import fill, node_key
from tests.live import ROOT_PASSWORD, LiveServer, live_server
from tests.realtime.test_processes import rabbitmq_server, redis_server
from tests.world import IMAGE
from v6srv import passwords
from v6srv.db import make_engine
from v6srv.service import setup
from v6srv.settings import Settings

NEIGHBOURS = 20
"""Nodes of another collaboration, who must hear nothing."""
QUEUES = {"redis": redis_server, "rabbitmq": rabbitmq_server}


@dataclass
class Hall:
    """A filled database, and what it takes to serve it."""

    folder: Path
    environment: dict[str, str]
    collaboration_id: int
    organization_ids: list[int]
    names: list[str]
    """Of the nodes of the collaboration."""
    neighbours: list[str]

    @contextmanager
    def server(self, port: int | None = None) -> Iterator[LiveServer]:
        """A process that serves it."""
        with live_server(instance=self.folder, port=port, **self.environment) as server:
            yield server

    def post_task(self, server: LiveServer, headers: dict[str, str], organizations: int) -> int:
        """The id of a new task, for the first so many organizations of the collaboration."""
        body = {
            "name": "a task",
            "image": IMAGE,
            "collaboration_id": self.collaboration_id,
            "organizations": [
                {"id": id, "input": "e30="} for id in self.organization_ids[:organizations]
            ],
        }
        answer = requests.post(f"{server.api}/task", json=body, headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def keep_out_nodes(self, server: LiveServer, headers: dict[str, str]) -> None:
        """Add a line that takes all nodes out of all rooms."""
        line = {
            "subject": "kind:node",
            "resource": "event",
            "operation": "view",
            "scope": "global",
            "condition": "True",
            "effect": "deny",
        }
        path = f"{server.api}/policy/line"
        answer = requests.post(path, json=line, headers=headers, timeout=60)
        assert answer.status_code == 201, answer.text


@contextmanager
def hall(nodes: int, database: str, queue: str = "") -> Iterator[Hall]:
    """A new database, `sqlite` or `postgresql`, with so many nodes in the large collaboration."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="v6srv-hall-")))
        uri = f"sqlite:///{folder}/v6srv.sqlite"
        if database == "postgresql":
            uri, _ = stack.enter_context(postgres.private_cluster())
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_LOGGING__LEVEL": "WARNING",
        }
        if queue:
            environment["V6SRV_RABBITMQ_URI"] = stack.enter_context(QUEUES[queue]())
        settings = Settings(
            instance=folder,
            policies=folder / "policies",
            uri=uri,
            root_password=SecretStr(ROOT_PASSWORD),
        )
        setup.prepare(settings, passwords)
        engine = make_engine(uri)
        (collab, orgs), _ = fill(engine, (nodes, NEIGHBOURS))
        engine.dispose()
        names = [
            [f"{number}/{n}" for n in range(size)] for number, size in ((0, nodes), (1, NEIGHBOURS))
        ]
        yield Hall(folder, environment, collab, orgs, *names)


def log_in(server: LiveServer, names: Sequence[str]) -> dict[str, str]:
    """Tokens of nodes, which log in over eight connections."""
    local = threading.local()

    def one(name: str) -> Any:
        if not hasattr(local, "http"):
            local.http = requests.Session()
        body = {"api_key": node_key(name)}
        answer = local.http.post(f"{server.url}/v3/api/token/node", json=body, timeout=60)
        return answer.json()["access_token"]

    with ThreadPoolExecutor(8) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))
