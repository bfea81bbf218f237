"""Many connections at once: what tests/serving shows with a few. Loopback only."""

import signal
import time

import requests

from tests.live import live_server
from tests.serving.sockets import RawSocket
from tests.serving.wires import Wire

SOCKETS = 1_000
BODIES = 5_000
CHEAP_WITHIN_S = 0.5
GONE_WITHIN_S = 5.0


def test_a_thousand_sockets_do_not_hold_up_the_end() -> None:
    with live_server() as server:
        headers = server.login()
        sockets = [RawSocket(server.port, headers) for _ in range(SOCKETS)]
        for sock in sockets:
            sock.wait()
        began = time.monotonic()
        assert server.stop(signal.SIGTERM) == 0, server.tail()
        took = time.monotonic() - began
        for sock in sockets:
            sock.last_words()
            sock.close()
        assert took < GONE_WITHIN_S
        assert "Traceback" not in server.tail()


def test_five_thousand_half_sent_bodies_leave_room_for_others() -> None:
    with live_server() as server:
        wires, slow = [], []
        for n in range(BODIES):
            wires.append(Wire(server.port).half_a_login())
            if n % 100 == 99:
                began = time.monotonic()
                assert requests.get(f"{server.api}/version", timeout=10).status_code == 200
                slow.append(time.monotonic() - began)
        assert max(slow) < CHEAP_WITHIN_S, slow
        time.sleep(2)
        began = time.monotonic()
        assert requests.get(f"{server.api}/version", timeout=10).status_code == 200
        assert time.monotonic() - began < CHEAP_WITHIN_S
        still_open = sum(not wire.is_closed(within_s=0) for wire in wires)
        assert still_open <= 256
        for wire in wires:
            wire.close()
        assert "WORKER TIMEOUT" not in server.tail()
        assert server.stop(signal.SIGTERM) == 0, server.tail()
