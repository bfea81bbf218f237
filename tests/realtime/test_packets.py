"""What is no packet of Socket.IO ends the socket that sent it, and is one line of the log."""

import logging
from contextlib import suppress

import pytest
import websocket

from tests.realtime.conftest import Audience
from tests.world import World
from v6srv.realtime.packets import MOST_ATTACHMENTS

BAD = [
    *("", "9", "4/tasks,{}", "2", "2/tasks,", "2/tasks,{}", "2/tasks,[", "x" * 300),
    *("51-/tasks,[]", "2" + "[" * 3000, "2/tasks,99999999999999999999[]"),
    b"bytes",
    f"5{MOST_ATTACHMENTS + 1}-/tasks,[]",
]
"""The last one of somebody who is known; the others of anybody."""


def send(url: str, token: str, sent: str | bytes) -> None:
    """Send it on a socket of its own, which ends."""
    address = f"{url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
    header = {"Authorization": f"Bearer {token}"}
    raw = websocket.create_connection(address, header=header, timeout=20)
    assert raw.recv().startswith("0")
    if sent is BAD[-1]:
        raw.send("40/tasks,")
        while not raw.recv().startswith("40/tasks,"):
            pass
    if isinstance(sent, bytes):
        raw.send_binary(sent)
    else:
        raw.send(f"4{sent}")
    with suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        while raw.recv():  # an empty text: it was closed; else it waits, and fails
            pass


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_it_is_one_line_and_others_are_served(
    url: str, world: World, listen: Audience, caplog: pytest.LogCaptureFixture, backend: str
) -> None:
    caplog.set_level(logging.WARNING)
    other = listen("viewer")
    for number, sent in enumerate(BAD, 1):
        send(url, listen.token("researcher"), sent)
        other.client.call("ping", namespace="/tasks", timeout=10)
        told = [record for record in caplog.records if "is no packet" in record.getMessage()]
        assert len(told) == number, sent
    assert not [record for record in caplog.records if record.exc_info], caplog.text
