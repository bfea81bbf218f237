"""A disk is full: that of the database, the decision log and the log file, of a new instance, or of
what waits in temporary files."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.live import live_server
from tests.support import Caller
from tests.world import World
from v6srv.wire.json import LARGE

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
        acknowledged = [10]
        for length in range(3_000, 4_000):
            refused = rename(length)
            if refused.status_code != 200:
                break
            acknowledged.append(length)
        assert refused.status_code == 503, (length, refused.text)
        assert FULL in refused.json()["msg"]
        for path in ("organization", "organization/1", "user", "role", "task"):
            answer = requests.get(f"{server.api}/{path}", headers=who, timeout=5)
            assert answer.status_code == 200, (path, answer.text)
        assert health().status_code == 200
        assert FULL in health().json()["problems"]
        for _ in range(5):
            assert rename(4_000).status_code == 503
        shown = requests.get(f"{server.api}/organization/1", headers=who, timeout=5).json()
        assert len(shown["address1"]) == acknowledged[-1], "what was answered with 200 is there"
        filler.unlink()
        assert rename(10).status_code == 200
        eventually(lambda: FULL not in health().json().get("problems", []))
        log = server.log.read_text()
        assert log.count(f"ERROR    - {FULL}") == 1, log
        assert "Traceback" not in log, log


def test_a_first_start_without_room_leaves_nothing_half_made(small_disk: Path) -> None:
    """A part of the default policies would be taken for an admin's own from then on."""
    instance = small_disk / "instance"
    filler = fill(small_disk)
    environment = {**os.environ, "V6SRV_INSTANCE": str(instance), "V6SRV_PASSWORD_ROUNDS": "4"}
    command = [sys.executable, "-m", "v6srv", "start"]
    run = {"env": environment, "capture_output": True, "text": True, "timeout": 60}
    failed = subprocess.run(command, **run)
    assert failed.returncode == 1
    assert os.strerror(errno.ENOSPC) in failed.stderr
    assert str(instance) in failed.stderr
    assert "Traceback" not in failed.stderr
    assert [path for path in instance.rglob("*") if path.is_file() and path.stat().st_size] == []
    filler.unlink()
    with live_server(instance=instance, V6SRV_JWT_SECRET="") as server:
        server.login()
        names = {path.name for path in (instance / "policies").iterdir()}
        assert names == {"model.conf", "default_roles.csv", "tests"}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("left", [0, 3 * LARGE])
def test_large_bodies_and_answers_without_room_for_them(
    call: Caller, world: World, small_disk: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    path = f"/result/{world.result['running', 'north']}"
    body = {"result": "x" * 3 * LARGE}
    assert call("north_registry", "PATCH", path, json=body).status_code == 200
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with fill(small_disk).open("r+b") as filler:
        filler.truncate(filler.seek(0, os.SEEK_END) - left)
        refused = call("north_registry", "PATCH", path, json={"result": "y" * 3 * LARGE})
        assert (refused.status_code, refused.json["code"]) == (503, "unavailable")
        assert refused.json["msg"] == "There is no room for a body of this size now"
        shown = call("researcher", "GET", path)
        assert shown.json["result"] == body["result"]
        filler.truncate(0)
    body = {"result": "z" * 3 * LARGE}
    assert call("north_registry", "PATCH", path, json=body).status_code == 200
