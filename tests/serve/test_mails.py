"""Mails of the real server: they outlive it, and a mail server that hangs holds up nobody."""

import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import requests

from tests.live import free_port, live_server
from tests.unit.test_mail import Inbox, smtp

__all__ = ["smtp"]


def waiting(instance: Path) -> list[tuple[str, int]]:
    """Kind and attempts of the mails in the database."""
    with closing(sqlite3.connect(instance / "v6srv.sqlite")) as database, database:
        return database.execute("SELECT kind, attempts FROM mail ORDER BY id").fetchall()


def test_a_stopped_server_keeps_its_mails_and_the_next_one_sends_them(smtp, tmp_path: Path) -> None:
    nobody = {"V6SRV_SMTP__SERVER": "127.0.0.1", "V6SRV_SMTP__MAIL_USE_TLS": "false"}
    with live_server(instance=tmp_path, **nobody, V6SRV_SMTP__PORT="1") as server:
        for _ in range(6):
            body = {"username": "root", "password": "Wr0ng-Pass!"}
            requests.post(f"{server.api}/token/user", json=body, timeout=20)
        ask = {"json": {"username": "root"}, "timeout": 20}
        assert requests.post(f"{server.api}/recover/lost", **ask).status_code == 200
        server.stop(signal.SIGTERM)
    assert [kind for kind, _ in waiting(tmp_path)] == ["blocked", "password_reset"]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("v6srv.sqlite*"))
    assert b"eyJ" not in stored  # the beginning of every token
    inbox = Inbox()
    port = str(smtp(inbox))
    with live_server(instance=tmp_path, **nobody, V6SRV_SMTP__PORT=port) as server:
        end = time.monotonic() + 60
        while len(inbox.mails) < 2 and time.monotonic() < end:
            time.sleep(0.1)
        assert len(inbox.mails) == 2, server.tail()
        while waiting(tmp_path) and time.monotonic() < end:
            time.sleep(0.1)
        assert waiting(tmp_path) == []
    subjects = {message["Subject"] for _, message in inbox.mails}
    assert subjects == {"Failed login attempts on your vantage6 account", "Password reset vantage6"}


def test_a_mail_server_that_never_says_a_word_holds_up_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        port = str(silent.getsockname()[1])
        smtp_settings = {"V6SRV_SMTP__SERVER": "127.0.0.1", "V6SRV_SMTP__PORT": port}
        with live_server(instance=tmp_path, **smtp_settings) as server:
            ask = {"json": {"username": "root"}, "timeout": 20}
            assert requests.post(f"{server.api}/recover/lost", **ask).status_code == 200
            silent.settimeout(30)
            connection, _ = silent.accept()  # the mail is being sent now
            with connection:
                headers = server.login()
                for number in range(20):
                    body = {"name": f"organization {number}"}
                    answer = requests.post(
                        f"{server.api}/organization", json=body, headers=headers, timeout=20
                    )
                    assert answer.status_code == 201, answer.text
                # All that while it was not over: the server still waits for the first word.
                connection.setblocking(False)
                try:
                    assert connection.recv(1) == b"", "it spoke first"
                    raise AssertionError("it has given up already")
                except BlockingIOError:
                    pass
                assert server.stop(signal.SIGTERM) == 0
    assert waiting(tmp_path) == [("password_reset", 1)]
