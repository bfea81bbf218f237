"""examples/nginx.conf in front of two servers: it does not matter which one a node comes to."""

import re
import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests import world as small_world
from tests.databases import Databases
from tests.docs import proxy
from tests.docs.test_proxy import NGINX, From
from tests.live import live_server
from tests.realtime.ears import Ear, Heard
from tests.realtime.test_processes import Pair, redis_server

pytestmark = [
    pytest.mark.skipif(not NGINX, reason="nginx is not installed: its example is not tried"),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]
ACTIVE = {"status": "active"}
ADDRESSES = [f"127.0.0.{last}" for last in range(2, 40)]


class Front(Pair):
    """Two servers, and nginx before them."""

    def __init__(self, front: proxy.Proxy, *pair: Any) -> None:
        super().__init__(*pair)
        self.url = front.url

    def session(self, address: str) -> requests.Session:
        """For calls from an address of this machine."""
        session = requests.Session()
        session.verify, session.trust_env = False, False
        session.mount("https://", From(address))
        return session

    def addresses(self) -> tuple[str, str]:
        """One for each server, that nginx sends there: failed logins are logged with address."""
        where: dict[bool, str] = {}
        for address in ADDRESSES:
            body = {"username": "nobody at all", "password": "wrong"}
            self.session(address).post(f"{self.url}/api/token/user", json=body, timeout=20)
            log = self.first.log.read_text()
            where.setdefault(bool(re.search(rf"{address}\b", log)), address)
            if len(where) == 2:
                return where[True], where[False]
        raise AssertionError("all addresses come to one server")

    def node(self, who: str, address: str, transports: list[str] | None) -> Ear:
        """A connected node at an address."""
        options: dict[str, Any] = {"http_session": self.session(address), "ssl_verify": False}
        if transports is None:  # the upgrade has a connection of its own
            options["websocket_extra_options"] = {"socket": self._wire(address)}
        ear = Ear(self.url, who, transports, **options)
        self.ears.append(ear)
        ear.connect(self.token(who))
        ear.wait("connect")
        return ear

    def _wire(self, address: str) -> ssl.SSLSocket:
        parts = urlsplit(self.url)
        context = ssl._create_unverified_context()
        bare = socket.create_connection((parts.hostname, parts.port), 20, (address, 0))
        return context.wrap_socket(bare, server_hostname=parts.hostname)


@contextmanager
def standing(databases: Databases, folder: Path) -> Iterator[Front]:
    """Two servers of one installation, and nginx."""
    assert NGINX
    uri, world = databases.copy("postgresql", True)
    with ExitStack() as stack:
        environment = {
            "V6SRV_DATABASE_URL": uri,
            "V6SRV_RABBITMQ_URI": stack.enter_context(redis_server()),
            "V6SRV_JWT_SECRET": secrets.token_hex(32),
            "V6SRV_TRUSTED_PROXIES": "1",
        }
        serve = partial(live_server, **environment)
        servers = [stack.enter_context(serve()) for _ in range(2)]
        nginx = stack.enter_context(proxy.running(NGINX, folder, *(one.port for one in servers)))
        found = Front(nginx, *servers, world, uri)
        stack.callback(lambda: [ear.close() for ear in found.ears])
        yield found


@pytest.fixture(scope="module")
def front(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with standing(databases, tmp_path_factory.mktemp("nginx")) as found:
        yield found


@pytest.mark.parametrize("transports", [["polling"], None], ids=["polling", "upgrade"])
def test_nodes_at_both_hear_of_tasks_statuses_and_kills(
    front: Front, transports: list[str] | None
) -> None:
    near, far = front.addresses()
    north = front.node("north_registry", near, transports)
    south = front.node("south_registry", far, transports)
    nodes = (north, south)
    expected = "polling" if transports else "websocket"
    assert [node.client.transport() for node in nodes] == [expected] * 2
    body = small_world.average(front.world, "north", "south")
    task_id = front.call(front.first, "researcher", "POST", "/task", body)["id"]
    for node in nodes:
        node.wait("new_task", task_id)
    for node in nodes:
        path = f"/result?task_id={task_id}&node_id={getattr(front.world.node, node.name)}"
        [result] = front.call(front.second, node.name, "GET", path, None)
        front.call(front.second, node.name, "PATCH", f"/result/{result['id']}", ACTIVE)
        node.say("algorithm_status_change", {"result_id": result["id"], **ACTIVE})
        for each in nodes:
            each.wait("status_update", {"result_id": result["id"]})
            each.wait_for(partial(_is_status_of, result["id"]), "the status")
    front.call(front.second, "root", "POST", "/kill/task", {"id": task_id})
    for node in nodes:
        node.wait_for(partial(_is_kill_of, task_id), "the kill")
    assert [node.named("new_task") for node in nodes] == [[task_id]] * 2
    while front.ears:
        front.ears.pop().close()


def _is_status_of(result_id: int, heard: Heard) -> bool:
    return heard[0] == "algorithm_status_change" and heard[1]["result_id"] == result_id


def _is_kill_of(task_id: int, heard: Heard) -> bool:
    killed = heard[1]["kill_list"] if heard[0] == "kill_containers" else ()
    return {each["task_id"] for each in killed} == {task_id}


def test_the_nodes_of_a_server_that_dies_come_back_at_the_other(
    databases: Databases, tmp_path: Path
) -> None:
    with standing(databases, tmp_path) as front:
        near, _far = front.addresses()
        node = Ear(
            front.url,
            "north_registry",
            ["polling"],
            http_session=front.session(near),
            ssl_verify=False,
            reconnection=True,
            reconnection_delay=0.1,
        )
        front.ears.append(node)
        node.connect(front.token("north_registry"))
        node.wait("connect")
        front.token("researcher")
        front.first.die()
        node.wait_for(lambda _: node.named("connect") == [None] * 2, "a second welcome", 30)
        body = small_world.average(front.world, "north")
        task_id = front.call(front.second, "researcher", "POST", "/task", body)["id"]
        node.wait("new_task", task_id)
