"""The decision log: a line of JSON for each decision, chained by hashes, never a reason to fail.

All processes of an instance write one series of files and take turns by a lock on its head, so that
there is one chain and one order. The head (`<name>.head`) says where the chain ends: what is cut
off at the end shows, as long as the head is not changed as well. Each record holds its number, the
hash of the record before it, and its own: SHA-256 of both.

What a record holds is enough to ask the question again (`replay`), and nothing of what the caller
sent: no bodies, tokens, names or inputs. Records are handed to the operating system one by one and
not forced to the disk: a power failure can lose the last ones, and `audit verify` then says so.

Availability wins: when the log cannot be written, decisions go on, `problem` says why, the server's
log says it once, and the first record that can be written again says how many are lost.
"""

import fcntl
import hashlib
import logging
import os
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from v6srv.settings import Settings

log = logging.getLogger(__name__)

NOTHING_BEFORE = "0" * 64
"""What the first record of a chain has for the hash of the record before it."""

_Waiting = list[tuple["DecisionLog", Mapping[str, Any]]]
_together: ContextVar[_Waiting | None] = ContextVar("v6srv_together", default=None)

_TAIL = re.compile(rb',"hash":"([0-9a-f]{64})"\}\n?\Z')
_HEAD_SIZE = 256
"""Bytes of the head: always the same, so that it is replaced in one write."""
_LARGEST_JSON = 2**53
_MOST_TRIES, _FEW_TRIES, _BETWEEN_TRIES_S = 1000, 20, 0.001
"""How long another process may hold the log before records are lost: a second and more; less when
they are lost already."""


