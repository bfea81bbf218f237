"""Looking back at decisions: is the log whole, what was decided, and would it be decided again?"""

import mmap
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from v6srv.authz import long_work
from v6srv.authz.decision_log import (
    NOTHING_BEFORE,
    DecisionLog,
    Head,
    Series,
    opened,
    stamp,
)
from v6srv.errors import Invalid, NotFound

Record = dict[str, Any]

ID_LENGTH = 20
"""Letters of the id of a decision: hexadecimal digits."""


_DISORDER = timedelta(minutes=10)
"""How far records may stand from their place in time: requests are not written as they begin, and
clocks are set."""


# --- is it whole


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it was written."""

    place: str
    """`file:line` or `file`."""
    kind: str
    """altered, missing, reordered, inserted, truncated, no_head or lost."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.message}"


@dataclass(slots=True)
class Verified:
    """What was found in the files of a log."""

    faults: list[Fault] = field(default_factory=list)
    records: int = 0
    first: int | None = None
    last: int | None = None
    """Numbers of the first and the last record; None when there is none."""
    hash: str = NOTHING_BEFORE
    """Of the last record. Noted elsewhere, it proves later that nothing before has changed."""
    notes: list[str] = field(default_factory=list)
    """What could not be seen."""
    known: bool = False
    """Whether the record with the hash that was asked for is there."""


def verify(
    files: Sequence[Path],
    head: Head | None = None,
    known: str | None = None,
    *,
    whole: bool = False,
) -> Verified:
    """Read files of one log in the order of their records and say what is wrong with them.

    `head` says where the chain ends (`Series.read_head`, read before the files are): without it,
    what is cut off at the end cannot be seen. `known` is the hash of a record that was noted down:
    who can write to the folder can make up a new chain and a new head, but not one with this hash.
    `whole`: these are all files there are. Raises OSError.
    """
    reading = _Reading(head, known)
    for path in sorted(files, key=_first_number):
        reading.file(path)
    reading.end(whole=whole)
    return reading.found


def verify_series(series: Series, known: str | None = None) -> Verified:
    """`verify` for all files of a log, its head, and the files that must be there."""
    head = series.read_head()
    numbers = series.numbers()
    found = verify(series.files(), head, known, whole=True)
    if head is None and numbers:
        found.faults.append(
            Fault(series.head.name, "no_head", "the file is gone: the end cannot be checked")
        )
    return found


class _Reading:
    """Follows a chain through its files."""

    def __init__(self, head: Head | None, known: str | None) -> None:
        self.found = Verified()
        self._head, self._known = head, known
        self._gaps: dict[int, str] = {}
        """Numbers that were passed over, and where."""
        self._hashes: dict[int, str] = {}
        self._place = ""
        self._kept_from = 1
        self._file_of_first: int | None = None

    def file(self, path: Path) -> None:
        """The next file."""
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                self._place = f"{path.name}:{number}"
                self._line(line, first=number == 1)

    def _fault(self, kind: str, message: str, place: str | None = None) -> None:
        self.found.faults.append(Fault(place or self._place, kind, message))

    def _line(self, line: bytes, *, first: bool) -> None:
        read = opened(line)
        if read is None or not line.endswith(b"\n"):
            self._fault("altered", "this is no record" if read is None else "the line is cut off")
            return
        record, written, own = read
        found, seq = self.found, record["seq"]
        if found.last is None:
            found.first = seq
            if record.get("kind") == "file":
                self._file_of_first = record.get("file")
        if first and record.get("kind") != "file":
            self._fault("missing", "the beginning of the file")
        if not own:
            self._fault("altered", f"record {seq} is not as it was written")
        self._follow(record, seq)
        self._special(record)
        found.records += 1
        found.known |= written == self._known
        if self._head is not None and seq == self._head.seq and written != self._head.hash:
            self._fault("altered", f"record {seq} is not the one that the head knows")
        self._hashes = {n: h for n, h in self._hashes.items() if n >= seq - 2}
        self._hashes[seq] = written
        if found.last is None or seq > found.last:
            found.last, found.hash = seq, written

    def _follow(self, record: Record, seq: int) -> None:
        """Compare with the record before it in the chain, wherever that stands."""
        last = self.found.last
        if last is not None and seq <= last:
            if self._gaps.pop(seq, None):
                self._fault("reordered", f"record {seq} stands after record {last}")
            else:
                self._fault("inserted", f"there is a record {seq} already")
            return
        if last is not None and seq > last + 1:
            self._gaps |= dict.fromkeys(range(last + 1, min(seq, last + 100_001)), self._place)
            if seq > last + 100_001:
                self._fault("missing", f"records {last + 100_001} to {seq - 1}")
        before = NOTHING_BEFORE if seq == 1 else self._hashes.get(seq - 1)
        if before is not None and record.get("prev") != before:
            what = f"record {seq} does not follow the record {seq - 1} that stands here"
            self._fault("altered", f"{what}: one of them was replaced")

    def _special(self, record: Record) -> None:
        kind = record.get("kind")
        if kind == "file":
            self._kept_from = max(self._kept_from, record.get("kept_from", 1))
        elif kind == "no_head":
            message = "the head was gone or broken here: records before this may have been cut off"
            self._fault("no_head", message)
        elif kind == "lost":
            self._fault("lost", f"{record.get('count')} records could not be written then")

    def end(self, *, whole: bool) -> None:
        """What can be said when all files are read."""
        found, head = self.found, self._head
        for first, last, place in _runs(self._gaps):
            many = f"records {first} to {last}" if last > first else f"record {first}"
            self._fault("missing", many, place)
        if found.first not in (None, 1):
            self._beginning(whole=whole)
        if head is None:
            found.notes.append("without the head, records missing at the end cannot be seen")
        elif (found.last or 0) < head.seq:
            many = f"{head.seq - (found.last or 0)} records after record {found.last or 0}"
            self._fault("truncated", f"{many} are gone", self._place or "the log")
        if self._known and not found.known:
            self._fault("altered", "no record has the hash that was noted down", "the log")

    def _beginning(self, *, whole: bool) -> None:
        first, number = self.found.first, self._file_of_first
        if not whole:
            self.found.notes.append(f"records before {first} are not in these files")
        elif number is not None and number <= self._kept_from:
            self.found.notes.append(f"records before {first} were removed by rotation")
        else:
            self._fault("missing", f"the files with the records before {first}", "the log")


