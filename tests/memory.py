"""Temporary files of the tests in memory: what is thrown away should not wait for a disk.

Servers and databases write all the time, and thousands of databases are made and dropped.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

SHARED = Path("/dev/shm")
ENOUGH = 2 * 1024**3


@contextlib.contextmanager
def temporary_files() -> Iterator[None]:
    """Temporary files of this process and those it starts are in memory while the block lasts.

    Where there is too little, or `TMPDIR` says where they belong, they are there as ever.
    """
    if "TMPDIR" in os.environ or not _has_room():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="v6srv-tests-", dir=SHARED) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL is another user
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            yield
        finally:
            del os.environ["TMPDIR"]
            tempfile.tempdir = None


def _has_room() -> bool:
    if not SHARED.is_dir():
        return False
    found = os.statvfs(SHARED)
    free, programs_run = found.f_bavail * found.f_frsize, not found.f_flag & os.ST_NOEXEC
    return free >= ENOUGH and programs_run
