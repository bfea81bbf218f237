"""A log file that several processes write, and that is turned over when it is full."""

import errno
import fcntl
import itertools
import logging
import os
import stat
import sys
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from typing import Any

from v6srv import problems

_PROBLEM = "log"


class SharedFile(WatchedFileHandler):
    """Nobody waits for another process here, not even for one that stopped in the middle.

    Each line is one write at the end of the file. Who finds the file full renames it, unless
    somebody else is about to; all others see before their next line that the name has another file,
    and go on there. So no line is lost, and a file may become a few lines longer than wanted. (A
    lock around each line, as concurrent-log-handler has it, stops all processes with one of them.)

    A file that cannot be written, as on a full disk, is one line on the console and a standing
    problem until it can.
    """

    def __init__(self, filename: str, max_bytes: int, backup_count: int) -> None:
        self._max_bytes, self._backup_count = max_bytes, backup_count
        self._torn = self._failing = False
        super().__init__(filename)

    def _open(self) -> Any:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self.baseFilename, flags, 0o640)
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) and mode & 0o137:  # an older release let everybody read
            with suppress(PermissionError):  # somebody else's, who lets us write
                os.fchmod(descriptor, mode & 0o640)
        self._opened_by = os.getpid()
        return os.fdopen(descriptor, "ab", buffering=0)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        try:
            line = f"{self.format(record)}{self.terminator}".encode("utf-8", "backslashreplace")
            self._have_the_file_of_the_name()
            size = os.fstat(self.stream.fileno()).st_size
            if size and size + len(line) > self._max_bytes:
                self._turn_over()
            self._write(line)
        except Exception:  # as logging has it: a line is no reason to fail
            self.handleError(record)
        else:
            if self._failing:
                self._failing = False
                problems.end(_PROBLEM)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging calls it
        """A standing problem, if it is one of the file."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._failing = True
            problems.begin(_PROBLEM, "the log file cannot be written", error)
        else:
            super().handleError(record)

    def _have_the_file_of_the_name(self) -> None:
        if self.stream is not None and self._opened_by != os.getpid():
            self.stream.close()  # a lock of a parent process would be ours, too
            self.stream = None
        if self.stream is None:
            self.stream = self._open()
            self._statstream()
        self.reopenIfNeeded()

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        written = self.stream.write(line)
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _turn_over(self) -> None:
        """Begin a new file under the name; the old one is `.1`, and so on."""
        try:
            fcntl.flock(self.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
        except BlockingIOError:
            return  # somebody else does it
        before = self.stream
        self.reopenIfNeeded()
        if self.stream is not before:
            return  # somebody else has done it
        names = [self.baseFilename]
        names += [f"{self.baseFilename}.{number}" for number in range(1, self._backup_count + 1)]
        for newer, older in reversed(list(itertools.pairwise(names))):
            with suppress(FileNotFoundError):
                os.replace(newer, older)
        self.reopenIfNeeded()
