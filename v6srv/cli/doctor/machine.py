"""The machine: disks, folders, open files."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from v6srv.cli.doctor import findings
from v6srv.cli.doctor.findings import Finding
from v6srv.db import sqlite_file
from v6srv.settings import Settings

_LITTLE_MB = 1024
_FEW_FILES = 4096


def _folders(settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    database = sqlite_file(settings.uri)
    wanted = {
        "instance": settings.instance,
        "database": database.parent if database else None,
        "logs": settings.log_folder,
        "temporary files": Path(tempfile.gettempdir()),
    }
    disks: set[int] = set()
    for what, folder in wanted.items():
        if folder is None:
            continue
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        if not os.access(there, os.W_OK):
            yield Finding(findings.NO_WRITE, f"{what}: {there} cannot be written to")
        disk, free_mb = there.stat().st_dev, shutil.disk_usage(there).free // (1 << 20)
        if free_mb < _LITTLE_MB and disk not in disks:
            yield Finding(findings.DISK, f"{what}: {free_mb} MB are left in {there}")
        disks.add(disk)


def _open_files(_settings: Settings, _backup: Path | None) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FEW_FILES:
        yield Finding(findings.FILES, f"a process may have {hard} open files here")


LOOKS = (_folders, _open_files)