def stamp(moment: datetime) -> str:
    """A time as records have it: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def number_of(id: int) -> int | str:
    """An id as JSON can hold it: callers ask for ids that no row can have."""
    return id if -_LARGEST_JSON < id < _LARGEST_JSON else str(id)[:40]


def sealed(record: Mapping[str, Any]) -> tuple[bytes, str]:
    """The line of a record that has its `seq` and `prev`, and its hash."""
    body = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    digest = _digest(str(record["prev"]), body)
    return body[:-1] + b',"hash":"' + digest.encode() + b'"}\n', digest


def opened(line: bytes) -> tuple[dict[str, Any], str, bool] | None:
    """The record of a line, the hash written on it, and whether it is the record's own.

    None for what is no record.
    """
    found = _TAIL.search(line)
    if found is None:
        return None
    body = line[: found.start()] + b"}"
    try:
        record = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int):
        return None
    written = found[1].decode()
    return record, written, _digest(str(record.get("prev")), body) == written


def _digest(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ends."""

    file: int
    """Number of the file that is written to, from 1."""
    size: int
    """Bytes of it that hold records."""
    seq: int
    """Number of the last record, from 1; 0 before the first."""
    hash: str

    @classmethod
    def read(cls, text: bytes) -> "Head | None":
        """From the bytes of a head file; None when they are none."""
        try:
            values = orjson.loads(text)
            file, size, seq = (int(values[name]) for name in ("file", "size", "seq"))
            return cls(file, size, seq, str(values["hash"]))
        except (ValueError, KeyError, TypeError):
            return None

    def written(self) -> bytes:
        """As a head file has it."""
        values = f'"file":{self.file},"size":{self.size},"seq":{self.seq},"hash":"{self.hash}"'
        return f"{{{values}}}".encode().ljust(_HEAD_SIZE - 1) + b"\n"


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one log: `<name>.000001.jsonl` and so on, and `<name>.head`."""

    folder: Path
    name: str = "decisions"

    @classmethod
    def of(cls, settings: "Settings") -> "Series":
        """Of the instance of these settings, beside its other log files."""
        return cls(settings.log_folder, f"decisions_{settings.log_suffix}")

    @property
    def head(self) -> Path:
        """The file that says where the chain ends."""
        return self.folder / f"{self.name}.head"

    def file(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{self.name}.{number:06}.jsonl"

    def numbers(self) -> list[int]:
        """Numbers of the files that are there, in order."""
        form = re.compile(re.escape(self.name) + r"\.(\d{6,})\.jsonl")
        with suppress(FileNotFoundError):
            found = (form.fullmatch(path.name) for path in self.folder.iterdir())
            return sorted(int(one[1]) for one in found if one)
        return []

    def files(self) -> list[Path]:
        """The files that are there, oldest first."""
        return [self.file(number) for number in self.numbers()]

    def read_head(self) -> Head | None:
        """Where the chain ends now; None without a head or with one that is none."""
        try:
            with self.head.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)  # until it is closed
                return Head.read(file.read())
        except FileNotFoundError:
            return None


@contextmanager
def together() -> Iterator[None]:
    """What is decided inside is written at the end, in one go, whether it ends well or not.

    For many decisions at once: processes that decide the same change would wait for each other at
    each record.
    """
    waiting: _Waiting = []
    token = _together.set(waiting)
    try:
        yield
    finally:
        _together.reset(token)
        if waiting:
            waiting[0][0].write_all([record for _, record in waiting])


class DecisionLog:
    """Writes the log of an instance. For threads, greenlets and several processes."""

    def __init__(
        self, series: Series, *, sample: float = 0.0, max_bytes: int = 2**26, keep: int = 8
    ) -> None:
        """`sample`: which part of the allowances is written, 0 to 1; denials always are.

        A file of more than `max_bytes` is followed by a new one, and only `keep` files stay.
        Nothing is opened before the first record.
        """
        self.series, self.sample, self.max_bytes, self.keep = series, sample, max_bytes, keep
        self.problem: str | None = None
        """Why records cannot be written now; None when they can, or none had to be."""
        self._lost = 0
        self._turn = threading.Lock()
        self._file = _OpenFile()
        self._head = _OpenFile()
        self._number = 0  # of the open file
        self._last: tuple[bytes, Head | None] = b"", None  # head that this process wrote
        self._started = 0  # the process that has said that it writes here

    @classmethod
    def of(cls, settings: "Settings") -> "DecisionLog | None":
        """As the settings say; None when there is to be none."""
        wanted = settings.decision_log
        if not wanted.enabled:
            return None
        return cls(
            Series.of(settings),
            sample=wanted.sample,
            max_bytes=int(wanted.max_mb * 2**20),
            keep=wanted.keep,
        )

    def takes_allowance(self) -> bool:
        """Whether the next allowance is one of those that are written."""
        return self.sample > 0 and (self.sample >= 1 or random.random() < self.sample)  # noqa: S311

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record. Never raises for what disks and folders do: see `problem`."""
        waiting = _together.get()
        if waiting is None:
            self.write_all([record])
        else:
            waiting.append((self, record))

    def write_all(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append records, one after the other, as `write` does."""
        with self._turn:
            try:
                self._append(records)
            except (OSError, orjson.JSONEncodeError) as error:
                self._lost += len(records)
                if self.problem is None:
                    log.error("the decision log cannot be written, decisions go on: %s", error)
                self.problem = f"{type(error).__name__}: {error}"
                self._file.close()
                self._head.close()
                return
        if self.problem is not None:
            log.warning("the decision log is written again")
            self.problem = None

    def close(self) -> None:
        """Let go of the files; the next record opens them again."""
        with self._turn:
            self._file.close()
            self._head.close()

    # --- appending

    def _append(self, records: Sequence[Mapping[str, Any]]) -> None:
        if self._started != os.getpid():
            self._file, self._head = _OpenFile(), _OpenFile()  # not to share a lock with a parent
        if not self._head.is_there():
            self.series.folder.mkdir(parents=True, exist_ok=True)
            self._head.open(self.series.head, os.O_RDWR | os.O_CREAT)
        self._wait_for_turn()
        try:
            chain = _Chain(*self._end())
            if chain.head.size >= self.max_bytes:
                self._next_file(chain)
            if self._started != os.getpid():
                chain.add({"kind": "start", "pid": os.getpid(), "sample": self.sample})
            if self._lost:
                chain.add({"kind": "lost", "count": self._lost})
            for record in records:
                chain.add(record)
            self._put(chain)
        finally:
            fcntl.flock(self._head.descriptor, fcntl.LOCK_UN)
        self._started, self._lost = os.getpid(), 0

    def _wait_for_turn(self) -> None:
        """Lock the head. Raises OSError when another process has stopped with the lock.

        A process has it for less than a millisecond. What waits here lets other greenlets go on.
        """
        for _ in range(_FEW_TRIES if self.problem else _MOST_TRIES):
            try:
                fcntl.flock(self._head.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_BETWEEN_TRIES_S)
            else:
                return
        raise OSError("another process holds it")

    def _end(self) -> tuple[Head, list[dict[str, Any]], bytes]:
        """Where to go on, what to say about it first, and bytes that end a torn line."""
        text = os.pread(self._head.descriptor, _HEAD_SIZE, 0)
        head = self._last[1] if text == self._last[0] else Head.read(text)
        says: list[dict[str, Any]] = []
        if head is None:
            numbers = self.series.numbers()
            head = Head(numbers[-1] if numbers else 1, 0, 0, NOTHING_BEFORE)
            if numbers:
                says.append({"kind": "no_head"})
        fresh = self._open_file(head.file)
        if fresh and not says and not head.seq:
            says.append({"kind": "file", "file": 1, "kept_from": 1})
        size = os.fstat(self._file.descriptor).st_size
        if size == head.size:
            return head, says, b""
        head, torn = self._after(head, size)
        return head, says, b"\n" if torn else b""

    def _open_file(self, number: int) -> bool:
        """Have the file of this number open; True when it was made just now."""
        if self._number == number and self._file.is_there():
            return False
        path = self.series.file(number)
        fresh = not path.exists()
        self._file.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._number = number
        return fresh

    def _after(self, head: Head, size: int) -> tuple[Head, bool]:
        """The true end of a file that is not as long as the head says; whether a line is torn.

        Longer: a process ended between record and head, and the chain goes on from what it wrote.
        Shorter: the records are gone, and the chain goes on from the head, so it shows.
        """
        seq, before = head.seq, head.hash
        start = head.size if size > head.size else max(size - 1, 0)
        rest = os.pread(self._file.descriptor, size - start, start)
        for line in rest.splitlines(keepends=True) if size > head.size else ():
            found = opened(line)
            if found and found[2] and found[0]["seq"] > seq and line.endswith(b"\n"):
                seq, before = found[0]["seq"], found[1]
        return Head(head.file, size, seq, before), bool(rest) and not rest.endswith(b"\n")

    def _next_file(self, chain: "_Chain") -> None:
        """Begin a new file, with what stays of the old ones, and remove what does not."""
        number = chain.head.file + 1
        self._open_file(number)
        size = os.fstat(self._file.descriptor).st_size  # 0, unless a process ended right here
        begun = Head(number, 0, chain.head.seq, chain.head.hash)
        chain.head, torn = self._after(begun, size)
        chain.torn = b"\n" if torn else b""
        kept_from = max(1, number - self.keep + 1)
        chain.says.append({"kind": "file", "file": number, "kept_from": kept_from})
        for old in self.series.numbers():
            if old < kept_from:
                with suppress(OSError):  # `kept_from` holds for it all the same
                    self.series.file(old).unlink()

    def _put(self, chain: "_Chain") -> None:
        lines, head = chain.lines()
        done = os.write(self._file.descriptor, lines)
        if done < len(lines):
            with suppress(OSError):
                os.ftruncate(self._file.descriptor, head.size - len(lines))
            raise OSError(f"only {done} of {len(lines)} bytes could be written")
        text = head.written()
        os.pwrite(self._head.descriptor, text, 0)
        self._last = text, head


class _Chain:
    """Records to be written, after the end of what is there."""

    def __init__(self, head: Head, says: list[dict[str, Any]], torn: bytes) -> None:
        self.head, self.says, self.torn = head, says, torn

    def add(self, record: Mapping[str, Any]) -> None:
        """One more record."""
        self.says.append(dict(record))

    def lines(self) -> tuple[bytes, Head]:
        """All of them as lines, and the end of the chain after them."""
        seq, before, lines = self.head.seq, self.head.hash, [self.torn]
        for record in self.says:
            seq += 1
            if "time" not in record:
                record["time"] = stamp(datetime.now(UTC))
            line, before = sealed({**record, "seq": seq, "prev": before})
            lines.append(line)
        text = b"".join(lines)
        return text, Head(self.head.file, self.head.size + len(text), seq, before)


class _OpenFile:
    """A file that stays open from one record to the next."""

    def __init__(self) -> None:
        self.descriptor = -1

    def open(self, path: Path, flags: int) -> None:
        """Open this file instead; readable for its owner only."""
        self.close()
        self.descriptor = os.open(path, flags, 0o600)

    def is_there(self) -> bool:
        """Whether it is open, and not removed meanwhile by somebody else."""
        return self.descriptor >= 0 and os.fstat(self.descriptor).st_nlink > 0

    def close(self) -> None:
        """Close it, if it is open."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1

    def __del__(self) -> None:
        """A log that is forgotten, with its application, leaves nothing open."""
        self.close()


__all__ = [
    "NOTHING_BEFORE",
    "DecisionLog",
    "Head",
    "Series",
    "number_of",
    "opened",
    "sealed",
    "stamp",
    "together",
]
