"""The folder of policy files: read and replaced as a whole, so nobody reads half of a version."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import as_file, files
from pathlib import Path

from v6srv.authz.source import codes
from v6srv.authz.source.lines import LARGEST, MEGABYTE, found_in, read_text, unreadable
from v6srv.authz.source.problems import PolicyError, Problem

_SHIPPED = files("v6srv") / "_policies"
SHADOW = "shadow"
"""Subfolder with a candidate that is asked beside the live policy and never obeyed."""

_ASK_EVERY_S = 0.01
"""Whether a folder that somebody has locked is free."""

_POLICY = ("*.conf", "*.csv")
_PATTERNS = (*_POLICY, "tests/*.yaml")
_NAME = re.compile(r"[^/.][^/]*\.(conf|csv)|tests/[^/.][^/]*\.yaml")
"""A file that these patterns find: nothing else is written, wherever its name comes from."""


def policy_files(folder: Path) -> list[Path]:
    """The files of a policy and its tests, by name."""
    return sorted(path for pattern in _PATTERNS for path in found_in(folder, pattern))


def shipped_texts() -> dict[str, str]:
    """Text of each file that comes with this release."""
    with as_file(_SHIPPED) as packaged:
        return read_texts(packaged)[0]


def read_texts(folder: Path) -> tuple[dict[str, str], list[Problem]]:
    """Text of each file by its path below the folder, and which files cannot be read.

    Of too many bytes of lines none is read.
    """
    texts: dict[str, str] = {}
    wrong: list[Problem] = []
    with reading(folder):
        paths = policy_files(folder)
        too_large = _too_large([path for path in paths if path.suffix == ".csv"])
        for path in paths:
            if too_large and path.suffix == ".csv":
                continue
            name = path.relative_to(folder).as_posix()
            try:
                texts[name] = read_text(path)
            except (OSError, UnicodeDecodeError) as error:
                wrong += unreadable(name, error)
    return texts, [*too_large, *wrong]


def _too_large(paths: Sequence[Path]) -> list[Problem]:
    sizes = [_status(path)[3] for path in paths]
    if sum(sizes) <= LARGEST:
        return []
    largest = paths[sizes.index(max(sizes))].name
    message = (
        f"is not read: the lines of a policy are at most {LARGEST // MEGABYTE} MB in all,"
        f" not {sum(sizes) // MEGABYTE} MB"
    )
    return [Problem(largest, message, codes.UNREADABLE_FILE)]


def read_files(folder: Path) -> dict[str, str]:
    """Text of each file by its path below the folder. Raises PolicyError for unreadable ones."""
    texts, problems = read_texts(folder)
    if problems:
        raise PolicyError(problems)
    return texts


Stamp = tuple[tuple[str, int, int, int, int], ...]
"""What tells one state of a folder from another, without reading its files."""


def stamp(folder: Path, patterns: Sequence[str] = _POLICY) -> Stamp:
    """The model and the lines of a folder, or other files, as they are now; empty without any.

    What cannot be looked at, as a link to nowhere, has a place in it, too.
    """
    files = sorted(path for pattern in patterns for path in found_in(folder, pattern))
    return tuple((str(path), *_status(path)) for path in files)


def _status(path: Path) -> tuple[int, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0, 0
    # The time of the last change of any kind: others can be set back, as by `rsync --times`.
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def is_being_written(folder: Path) -> bool:
    """Whether somebody has a file of the folder open to write, as far as that can be known.

    Half of a file can be a valid policy without its denials.
    """
    return any(_has_writer(path) for pattern in _POLICY for path in found_in(folder, pattern))


def _has_writer(path: Path) -> bool:
    """Linux gives no lease on a file that is open for writing."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False  # what is wrong with it is told by whoever reads it
    try:
        # Whoever opens it meanwhile waits until it is closed here; we are told by a signal, by
        # default one that ends the process.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN  # else: not ours, or a file system without leases
    finally:
        os.close(descriptor)
    return False


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 over names and texts."""
    sha = hashlib.sha256()
    for name, text in sorted(files.items()):
        for part in (name, text):
            data = part.encode()
            sha.update(b"%d:" % len(data) + data)
    return sha.hexdigest()


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """As `replacing`, for good."""
    with replacing(folder, files):
        pass


@contextmanager
def replacing(folder: Path, files: Mapping[str, str], *, keep: bool = False) -> Iterator[Path]:
    """Make the folder hold exactly these files of a policy; other files in it are left alone.

    Each file is replaced by renaming, all of them while readers wait (`reading`). What was there,
    readable or not, is in the hidden folder that is yielded. It comes back if the block fails; else
    it is gone at the end, unless it is to be kept. Raises PolicyError for names that are none of a
    policy, and OSError if one cannot be written: then none is replaced.
    """
    strange = [name for name in files if not _NAME.fullmatch(name)]
    if strange:
        raise PolicyError(Problem(name, "is no name of a policy file") for name in strange)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as new:
        _stage(folder, files, Path(new))
        old = Path(tempfile.mkdtemp(prefix=".replaced-", dir=folder))
        try:
            moves = _moves(folder, files, Path(new), old)
            _move_alone(folder, moves)
            try:
                yield old
            except BaseException:
                _move_alone(folder, _back(moves))
                raise
            if not keep:
                shutil.rmtree(old)
        finally:
            for path in (old / "tests", old):
                with suppress(OSError):  # it is gone, or holds what is to be kept
                    path.rmdir()


def _stage(folder: Path, files: Mapping[str, str], new: Path) -> None:
    """Write the files where nobody looks, with the modes that they will have."""
    for name, text in files.items():
        path, fresh = folder / name, new / name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        try:
            fresh.write_bytes(text.encode())
        except OSError as error:
            error.filename = error.filename or str(path)  # a full disk says no name
            raise
        # Whoever publishes, the server goes on reading: not the umask of a shell decides, nor who
        # has the shell.
        before = path if path.is_file() else folder
        fresh.chmod(stat.S_IMODE(path.stat().st_mode) if path.is_file() else 0o640)
        with suppress(PermissionError):  # only root may
            os.chown(fresh, before.stat().st_uid, before.stat().st_gid)


_Moves = Sequence[tuple[Path, Path]]


def _moves(folder: Path, files: Mapping[str, str], new: Path, old: Path) -> _Moves:
    """From where to where, each file in the place of another at once: never is the folder empty."""
    moves: list[tuple[Path, Path]] = []
    there = {path.relative_to(folder).as_posix() for path in policy_files(folder)}
    for name in sorted(there | files.keys()):
        if name in there:
            (old / name).parent.mkdir(exist_ok=True)
            moves.append((folder / name, old / name))
        if name in files:
            moves.append((new / name, folder / name))
    return moves


def _move_alone(folder: Path, moves: _Moves) -> None:
    with _locked(folder, fcntl.LOCK_EX):
        _move(moves)


def _move(moves: _Moves) -> None:
    """All of them or none, in this order. Raises OSError."""
    begun = 0
    try:
        for source, target in moves:
            begun += 1
            source.rename(target)
    except BaseException:  # Ctrl-C, too: half of a version can be valid without its denials
        done = moves[:begun]
        _move(_back(done[:-1] if done and os.path.lexists(done[-1][0]) else done))
        raise


def _back(moves: _Moves) -> _Moves:
    return [(target, source) for source, target in reversed(moves)]


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
            _lock(handle, how)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, how: int) -> None:
    """Asked again and again: under gevent nothing else of the process would run meanwhile."""
    while True:
        try:
            return fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_ASK_EVERY_S)
