"""Connections as a careless or hostile client makes them: raw bytes, sent when a test says so."""

import json
import select
import socket
from contextlib import suppress

PATIENCE_S = 10.0


class Wire:
    """One TCP connection to a server on this machine."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)

    def send(self, data: bytes) -> "Wire":
        """Send bytes as they are."""
        self._socket.sendall(data)
        return self

    def begin(self, method: str, path: str, length: int, *lines: str, sent: bytes = b"") -> "Wire":
        """Send the head of a request with a body of `length` bytes, and the first of these."""
        head = (
            f"{method} {path} HTTP/1.1",
            "Host: here",
            "Content-Type: application/json",
            f"Content-Length: {length}",
            *lines,
        )
        return self.send("\r\n".join(head).encode() + b"\r\n\r\n" + sent)

    def half_a_login(self) -> "Wire":
        """Send a login of which the second half never comes."""
        return self.begin("POST", "/api/token/user", 100, sent=b'{"username": "nob')

    def end(self) -> "Wire":
        """Send nothing more; answers can still be read."""
        self._socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header lines (names in lower case) and body of the next answer."""
        first, *lines = self._until(b"\r\n\r\n").decode().strip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        body = b""
        if "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size + 2)[:-2]
            self._until(b"\r\n")
        return int(first.split()[1]), headers, body

    def _until(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            data += self._exactly(1)
        return data

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            assert piece, f"the connection was closed after {data!r}"
            data += piece
        return data

    def take(self) -> bytes:
        """What has come; nothing when the server has closed the connection."""
        return self._socket.recv(65536)

    def refusal(self) -> tuple[int, str]:
        """Status and `msg` of the next answer."""
        status, _, body = self.answer()
        return status, json.loads(body)["msg"]

    def has_answer(self, within_s: float) -> bool:
        """Whether something can be read."""
        poll = select.poll()  # select() takes no descriptors above 1023
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def is_closed(self, within_s: float = PATIENCE_S) -> bool:
        """Whether the server closes the connection, without another word."""
        self._socket.settimeout(within_s)
        with suppress(TimeoutError, BlockingIOError):
            try:
                return self._socket.recv(1) == b""
            except ConnectionError:
                return True
        return False

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
