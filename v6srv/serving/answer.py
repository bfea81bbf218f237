"""Gunicorn's answer, as this server sends it."""

from collections.abc import Sequence

from gunicorn.http import wsgi

from v6srv.wire import browser_headers

TOGETHER = 64 * 1024
"""Bytes of a body up to which it goes out with the head: of more, no copy is made for that."""


class Answer(wsgi.Response):  # type: ignore[misc]
    """Without gunicorn's name. The head waits for the first piece of the body: one call of the
    system and one packet instead of two.
    """

    _head = b""

    def process_headers(self, headers: Sequence[tuple[str, str]]) -> None:
        """Look at each, but not at those of every answer again and again."""
        known = browser_headers.KNOWN
        super().process_headers([header for header in headers if header not in known])
        self.headers += [header for header in headers if header in known]

    def default_headers(self) -> list[str]:
        """The first lines."""
        return [line for line in super().default_headers() if not line.startswith("Server:")]

    def send_headers(self) -> None:
        """Have them sent, with what comes next."""
        if not self.headers_sent:
            lines = self.default_headers() + [
                f"{name}: {value}\r\n" for name, value in self.headers
            ]
            self._head = "".join([*lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def can_sendfile(self) -> bool:
        """No: gunicorn would have a file overtake the head."""
        return False

    def close(self) -> None:
        """Send what was not sent yet."""
        self.send_headers()
        self._send_head()
        super().close()

    def _emit_body(self, data: bytes) -> None:
        if len(data) > TOGETHER or self.chunked:
            self._send_head()
        head, self._head = self._head, b""
        super()._emit_body(head + data)

    def _send_head(self) -> None:
        head, self._head = self._head, b""
        if head:
            self.sock.sendall(head)
