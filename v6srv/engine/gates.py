"""Who may hold a connection now: nobody waits for ever, and nobody takes all of them."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Event, Lock
from typing import Any

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import TimeoutError
from sqlalchemy.pool import QueuePool

from v6srv.engine import outages

_writing: ContextVar[bool] = ContextVar("v6srv_writing", default=False)
_work: ContextVar[tuple[str, float | None] | None] = ContextVar("v6srv_work", default=None)


@contextmanager
def writing() -> Iterator[None]:
    """Transactions begun inside take SQLite's write lock at once.

    A SQLite transaction that reads first and writes later fails with "database is locked" when
    somebody else wrote in between; one that asks for the lock at its start waits its turn.
    No effect on other databases.
    """
    token = _writing.set(True)
    try:
        yield
    finally:
        _writing.reset(token)


def is_writing() -> bool:
    """Whether this is inside of `writing`."""
    return _writing.get()


@contextmanager
def work_on(name: str, within_s: float | None = None) -> Iterator[None]:
    """Connections taken inside count as those of this kind of work, which must not take all.

    `within_s` is how long to wait for one while others of this kind have theirs, if that is not as
    the settings say.
    """
    token = _work.set((name, within_s))
    try:
        yield
    finally:
        _work.reset(token)


class Gate:
    """Lets only so many in at once. Those who wait get in one after the other, as they came."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[Event] = deque()
        self._lock = Lock()

    def enter(self, within_s: float) -> bool:
        """Take a place; False when there was none in time."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            called = Event()
            self._waiting.append(called)
        try:
            entered = called.wait(within_s)
        except BaseException:
            if not self._gives_up(called):
                self.leave()
            raise
        return entered or not self._gives_up(called)

    def _gives_up(self, called: Event) -> bool:
        """Wait no longer; False when the place was given meanwhile."""
        with self._lock:
            if called.is_set():
                return False
            self._waiting.remove(called)
            return True

    def leave(self) -> None:
        """Give the place back, to whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class Gates:
    """The gates of one pool: one per kind of work, and on SQLite one for all who write.

    On SQLite only one can write. Who waits for that does so without a connection, so that those
    who read find one; and in turn, which the polling for a lock of the file would not give.
    """

    def __init__(self, places: int, within_s: float, writer_within_s: float | None) -> None:
        """`places` is how many connections one kind of work may have at once.

        `writer_within_s`, for SQLite: how long a writer waits for its turn.
        """
        self._places, self._within_s = places, within_s
        self._writer_within_s = writer_within_s
        self._writer = Gate(1)
        self._kinds: dict[str, Gate] = {}

    def enter(self) -> Gate | None:
        """Pass the gate for what is done now and return it. Raises Unavailable."""
        work = _work.get()
        if self._writer_within_s is not None and _writing.get():
            gate, within_s, outage = self._writer, self._writer_within_s, outages.LOCKED
        elif work is not None:
            name, own_s = work
            gate = self._kinds.setdefault(name, Gate(self._places))
            within_s, outage = own_s or self._within_s, outages.EXHAUSTED
        else:
            return None
        if not gate.enter(within_s):
            raise outages.begin(outage, f"no turn within {within_s:g} s")
        return gate


class GatedPool(QueuePool):
    """A pool that gives connections through gates; `let_out` must hear its event `checkin`."""

    _sqla_logger_namespace = f"{QueuePool.__module__}.{QueuePool.__name__}"

    def __init__(self, creator: Any, gates: Gates | None = None, **options: Any) -> None:
        super().__init__(creator, **options)
        self.gates = gates

    def connect(self) -> PoolProxiedConnection:
        """A connection, once it is the caller's turn. Raises Unavailable."""
        gate = self.gates.enter() if self.gates else None
        try:
            connection = self._connect()
        except BaseException:
            if gate:
                gate.leave()
            raise
        if gate:
            assert connection.record_info is not None
            connection.record_info[_GATE] = gate
        return connection

    def _connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except TimeoutError as error:
            raise outages.begin(outages.EXHAUSTED, error) from error

    def recreate(self) -> "GatedPool":
        """The same again, empty; for `Engine.dispose`."""
        made = super().recreate()
        assert isinstance(made, GatedPool)
        made.gates = self.gates
        return made


_GATE = "v6srv_gate"


def let_out(_connection: object, record: Any) -> None:
    """A connection comes back: the next may go through the gate."""
    gate = record.record_info.pop(_GATE, None)
    if gate is not None:
        gate.leave()
