"""The files of an instance are for its own account and group, whatever the umask says."""

import logging
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


def keep_to_ourselves() -> None:
    """From now on others get no right to any file or folder that this process makes.

    Files are made with 0640 and folders with 0750 at most; a tighter umask stays.
    """
    os.umask(os.umask(0o077) | 0o027)


def make(file: Path) -> None:
    """Make an empty file, and its folder, for its owner alone; one that is there stays."""
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    file.touch(mode=0o600, exist_ok=True)


def close(files: Iterable[Path]) -> None:
    """Take what others may do with these files, made by an older release or by hand.

    Those that belong to somebody else are named in the log.
    """
    for file in files:
        with suppress(FileNotFoundError):
            mode = stat.S_IMODE(file.stat().st_mode)
            if mode & 0o007:
                _close(file, mode)


def _close(file: Path, mode: int) -> None:
    try:
        file.chmod(mode & ~0o007)
    except OSError as error:
        log.warning("others may use %s (mode %04o), which cannot be mended: %s", file, mode, error)


def warn_of_writable(paths: Iterable[Path]) -> None:
    """Name in the log what decides how this server works and others may change.

    Who may read policies and configurations is not for the server to say.
    """
    for path in paths:
        if path.exists() and path.stat().st_mode & stat.S_IWOTH:
            log.warning("others may change %s: chmod o-w it", path)
