"""Every public method of the clients of 3.11.1 works, also those that never did before."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.live import LiveServer, free_port, live_server
from tests.wire.station import errand

# What a container inherits and cannot use: it has a token and never logs in. The base class
# asserts a login before encryption, and encryption before it sends tasks or reads results.
NOT_CALLED = {
    "algorithm.authenticate",
    "algorithm.refresh_token",
    "algorithm.setup_encryption",
    "algorithm.post_task",
    "algorithm.get_results",
    "container.refresh_token",
    "container.setup_encryption",
    # Of the base class; a node asks by `request` and creates no tasks.
    "node.generate_path_to",
    "node.post_task",
}


BOTH_PATHS = pytest.mark.parametrize("path", ["/api", "/v3/api"])
"""Where the server finds out which generation asks, and the exact one."""


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


@contextmanager
def received_mails(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new folder of received mails and the port they come in at."""
    folder.mkdir()
    port = free_port()
    controller = Controller(Inbox(folder), hostname="127.0.0.1", port=port)
    controller.start()
    yield folder, port
    controller.stop()


def mail_settings(port: int) -> dict[str, str]:
    return {
        "V6SRV_SMTP__SERVER": "127.0.0.1",
        "V6SRV_SMTP__PORT": str(port),
        "V6SRV_SMTP__MAIL_USE_TLS": "False",
    }


def _missed(found: dict[str, list[str]]) -> set[str]:
    return set(found["existing"]) - set(found["called"]) - NOT_CALLED


@BOTH_PATHS
def test_every_method_of_the_user_client(tmp_path: Path, path: str) -> None:
    with (
        received_mails(tmp_path / "mails") as (folder, port),
        live_server(**mail_settings(port)) as server,
    ):
        settings = {
            "host": "http://127.0.0.1",
            "port": server.port,
            "path": path,
            "root_password": "root",
            "mails": str(folder),
            "key": str(tmp_path / "root.pem"),
            "note_nodes": True,
        }
        found = errand("every_method.py", "user", settings, tmp_path)
        assert len(found["called"]) > 60
        assert _missed(found) == set()
        assert "Traceback" not in server.tail()


@BOTH_PATHS
def test_every_method_of_the_container_clients(tmp_path: Path, path: str) -> None:
    with live_server() as server:
        settings = {**_running_task(server), "path": path}
        found = errand("every_method.py", "container", settings, tmp_path)
        assert _missed(found) == set()
        assert "Traceback" not in server.tail()


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
        "api_key": nodes[0]["api_key"],
        "note_nodes": False,
        "collaboration": study["id"],
        "organizations": [1, other],
        "node": nodes[0]["id"],
        "task": task["id"],
    }
