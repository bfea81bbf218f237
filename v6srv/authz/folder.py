"""The folder of policy files: read and replaced as a whole, so nobody reads half of a version."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from v6srv.authz.source import PolicyError, Problem

SHADOW = "shadow"
"""Subfolder with a candidate that is asked beside the live policy and never obeyed."""

_PATTERNS = ("*.conf", "*.csv", "tests/*.yaml")


def policy_files(folder: Path) -> list[Path]:
    """The files of a policy and its tests, by name."""
    return sorted(path for pattern in _PATTERNS for path in folder.glob(pattern))


def read_files(folder: Path) -> dict[str, str]:
    """Text of each file by its path below the folder. Raises PolicyError for unreadable ones."""
    texts: dict[str, str] = {}
    with reading(folder):
        for path in policy_files(folder):
            name = path.relative_to(folder).as_posix()
            try:
                texts[name] = path.read_bytes().decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise PolicyError([Problem(name, f"cannot be read: {error}")]) from error
    return texts


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 over names and texts."""
    sha = hashlib.sha256()
    for name, text in sorted(files.items()):
        for part in (name, text):
            data = part.encode()
            sha.update(b"%d:" % len(data) + data)
    return sha.hexdigest()


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder hold exactly these files of a policy; other files in it are left alone.

    Each file is replaced by renaming, all of them while readers wait (`reading`). If one cannot be
    written none is replaced. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fresh: dict[Path, Path] = {}
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh[path] = path.with_name(f"{path.name}.{os.getpid()}.new")
            fresh[path].write_bytes(text.encode())
            # Whoever publishes, the server goes on reading: not the umask of a shell decides.
            fresh[path].chmod(stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o640)
        with _locked(folder, fcntl.LOCK_EX):
            for path in set(policy_files(folder)) - fresh.keys():
                path.unlink()
            for path, temporary in fresh.items():
                temporary.replace(path)
    finally:
        for temporary in fresh.values():
            temporary.unlink(missing_ok=True)


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Nobody replaces the files of the folder inside. No effect when it cannot be locked."""
    with _locked(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        yield  # what is wrong with the folder is told by whoever reads it
        return
    try:
        with suppress(OSError):  # some network file systems know no locks
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