def _first_number(path: Path) -> int:
    """The number of the first record of a file; what has none comes last."""
    with path.open("rb") as lines:
        for line in lines:
            read = opened(line)
            if read is not None:
                return int(read[0]["seq"])
    return 2**62


def _runs(numbers: Mapping[int, str]) -> Iterator[tuple[int, int, str]]:
    """Numbers without a hole between them: first, last, and the place of the first."""
    start = end = None
    for number in sorted(numbers):
        if start is not None and end is not None and number == end + 1:
            end = number
            continue
        if start is not None and end is not None:
            yield start, end, numbers[start]
        start = end = number
    if start is not None and end is not None:
        yield start, end, numbers[start]


# --- what was decided


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which decisions to look at; None for all."""

    principal: str | None = None
    resource: str | None = None
    operation: str | None = None
    effect: str | None = None
    row: int | None = None
    id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """From the first moment on, until just before the other."""

    def tests(self) -> list[Callable[[Record], bool]]:
        """One test for each thing that is asked."""
        given = {
            name: value
            for name in ("resource", "operation", "effect", "row", "id", "request_id")
            if (value := getattr(self, name)) is not None
        }
        tests: list[Callable[[Record], bool]] = [_has(*one) for one in given.items()]
        if self.principal is not None:
            tests.append(lambda record: record.get("principal", {}).get("id") == self.principal)
        if self.until is not None:
            until = stamp(self.until)
            tests.append(lambda record: record["time"] < until)
        if self.since is not None:
            since = stamp(self.since)
            tests.append(lambda record: record["time"] >= since)
        return tests


def _has(name: str, value: str | int) -> Callable[[Record], bool]:
    return lambda record: record.get(name) == value


def query(files: Iterable[Path], wanted: Wanted) -> Iterator[Record]:
    """The decisions of files, oldest file first, that are wanted: newest first.

    Lines that are no records are passed over (`verify` tells of them). Raises OSError.
    """
    tests = wanted.tests()
    enough = stamp(wanted.since - _DISORDER) if wanted.since else ""
    for record in _backwards(files):
        if record["time"] < enough:
            return
        if record.get("kind") == "decision" and all(test(record) for test in tests):
            yield record


def forwards(files: Iterable[Path], since: datetime | None = None) -> Iterator[Record]:
    """The decisions of files as they were written. Raises OSError."""
    start = stamp(since) if since else ""
    for path in files:
        with path.open("rb") as lines:
            for line in lines:
                record = _loaded(line)
                if record and record.get("kind") == "decision" and record["time"] >= start:
                    yield record


LOOKED_AT = 4 * 2**20
"""Bytes of a log that are read at a time for somebody who waits."""
_CURSOR = re.compile(r"([0-9]{1,9})-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Past:
    """A part of the log, looked at from its end."""

    records: list[Record]
    """The decisions that are wanted, newest first."""
    older: str | None
    """Where to go on; None at the beginning of the log, or of the time that is wanted."""
    reached: str | None
    """The time of the oldest record that was looked at; None when there was none."""


def look_back(
    series: Series, wanted: Wanted, start: str | None = None, most: int = 50, size: int = LOOKED_AT
) -> Past:
    """Up to `most` decisions that are wanted, from the end of the log, or from where `start` says.

    Looks at `size` bytes and no more, however few it finds. Raises Invalid and OSError.
    """
    tests = wanted.tests()
    since = stamp(wanted.since - _DISORDER) if wanted.since else ""
    found: list[Record] = []
    reached = None
    with long_work.in_turns():
        for place, length, record in _looked_at(series, wanted, start):
            reached = record["time"]
            if reached < since:
                break
            size -= length
            if record.get("kind") == "decision" and all(test(record) for test in tests):
                found.append(record)
            if len(found) >= most or size <= 0:
                return Past(found, place, reached)
            long_work.step()
    return Past(found, None, reached)


def _looked_at(
    series: Series, wanted: Wanted, start: str | None
) -> Iterator[tuple[str, int, Record]]:
    """The records before a place: where each begins, its bytes, and itself."""
    first, offset = _place(start)
    until = stamp(wanted.until + _DISORDER) if wanted.until else None
    for number in reversed(series.numbers()):
        if first is not None and number > first:
            continue
        with _mapped(series.file(number)) as content:
            end = min(len(content), offset) if number == first else len(content)
            if until is not None:
                end = _end_by(content, end, until)
            for at, record in _records_before(content, end):
                yield f"{number}-{at}", end - at, record
                end = at


def _place(start: str | None) -> tuple[int | None, int]:
    if start is None:
        return None, 0
    place = _CURSOR.fullmatch(start)
    if place is None:
        raise Invalid("That is no place in the log", {"start": ["No place in the log."]})
    return int(place[1]), int(place[2])


def _end_by(content: mmap.mmap | bytes, end: int, until: str) -> int:
    """An end of the part of a file that has all records before this time: times mostly grow."""
    low = 0
    while end - low > mmap.PAGESIZE:
        middle = content.rfind(b"\n", low, (low + end) // 2) + 1
        if middle <= low:
            break  # one record is longer than half of what is left
        record = _loaded(content[middle : content.find(b"\n", middle) + 1 or end])
        if record is None or record["time"] < until:
            low = middle
        else:
            end = middle
    return end


def find(series: Series, id: str) -> Record:
    """The decision with this id. Raises NotFound, and OSError."""
    if len(id) == ID_LENGTH and set(id) <= set("0123456789abcdef"):
        mark = b'"id":"%s"' % id.encode()
        for path in reversed(series.files()):
            line = _line_with(path, mark)
            record = _loaded(line) if line else None
            if record is not None and record.get("id") == id:
                return record
    raise NotFound(f"There is no decision {id} in the log")


def look_up(log: DecisionLog | None, id: str) -> Record:
    """`find` in the log that this server writes, which may write none."""
    if log is None:
        raise NotFound("This server keeps no decision log")
    return find(log.series, id)


def _loaded(line: bytes) -> Record | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("time"), str) else None


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The bytes of a file, without reading what nobody looks at."""
    try:
        file = path.open("rb")
    except FileNotFoundError:  # removed by rotation just now
        yield b""
        return
    with file:
        if os.fstat(file.fileno()).st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _backwards(files: Iterable[Path]) -> Iterator[Record]:
    for path in reversed(list(files)):
        with _mapped(path) as content:
            for _, record in _records_before(content, len(content)):
                yield record


def _records_before(content: mmap.mmap | bytes, end: int) -> Iterator[tuple[int, Record]]:
    """The records that stand before a place, the last one first, and where each begins."""
    while end > 0:
        start = content.rfind(b"\n", 0, end - 1) + 1
        record = _loaded(content[start:end])
        if record is not None:
            yield start, record
        end = start


def _line_with(path: Path, mark: bytes) -> bytes | None:
    with _mapped(path) as content:
        at = content.rfind(mark)
        if at < 0:
            return None
        end = content.find(b"\n", at)
        return content[content.rfind(b"\n", 0, at) + 1 : end if end >= 0 else len(content)]
