"""A small algorithm store, over HTTP: what a server asks of one, and nothing else."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

DIGEST = "sha256:" + "0123456789abcdef" * 4


@dataclass
class Store:
    """What it knows and does, to be changed by tests."""

    url: str = ""
    servers: dict[int, str] = field(default_factory=dict)
    images: dict[str, str | None] = field(default_factory=dict)
    """With their digests."""
    closed: bool = False
    """Registers no server."""
    public: bool = False
    asks_back: bool = False
    """Has tokens validated by the server that its caller names."""
    delay_s: float = 0.0
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Other answers than usual, by method and path."""
    heard: list[tuple[str, str, str]] = field(default_factory=list)
    """Method and path of each request, and which server it says it is for."""
    authorized: list[str] = field(default_factory=list)
    """The header of each."""


@contextmanager
def algorithm_store() -> Iterator[Store]:
    """A store that listens on a free port of this machine."""
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        store.url = f"http://127.0.0.1:{server.server_port}/store/api"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield store
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def _handle(self) -> None:
        time.sleep(self.store.delay_s)
        address = urlsplit(self.path)
        path = address.path.removeprefix("/store/api")
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        # Users name the server by one of these headers, nodes by the other.
        server = self.headers.get("server_url") or self.headers.get("Server-Url") or ""
        self.store.heard.append((self.command, path, server))
        self.store.authorized.append(self.headers["Authorization"])
        key = f"{self.command} {path}"
        status, answer = self.store.answers.get(key) or self._answer(
            key, server, body, parse_qs(address.query)
        )
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if status == 302:
            self.send_header("Location", f"{self.store.url}/elsewhere")
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _handle

    def _answer(
        self, key: str, server: str, body: Any, query: dict[str, list[str]]
    ) -> tuple[int, Any]:
        store = self.store
        if key == "GET /policy/public":
            return 200, {"algorithm_view": "public" if store.public else "whitelisted"}
        if store.asks_back and not self._is_valid(server):
            return 401, {"msg": "Your server does not know this token"}
        if key == "POST /vantage6-server":
            if store.closed:
                return 403, {"msg": "This store takes nobody in"}
            if body["url"] in store.servers.values():
                return 208, {"msg": "It is there"}
            store.servers[len(store.servers) + 1] = body["url"]
            return 201, {"id": len(store.servers), "url": body["url"]}
        if key == "GET /vantage6-server":
            rows = [{"id": id, "url": url} for id, url in store.servers.items()]
            return 200, {"data": rows, "links": {}}
        if key.startswith("DELETE /vantage6-server/"):
            return 200, {"msg": store.servers.pop(int(key.rpartition("/")[2]))}
        if key == "GET /algorithm":
            wanted = query["image"][0]
            known = store.images.items()
            rows = [{"image": image, "digest": d} for image, d in known if image == wanted]
            return 200, {"data": rows, "links": {}}
        return 404, {"msg": "Not found"}

    def _is_valid(self, server: str) -> bool:
        kind = self.headers.get("Client-Type") or "user"
        headers = {"Authorization": self.headers["Authorization"]}
        asked = requests.post(f"{server}/token/{kind}/validate", headers=headers, timeout=10)
        return asked.status_code == 200 and "organization_id" in asked.json()
