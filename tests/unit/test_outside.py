"""A conversation with a server of others comes to an end, and all of an answer is heard."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest
import requests

from v6srv.service import outside
from v6srv.service.outside import Silent, converse


@contextmanager
def _server(pieces: list[bytes], stays: Event | None = None) -> Iterator[str]:
    """Answers one request with these pieces, each when the one before it has left."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with client:
                client.recv(65536)
                for piece in pieces:
                    client.sendall(piece)
                if stays is not None:
                    client.recv(1)  # until it is hung up on
                    stays.set()

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _heard(url: str, within_s: float = 20) -> bytes:
    return converse(requests.Session(), lambda client: client.get(url).content, within_s)


def test_an_answer_in_pieces_is_heard_whole() -> None:
    with _server([_HEAD, b'5\r\n{"a":\r\n', b'4\r\n "b"\r\n1\r\n}\r\n', b"0\r\n\r\n"]) as url:
        assert _heard(url) == b'{"a": "b"}'


def test_an_answer_that_is_too_large_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "LARGEST_ANSWER", 8)
    with _server([_HEAD, b"9\r\n123456789\r\n0\r\n\r\n"]) as url, pytest.raises(Silent):
        _heard(url)


def test_who_says_no_more_is_hung_up_on() -> None:
    hung_up = Event()
    with _server([_HEAD, b"5\r\n12345\r\n"], hung_up) as url:
        with pytest.raises(Silent, match=r"within|timed out"):
            _heard(url, 0.3)
        assert hung_up.wait(20)


def test_a_mistake_of_ours_is_no_silence() -> None:
    def wrong(_client: requests.Session) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        converse(requests.Session(), wrong, 20)
