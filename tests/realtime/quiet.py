"""A client that says nothing but that it is there, for longer than the server waits for a packet.

Run as a program by `gevent.monkey`, which changes the whole process; fails when it is hung up on.
"""

import time
from contextlib import suppress
from typing import Any

import engineio
from gevent.server import StreamServer
from simple_websocket import Client

from v6srv.realtime import web_sockets

INTERVAL_S, TIMEOUT_S = 1, 1
STAYS_S = 3 * (INTERVAL_S + TIMEOUT_S)


def main() -> None:
    """Connect, and answer pings. Raises ConnectionClosed."""
    server = engineio.Server(async_mode="gevent", ping_interval=INTERVAL_S, ping_timeout=TIMEOUT_S)
    web_sockets.use(server, 100_000)

    def serve(wire: Any, _address: Any) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += wire.recv(1)
        _, *lines = head.decode().strip().split("\r\n")
        environ = {"REQUEST_METHOD": "GET", "gunicorn.socket": wire, "wsgi.url_scheme": "http"}
        environ["QUERY_STRING"] = "transport=websocket&EIO=4"
        for name, _, value in (line.partition(": ") for line in lines):
            if "extensions" not in name.lower():  # nodes offer none
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        with suppress(StopIteration):
            server.handle_request(environ, lambda *_: None)

    listener = StreamServer(("127.0.0.1", 0), serve)
    listener.start()
    client = Client(f"ws://127.0.0.1:{listener.server_port}/engine.io/")
    until = time.monotonic() + STAYS_S
    while time.monotonic() < until:
        if client.receive(timeout=0.2) == "2":
            client.send("3")


if __name__ == "__main__":
    main()
