"""Somebody else holds SQLite's write lock: a backup, an import, a shell."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine

from tests.live import LiveServer, live_server
from v6srv.db import make_engine, writing
from v6srv.engine.gates import Gate
from v6srv.errors import Unavailable
from v6srv.settings import DatabaseLimits

WRITERS = 6
ROUNDS = 20


@contextmanager
def write_lock(instance: Path) -> Iterator[None]:
    """SQLite's write lock, held by this process."""
    foreign = sqlite3.connect(instance / "v6srv.sqlite", isolation_level=None, timeout=10)
    try:
        foreign.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        foreign.close()


def rename(server: LiveServer, who: dict[str, str], name: str) -> requests.Response:
    return requests.patch(
        f"{server.api}/organization/1", json={"name": name}, headers=who, timeout=30
    )


def answers_while_pending(server: LiveServer, who: dict[str, str], pending: list[Future]) -> None:
    """Cheap requests are answered, round after round, and what waits goes on waiting."""
    for _ in range(ROUNDS):
        for path in ("version", "health", "organization"):
            answer = requests.get(f"{server.api}/{path}", headers=who, timeout=5)
            assert answer.status_code == 200, (path, answer.text)
        assert not any(future.done() for future in pending)


def test_writers_wait_for_a_foreign_lock_and_others_do_not() -> None:
    with live_server() as server, ThreadPoolExecutor(WRITERS) as threads:
        who = server.login()
        with write_lock(server.instance):
            pending = [threads.submit(rename, server, who, f"name {n}") for n in range(WRITERS)]
            answers_while_pending(server, who, pending)
        answers = [future.result() for future in pending]
        assert [answer.status_code for answer in answers] == [200] * WRITERS
        assert "Traceback" not in server.tail()


def test_what_its_caller_did_not_wait_for_is_not_stored() -> None:
    with live_server() as server, ThreadPoolExecutor(1) as threads:
        who = server.login()
        url = f"{server.api}/organization/1"
        assert rename(server, who, "before").status_code == 200
        with write_lock(server.instance):
            with pytest.raises(requests.ReadTimeout):
                requests.patch(url, json={"name": "too late"}, headers=who, timeout=1.5)
            change = {"json": {"domain": "stored.example"}, "headers": who, "timeout": 30}
            pending = threads.submit(requests.patch, url, **change)  # its turn is after the other's
            answers_while_pending(server, who, [pending])
        assert pending.result().status_code == 200
        shown = requests.get(url, headers=who, timeout=5).json()
        assert (shown["name"], shown["domain"]) == ("before", "stored.example")


def test_a_lock_that_stays_is_503_with_a_reason_and_one_line_of_log() -> None:
    with (
        live_server(V6SRV_DATABASE__LOCK_TIMEOUT_S="0.5") as server,
        ThreadPoolExecutor(WRITERS) as threads,
    ):
        who = server.login()
        with write_lock(server.instance):
            refused = [threads.submit(rename, server, who, f"name {n}") for n in range(WRITERS)]
            for answer in (future.result() for future in refused):
                assert answer.status_code == 503
                assert "lock" in answer.json()["msg"]
                assert int(answer.headers["Retry-After"]) > 0
            health = requests.get(f"{server.api}/health", timeout=5)
            assert health.json()["database"] is True
            assert "the database is busy: a lock is held for too long" in health.json()["problems"]
        assert rename(server, who, "free again").status_code == 200
        log = server.log.read_text()
        assert log.count("a lock is held for too long") == 1
        assert "Traceback" not in log


def test_a_file_that_cannot_even_be_read_is_waited_for(tmp_path: Path) -> None:
    """As long as a program that wants the file for itself has it."""
    file = tmp_path / "some.sqlite"
    foreign = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    foreign.executescript("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;")
    foreign.executescript("CREATE TABLE number (id INTEGER); INSERT INTO number VALUES (5);")
    refusing = make_engine(f"sqlite:///{file}", DatabaseLimits(lock_timeout_s=0.1))
    waiting = make_engine(f"sqlite:///{file}", DatabaseLimits(lock_timeout_s=30))

    def read(engine: Engine) -> object:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT id FROM number").scalar()

    with ThreadPoolExecutor(1) as threads:
        pending = threads.submit(read, waiting)
        with pytest.raises(Unavailable, match="a lock is held"):
            read(refusing)
        assert not pending.done()
        foreign.close()
        assert pending.result() == 5
    assert read(refusing) == 5


def test_writers_of_a_process_get_the_lock_in_the_order_in_which_they_came() -> None:
    gate, order = Gate(1), []

    def take(number: int) -> None:
        assert gate.enter(30)
        order.append(number)
        gate.leave()

    assert gate.enter(0)
    assert not gate.enter(0)
    with ThreadPoolExecutor(5) as threads:
        for number in range(5):
            threads.submit(take, number)
            while len(gate._waiting) <= number:
                time.sleep(0.001)
        assert order == []
        gate.leave()
    assert order == list(range(5))
    assert gate.enter(0)


def test_who_reads_finds_a_connection_while_many_wait_to_write(tmp_path: Path) -> None:
    limits = DatabaseLimits(pool_size=2, max_overflow=0, pool_timeout_s=0.01)
    engine = make_engine(f"sqlite:///{tmp_path}/some.sqlite", limits)

    def write() -> None:
        with writing(), engine.begin() as connection:
            connection.exec_driver_sql("SELECT 1")

    with ThreadPoolExecutor(8) as threads:
        with writing():
            first = engine.connect()
            first.exec_driver_sql("SELECT 1")
        with first:
            pending = [threads.submit(write) for _ in range(8)]
            for _ in range(ROUNDS):
                with engine.connect() as connection:
                    assert connection.exec_driver_sql("SELECT 1").scalar() == 1
            assert not any(future.done() for future in pending)
        for future in pending:
            future.result(30)


def test_a_transaction_that_has_read_old_rows_is_not_kept_waiting(tmp_path: Path) -> None:
    """It can never write: somebody else has written since."""
    engine = make_engine(f"sqlite:///{tmp_path}/some.sqlite", DatabaseLimits(lock_timeout_s=600))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE number (id INTEGER)")
    with engine.connect() as reader:
        assert reader.exec_driver_sql("SELECT count(*) FROM number").scalar() == 0
        with engine.begin() as writer:
            writer.exec_driver_sql("INSERT INTO number VALUES (1)")
        with pytest.raises(Unavailable):
            reader.exec_driver_sql("INSERT INTO number VALUES (2)")
