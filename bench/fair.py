"""How evenly one process serves connections that always ask: see README.md in this folder.

python bench/fair.py [--database URL] [--requests N] [CONNECTIONS ...]
"""

import argparse
import selectors
import socket
import statistics
import tempfile
import time
from pathlib import Path

from fill import Filled, Size
from servers import Failed, Party, floor, ours, prepare

PAGE = "/task?page=1&per_page=20"


class Asking:
    """A kept connection whose next request is there as soon as it has the answer to the last."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.took: list[float] = []
        self._request = request

    def ask(self) -> None:
        """Send the request."""
        self._answer = b""
        self._asked = time.perf_counter()
        self.socket.sendall(self._request)

    def read(self) -> bool:
        """Take what has come; whether the answer is complete."""
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise Failed("the server hung up")
        self._answer += piece
        head, found, body = self._answer.partition(b"\r\n\r\n")
        if not found:
            return False
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return False
        self.took.append(time.perf_counter() - self._asked)
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(self._answer[:500].decode())
        return True


def ask(port: int, request: bytes, connections: int, requests: int) -> list[Asking]:
    """So many connections at once, until so many answers are there."""
    asking = [Asking(port, request) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for one in asking:
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.ask()
        left = requests
        while left > 0:
            for key, _ in selector.select():
                if key.data.read():
                    left -= 1
                    key.data.ask()
    for one in asking:
        one.socket.close()
    return asking


def told(name: str, asking: list[Asking], seconds: float) -> str:
    """One line: times, rate, and how many answers the luckiest and unluckiest connection got."""
    took = sorted(value for one in asking for value in one.took)
    p50, p99 = 1000 * statistics.median(took), 1000 * took[int(0.99 * (len(took) - 1))]
    turns = [len(one.took) for one in asking]
    return (
        f"{name:8} {len(asking):11} {p50:8.1f} {p99:8.1f} {1000 * took[-1]:8.1f} {p99 / p50:8.1f} "
        f"{len(took) / seconds:8.0f} {min(turns):6}-{max(turns)}"
    )


def request_of(path: str, token: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


def page_of(party: Party, data: Filled) -> bytes:
    """The request for a page of tasks; the floor is told whose."""
    mine = "".join(f"&collaboration={id}" for id in data.collaboration_ids)
    path = PAGE + (mine if party.name == "floor" else "")
    return request_of(party.prefix + path, party.tokens.get("user", ""))


def measure(data: Filled, parties: list[Party], sizes: list[int], requests: int) -> None:
    print("server   connections  p50 ms   p99 ms   max ms  p99/p50  answers/s  turns")
    for connections in sizes:
        for party in parties:
            request = page_of(party, data)
            ask(party.port, request, connections, 20 * connections)  # warm
            started = time.perf_counter()
            asking = ask(party.port, request, connections, requests)
            print(told(party.name, asking, time.perf_counter() - started), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("connections", type=int, nargs="*", default=[1, 8, 64])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="v6srv-bench-") as folder:
        uri = arguments.database or f"sqlite:///{folder}/bench.sqlite"
        data = prepare(uri, Path(folder), Size())
        with ours(uri, Path(folder), data) as server, floor(uri) as bare:
            measure(data, [server, bare], arguments.connections, arguments.requests)


if __name__ == "__main__":
    main()
