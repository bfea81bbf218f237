"""`backup`: a copy of the database of a running server that a second server can start from."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner, Result

from tests.live import LiveServer, live_server
from v6srv.cli.main import cli

WRITERS = 4
ENOUGH = 40
"""Rows before the backup, and after it."""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Run a command on an instance of this test."""
    environment = {"V6SRV_INSTANCE": str(tmp_path / "instance"), "V6SRV_PASSWORD_ROUNDS": "4"}
    return lambda *arguments: CliRunner(env=environment).invoke(cli, list(arguments))


@pytest.fixture
def database(run: Callable[..., Result], tmp_path: Path) -> Path:
    assert run("db", "upgrade").exit_code == 0
    return tmp_path / "instance" / "v6srv.sqlite"


class Writers:
    """Add organizations until they are told to stop, and remember those that were acknowledged."""

    def __init__(self, server: LiveServer) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[int] = []
        self._server, self._headers = server, server.login()
        self._stop = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Until so many more have been acknowledged."""
        with self._more:
            wanted = len(self.acknowledged) + count
            assert self._more.wait_for(lambda: len(self.acknowledged) >= wanted, timeout=60)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        number = 0
        with requests.Session() as http:
            while not self._stop.is_set():
                number += 1
                name = f"{writer}-{number}"
                answer = http.post(
                    f"{self._server.api}/organization",
                    json={"name": name},
                    headers=self._headers,
                    timeout=60,
                )
                with self._more:
                    (self.acknowledged if answer.ok else self.refused).append(
                        name if answer.ok else answer.status_code  # type: ignore[arg-type]
                    )
                    self._more.notify_all()


def _names(server: LiveServer) -> set[str]:
    answer = requests.get(f"{server.api}/organization", headers=server.login(), timeout=30)
    return {row["name"] for row in answer.json()}


def test_a_second_server_starts_from_the_copy_of_one_that_is_written_to(tmp_path: Path) -> None:
    """All that was acknowledged before the command began is in it, and the writers go on."""
    copied = tmp_path / "second" / "v6srv.sqlite"
    copied.parent.mkdir()
    key = {"V6SRV_JWT_SECRET": "the key that is saved beside the database"}
    with live_server(**key) as server:
        writers = Writers(server)
        try:
            writers.wait_for(ENOUGH)
            before = set(writers.acknowledged)
            done = subprocess.run(
                [sys.executable, "-m", "v6srv", "backup", str(copied)],
                env={**os.environ, "V6SRV_INSTANCE": str(server.instance)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            writers.wait_for(ENOUGH)
        finally:
            writers.stop()
        assert writers.refused == []
        assert set(writers.acknowledged) <= _names(server)
        assert sorted(path.name for path in copied.parent.iterdir()) == [copied.name]
    with live_server(instance=copied.parent, **key) as second:
        assert before <= _names(second)


def test_the_copy_is_one_file_for_its_owner_and_is_checked(
    run: Callable[..., Result], database: Path, tmp_path: Path
) -> None:
    """What only the -wal holds is in it, and somebody who writes is not waited for."""
    with closing(sqlite3.connect(database, isolation_level=None)) as writer, writer:
        writer.execute("INSERT INTO organization (name) VALUES ('in the wal')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO organization (name) VALUES ('not committed')")
        assert database.with_name("v6srv.sqlite-wal").stat().st_size > 0
        copied = tmp_path / "copies" / "one [1].sqlite"
        copied.parent.mkdir()
        result = run("backup", str(copied))
        writer.execute("COMMIT")
    writer.close()
    assert result.exit_code == 0, result.output
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]
    assert stat.S_IMODE(copied.stat().st_mode) == 0o600
    with closing(sqlite3.connect(f"{copied.as_uri()}?mode=ro", uri=True)) as reader, reader:
        assert reader.execute("SELECT name FROM organization").fetchall() == [("in the wal",)]
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    reader.close()
    for part in ("policies", "jwt_secret", "decision log"):
        assert part in result.output


def test_an_existing_file_stays_unless_told(
    run: Callable[..., Result], database: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "copy.sqlite"
    copied.write_text("something else")
    refused = run("backup", str(copied))
    assert refused.exit_code == 1
    assert "exists already" in refused.output
    assert "--force" in refused.output
    assert copied.read_text() == "something else"
    assert run("backup", str(copied), "--force").exit_code == 0
    assert copied.read_bytes().startswith(b"SQLite format 3")
    itself = run("backup", str(database), "--force")
    assert itself.exit_code == 1
    assert "the database itself" in itself.output


def test_a_copy_that_fails_leaves_nothing(
    run: Callable[..., Result], database: Path, tmp_path: Path
) -> None:
    """A database that is not whole is not saved over a good backup."""
    content = bytearray(database.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    content[page : page + 8] = b"\xff" * 8
    database.write_bytes(content)
    copied = tmp_path / "copies" / "copy.sqlite"
    copied.parent.mkdir()
    copied.write_text("the last good one")
    result = run("backup", str(copied), "--force")
    assert result.exit_code == 1
    assert "cannot be copied" in result.output
    assert "Traceback" not in result.output
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]
    assert copied.read_text() == "the last good one"
    assert run("backup", str(tmp_path / "nowhere" / "copy.sqlite")).exit_code == 1


def test_without_a_database_there_is_no_backup(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run("backup", str(tmp_path / "copy.sqlite"))
    assert result.exit_code == 1
    assert "There is no database" in result.output
    assert list(tmp_path.iterdir()) == []


def test_for_postgresql_it_says_which_command(tmp_path: Path) -> None:
    environment = {
        "V6SRV_INSTANCE": str(tmp_path),
        "V6SRV_DATABASE_URL": "postgresql://v6:hush@db.internal:5433/v6?sslmode=require&password=hush",
    }
    result = CliRunner(env=environment).invoke(cli, ["backup", "my copy.dump"])
    assert result.exit_code == 1, "no backup was made: a script must notice"
    assert result.stdout.strip() == (
        "pg_dump --format=custom '--file=my copy.dump'"
        " '--dbname=postgresql://v6@db.internal:5433/v6?sslmode=require'"
    )
    assert "hush" not in result.output
