"""Every public method of the clients of 3.11.1 works, also those that never did before."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.live import LiveServer, free_port, live_server
from tests.wire.station import errand

# Local helpers of the base class that other methods call, or that only raise.
NOT_CALLED = {
    "user.Util",
    "container.authenticate",
    "container.refresh_token",
    "algorithm.authenticate",
    "algorithm.refresh_token",
}


class Inbox:
    """Writes each mail's text part to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        from email import message_from_bytes, policy

        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain",))
        assert body is not None
        number = len(list(self.folder.iterdir()))
        (self.folder / f"{number:03}.txt").write_text(body.get_content())
        return "250 OK"


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder of received mails and the port they come in at."""
    folder = tmp_path / "mails"
    folder.mkdir()
    port = free_port()
    controller = Controller(Inbox(folder), hostname="127.0.0.1", port=port)
    controller.start()
    yield folder, port
    controller.stop()


def _mail_settings(port: int) -> dict[str, str]:
    return {
        "V6SRV_SMTP__SERVER": "127.0.0.1",
        "V6SRV_SMTP__PORT": str(port),
        "V6SRV_SMTP__MAIL_USE_TLS": "False",
    }


def _missed(found: dict[str, list[str]], prefix: str, inherited: set[str]) -> set[str]:
    missed = set(found["existing"]) - set(found["called"]) - NOT_CALLED
    names = {name for name in missed if name.startswith(prefix)}
    return {name for name in names if name.rpartition(".")[2] not in inherited}


def test_every_method_of_the_user_client(tmp_path: Path, mails: tuple[Path, int]) -> None:
    folder, port = mails
    with live_server(**_mail_settings(port)) as server:
        settings = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "root_password": "root",
            "mails": str(folder),
            "key": str(tmp_path / "root.pem"),
        }
        found = errand("every_method.py", "user", settings, tmp_path)
        assert len(found["called"]) > 45
        inner = {"Util", "SubClient", "Collaboration", "Node", "Organization", "User"}
        inner |= {"Role", "Task", "Result", "Rule"}
        assert _missed(found, "user", inner) == set()
        assert "Traceback" not in server.tail()


def test_every_method_of_the_container_clients(tmp_path: Path) -> None:
    with live_server() as server:
        found = errand("every_method.py", "container", _running_task(server), tmp_path)
        base = {
            "SubClient",
            "generate_path_to",
            "get_results",
            "post_task",
            "setup_encryption",
            "create_new_task",
            "create",
        }
        inner = {"Result", "Task", "VPN", "Organization", "Collaboration", "Node"}
        assert _missed(found, "algorithm", base | inner) == set()
        assert _missed(found, "container", base | {"request"}) == set()


def _running_task(server: LiveServer) -> dict[str, Any]:
    """A task that runs at the first of two organizations, and the token of its container."""

    def send(headers: dict[str, str], method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, server.api + path, json=body, headers=headers, timeout=10)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    root = server.login()
    other = send(root, "POST", "/organization", {"name": "other"})["id"]
    study = send(root, "POST", "/collaboration", {"name": "s", "organization_ids": [1, other]})
    nodes = [
        send(root, "POST", "/node", {"organization_id": o, "collaboration_id": study["id"]})
        for o in (1, other)
    ]
    image = "registry.example/a:1"
    order = {
        "name": "n",
        "image": image,
        "collaboration_id": study["id"],
        "database": "default",
        "organizations": [{"id": 1, "input": ""}],
    }
    task = send(root, "POST", "/task", order)
    key = {"api_key": nodes[0]["api_key"]}
    token = requests.post(f"{server.api}/token/node", json=key, timeout=10).json()
    node = {"Authorization": f"Bearer {token['access_token']}"}
    send(node, "PATCH", f"/node/{nodes[0]['id']}", {"ip": "10.0.0.7"})
    port = {"port": 4321, "label": "app", "result_id": task["results"][0]["id"]}
    send(node, "POST", "/port", port)
    asked = {"task_id": task["id"], "image": image}
    container = send(node, "POST", "/token/container", asked)["container_token"]
    return {
        "host": "http://127.0.0.1",
        "port": server.port,
        "token": container,
        "collaboration": study["id"],
        "organizations": [1, other],
        "node": nodes[0]["id"],
        "task": task["id"],
    }
