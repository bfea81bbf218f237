"""All nodes come at once: others get their turn in between (ADR 23)."""

import os
import signal
from pathlib import Path

from tests.live import live_server
from tests.serving.wires import Wire

SOCKETS = 400
OTHERS = 20
"""Requests, one after the other, that are answered before the last socket is."""

POLL = (
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
)
VERSION = b"GET /api/version HTTP/1.1\r\nHost: here\r\n\r\n"


def test_others_are_answered_while_sockets_come() -> None:
    with live_server() as server:
        pid = server.process.pid
        worker = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
        other = Wire(server.port).send(VERSION)
        other.answer()
        os.kill(worker, signal.SIGSTOP)
        try:
            sockets = [Wire(server.port).send(POLL) for _ in range(SOCKETS)]
        finally:
            os.kill(worker, signal.SIGCONT)
        answered = 0
        while not all(one.has_answer(0) for one in sockets):
            other.send(VERSION).answer()
            answered += 1
        assert answered >= OTHERS
        for one in sockets:
            assert one.take().startswith(b"HTTP/1.1 200")
            one.close()
