"""The decision log is one whole chain, whoever writes it and whatever happens to its files."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from v6srv.authz.decision_log import DecisionLog, Head, Series, together
from v6srv.policy.audit import trail

RECORD: dict[str, Any] = {"kind": "decision", "time": "2026-03-01T12:00:00.000Z", "effect": "deny"}


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path / "log")


def _records(series: Series) -> list[dict[str, Any]]:
    return [json.loads(line) for path in series.files() for line in path.open()]


def _kinds(series: Series) -> list[str]:
    return [record["kind"] for record in _records(series)]


def _faults(series: Series) -> list[str]:
    return [f"{fault.kind}: {fault.message}" for fault in trail.verify_series(series).faults]


def test_nothing_is_made_before_the_first_record(series: Series) -> None:
    DecisionLog(series)
    assert not series.folder.exists()


def test_a_record_is_numbered_chained_and_readable_by_its_owner_only(series: Series) -> None:
    log = DecisionLog(series)
    log.write({**RECORD, "id": "a"})
    log.write({**RECORD, "id": "b"})
    records = _records(series)
    assert [(record["kind"], record["seq"]) for record in records] == [
        ("file", 1),
        ("start", 2),
        ("decision", 3),
        ("decision", 4),
    ]
    assert [record["prev"] for record in records[1:]] == [record["hash"] for record in records[:-1]]
    assert not _faults(series)
    assert series.files()[0].stat().st_mode & 0o777 == 0o600


def test_a_log_that_is_forgotten_leaves_nothing_open(series: Series) -> None:
    """An application that is made and forgotten does not use up the descriptors of its process."""
    log = DecisionLog(series)
    log.write(RECORD)
    assert _open_below(series.folder) == 2
    del log
    assert _open_below(series.folder) == 0


def _open_below(folder: Path) -> int:
    places = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return sum(path.readlink().is_relative_to(folder) for path in places)


def test_threads_write_one_chain(series: Series) -> None:
    log = DecisionLog(series, max_bytes=200_000, keep=100)

    def write(thread: int) -> None:
        for number in range(500):
            log.write({**RECORD, "id": f"{thread}-{number}"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [record["id"] for record in _records(series) if record["kind"] == "decision"]
    assert sorted(ids) == sorted(f"{t}-{n}" for t in range(8) for n in range(500))
    assert len(series.files()) > 2
    assert not _faults(series)
    assert log.problem is None


WRITER = """
import sys
from pathlib import Path
from v6srv.authz.decision_log import DecisionLog, Series
log = DecisionLog(Series(Path(sys.argv[1])), max_bytes=20_000, keep=100)
for number in range(200):
    log.write({"kind": "decision", "time": "2026-03-01T12:00:00.000Z", "id": f"{sys.argv[2]}-{number}"})
assert log.problem is None
"""

GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent, sys
from pathlib import Path
from v6srv.authz.decision_log import DecisionLog, Series
log = DecisionLog(Series(Path(sys.argv[1])), max_bytes=20_000, keep=100)
def write(name):
    for number in range(40):
        log.write({"kind": "decision", "time": "2026-03-01T12:00:00.000Z", "id": f"{name}-{number}"})
        gevent.sleep(0)
gevent.joinall([gevent.spawn(write, f"{sys.argv[2]}-{n}") for n in range(5)], raise_error=True)
assert log.problem is None
"""


def test_processes_and_greenlets_write_one_chain(series: Series) -> None:
    programs = {"a": WRITER, "b": WRITER, "c": GREENLETS}
    started = [
        subprocess.Popen([sys.executable, "-c", text, str(series.folder), name])
        for name, text in programs.items()
    ]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert _kinds(series).count("decision") == 600
    assert _kinds(series).count("start") == 3
    assert len(series.files()) > 2
    assert not _faults(series)


