"""The disk of the instance is full: of its database, its decision log and its log file."""

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.live import live_server

FULL = "nothing can be written: the disk of the database is full"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "v6srv-test", folder],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"NOT TESTED, a full disk: mount needs root: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        (folder / "more").write_bytes(b"x" * 4096)
    return filler


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_full_disk_is_read_from_and_said_once(small_disk: Path) -> None:
    with live_server(
        *("-m", "v6srv", "serve"),
        instance=small_disk,
        V6SRV_LOGGING__FILE="x",
        V6SRV_DIRECTORIES__LOG=str(small_disk / "log"),
        V6SRV_DECISION_LOG__SAMPLE="1",
    ) as server:
        who = server.login()

        def rename(length: int) -> requests.Response:
            body = {"name": "long", "address1": "x" * length}
            url = f"{server.api}/organization/1"
            return requests.patch(url, json=body, headers=who, timeout=30)

        def health() -> requests.Response:
            return requests.get(f"{server.api}/health", timeout=5)

        assert rename(10).status_code == 200
        filler = fill(small_disk)
        # The file of changes has room for some that are small.
        refused = next(
            answer for answer in map(rename, [100_000] * 50) if answer.status_code != 200
        )
        assert refused.status_code == 503
        assert FULL in refused.json()["msg"]
        for path in ("organization", "organization/1", "user", "role", "task"):
            answer = requests.get(f"{server.api}/{path}", headers=who, timeout=5)
            assert answer.status_code == 200, (path, answer.text)
        assert health().status_code == 200
        assert FULL in health().json()["problems"]
        for _ in range(5):
            assert rename(100_000).status_code == 503
        filler.unlink()
        assert rename(10).status_code == 200
        eventually(lambda: FULL not in health().json().get("problems", []))
        log = server.log.read_text()
        assert log.count(f"ERROR    - {FULL}") == 1, log
        assert "Traceback" not in log, log
