"""A program of a user, which this server tells that tasks have ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flask import Flask

from v6srv.settings.groups import WebHooks


class Program:
    """What came is in `got`: headers and body; `status` is what it answers."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], str]] = []
        self.url = f"http://127.0.0.1:{server.server_port}/told"


@contextmanager
def listening() -> Iterator[Program]:
    """A program, while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            program.got.append((dict(self.headers), body))
            self.send_response(program.status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    program = Program(server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield program
    finally:
        server.shutdown()
        server.server_close()


def allow(app: Flask) -> None:
    """The server calls programs on this machine."""
    settings = app.config["SETTINGS"]
    hosts = {"web_hooks": WebHooks(hosts=("127.0.0.1",))}
    app.config["SETTINGS"] = settings.model_copy(update=hosts)