def test_a_child_process_goes_on_with_the_chain(series: Series) -> None:
    log = DecisionLog(series)
    log.write(RECORD)
    child = os.fork()
    if child == 0:
        log.write(RECORD)
        os._exit(0 if log.problem is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    log.write(RECORD)
    assert _kinds(series) == ["file", "start", "decision", "start", "decision", "decision"]
    assert not _faults(series)


def test_old_files_go_and_the_chain_stays_whole(series: Series) -> None:
    log = DecisionLog(series, max_bytes=1000, keep=3)
    for _ in range(100):
        log.write(RECORD)
    assert len(series.files()) == 3
    assert series.numbers()[0] > 3
    found = trail.verify_series(series)
    assert not found.faults
    assert found.notes == [f"records before {found.first} were removed by rotation"]


def test_only_the_part_of_allowances_that_is_asked_for(series: Series) -> None:
    assert not any(DecisionLog(series, sample=0).takes_allowance() for _ in range(1000))
    assert all(DecisionLog(series, sample=1).takes_allowance() for _ in range(1000))
    some = sum(DecisionLog(series, sample=0.5).takes_allowance() for _ in range(1000))
    assert 300 < some < 700


# --- what can happen to the files


def test_a_folder_that_cannot_be_written_is_said_once_and_counted(
    series: Series, caplog: pytest.LogCaptureFixture
) -> None:
    series.folder.write_text("a file where the folder should be")
    log = DecisionLog(series)
    for _ in range(3):
        log.write(RECORD)
    assert log.problem is not None
    assert "FileExistsError" in log.problem
    errors = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert len(errors) == 1
    series.folder.unlink()
    log.write(RECORD)
    assert log.problem is None
    assert _kinds(series) == ["file", "start", "lost", "decision"]
    assert _faults(series) == ["lost: 3 records could not be written then"]


STOPPED = """
from gevent import monkey
monkey.patch_all()
import fcntl, gevent, sys
from pathlib import Path
from v6srv.authz.decision_log import DecisionLog, Series
series = Series(Path(sys.argv[1]))
record = {"kind": "decision", "time": "2026-03-01T12:00:00.000Z", "id": "x"}
log = DecisionLog(series)
log.write(record)
order = []
with series.head.open("rb") as another:
    fcntl.flock(another, fcntl.LOCK_EX)
    waiting = gevent.spawn(log.write, record)
    waiting.link(lambda _: order.append("given up"))
    gevent.sleep(0)
    order.append("a request is answered meanwhile")
    waiting.get()
    log.write(record)
    print(*order, log.problem, sep=chr(10))
log.write(record)
print(log.problem)
"""


def test_a_process_that_stopped_in_the_middle_of_a_record_holds_up_nobody(series: Series) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(series.folder)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == [
        "a request is answered meanwhile",
        "given up",
        "OSError: another process holds it",
        "None",
    ], done.stderr
    assert _faults(series) == ["lost: 2 records could not be written then"]


def test_a_full_disk_leaves_no_half_record(series: Series) -> None:
    """The limit of a file's size stands for the disk: both end a write half way."""
    program = """
import resource, signal, sys
from pathlib import Path
from v6srv.authz.decision_log import DecisionLog, Series
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = DecisionLog(Series(Path(sys.argv[1])))
record = {"kind": "decision", "time": "2026-03-01T12:00:00.000Z", "padding": "x" * 300}
log.write(record)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
log.write(record)
assert log.problem is not None, "there was room"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.write(record)
assert log.problem is None, log.problem
"""
    subprocess.run([sys.executable, "-c", program, str(series.folder)], check=True, timeout=60)
    assert _kinds(series) == ["file", "start", "decision", "lost", "decision"]
    assert _faults(series) == ["lost: 1 records could not be written then"]


@pytest.fixture
def written(series: Series) -> Iterator[DecisionLog]:
    log = DecisionLog(series)
    for _ in range(3):
        log.write(RECORD)
    return log


def test_what_a_process_wrote_before_it_died_stays(written: DecisionLog, series: Series) -> None:
    """It died after the record and before the head."""
    head = series.head.read_bytes()
    written.write(RECORD)
    series.head.write_bytes(head)
    written.write(RECORD)
    assert [record["seq"] for record in _records(series)] == [1, 2, 3, 4, 5, 6, 7]
    assert not _faults(series)


def test_a_record_that_was_written_half_shows_and_the_next_is_whole(
    written: DecisionLog, series: Series
) -> None:
    """A power failure: the head is as old as the file."""
    with series.files()[0].open("ab") as file:
        file.write(b'{"kind":"decisi')
    written.write(RECORD)
    assert _faults(series) == ["altered: this is no record"]
    assert trail.verify_series(series).last == 6


def test_records_that_a_power_failure_took_show(written: DecisionLog, series: Series) -> None:
    path = series.files()[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    written.write(RECORD)
    assert _faults(series) == ["missing: records 4 to 5"]


def test_a_file_that_was_removed_is_made_anew(written: DecisionLog, series: Series) -> None:
    series.files()[0].unlink()
    written.write(RECORD)
    assert written.problem is None
    assert _faults(series) == [
        "missing: the beginning of the file",
        "missing: the files with the records before 6",
    ]


@pytest.mark.parametrize("content", [None, b"", b"not a head", b'{"file":1}'])
def test_without_a_head_the_chain_goes_on_and_says_so(
    written: DecisionLog, series: Series, content: bytes | None
) -> None:
    series.head.unlink()
    if content is not None:
        series.head.write_bytes(content)
    DecisionLog(series).write(RECORD)
    assert [record["seq"] for record in _records(series)] == list(range(1, 9))
    [fault] = _faults(series)
    assert fault.startswith("no_head: the head was gone or broken here")


def test_a_process_that_died_while_it_began_a_file(series: Series) -> None:
    log = DecisionLog(series, max_bytes=1)
    log.write(RECORD)
    head = series.head.read_bytes()
    log.write(RECORD)
    assert series.numbers() == [1, 2]
    series.head.write_bytes(head)
    log.write(RECORD)
    assert not _faults(series)
    assert series.read_head() == Head.read(series.head.read_bytes())


def test_what_is_decided_together_is_one_piece_of_the_chain(series: Series) -> None:
    """Also what was decided before something went wrong; what others decide does not wait."""
    log = DecisionLog(series)
    other = threading.Thread(target=log.write, args=(RECORD | {"id": "of another"},))
    with suppress(LookupError), together():
        log.write(RECORD | {"id": "first"})
        other.start()
        other.join()
        log.write(RECORD | {"id": "second"})
        raise LookupError
    log.write(RECORD | {"id": "last"})
    decided = [record["id"] for record in _records(series) if record["kind"] == "decision"]
    assert decided == ["of another", "first", "second", "last"]
    assert not _faults(series)
