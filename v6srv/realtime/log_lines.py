"""Lines that algorithms print, collected: a node may send thousands in a second."""

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from v6srv import names
from v6srv.authz.authorizer import Authorizer
from v6srv.db import LARGEST_ID, transaction
from v6srv.errors import Denied, Invalid, NotFound, Unauthenticated
from v6srv.identity import principals
from v6srv.realtime.background import Background
from v6srv.realtime.seats import Seat
from v6srv.service import run_logs

log = logging.getLogger(__name__)

WRITE_EVERY_S = 0.5
"""What came meanwhile is written for each run at once."""
LONGEST_LINE = 8 * 1024
"""Characters of one event; the end of a longer one is left out."""
MOST_WAITING = 64 * 1024
"""Characters of one node that wait to be written; lines beyond are left out."""
LINE_COSTS = 64
"""Characters that a line counts for beside its own."""
MOST_RUNS = 100
"""Runs of one node of which lines wait: each is written by itself. Lines of others are dropped."""
LEFT_OUT = "[{count} lines were left out here: they came too fast]\n"
CUT = " [the end of this line was left out]\n"

_NOT_KEPT = (Denied, Invalid, NotFound, Unauthenticated)


@dataclass(eq=False, slots=True)
class _Node:
    """What came from one socket and is to be written."""

    seat: Seat
    lines: list[tuple[int, str]] = field(default_factory=list)
    """Each with the id of its run."""
    left_out: Counter[int] = field(default_factory=Counter)
    size: int = 0
    runs: set[int] = field(default_factory=set)
    """Of which there is something in the first two."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held for changes of these four."""
    writing: threading.Lock = field(default_factory=threading.Lock)
    """Held until what was taken is written: all stays in order."""
    told: bool = False
    """It was said that something is left out."""

    def add(self, run_id: int, text: str) -> None:
        """As far as there is room; after what was left out, only what comes after a write."""
        if len(text) > LONGEST_LINE:
            text = text[:LONGEST_LINE] + CUT
            self._tell("a line that is too long")
        cost = len(text) + LINE_COSTS
        with self.lock:
            has_room = not self.left_out and self.size + cost <= MOST_WAITING
            if run_id not in self.runs and len(self.runs) >= MOST_RUNS:
                has_room = False
            elif has_room:
                self.lines.append((run_id, text))
                self.size += cost
                self.runs.add(run_id)
            else:
                self.left_out[run_id] += 1
                self.runs.add(run_id)
        if not has_room:
            self._tell("more lines than can be kept")

    def _tell(self, what: str) -> None:
        if not self.told:
            self.told = True
            account_id = self.seat.account_id
            log.warning("node %d sends %s: logs have gaps until runs end", account_id, what)

    def take(self) -> dict[int, str]:
        """All that waits, by run; what is left out is said at the end."""
        with self.lock:
            lines, left_out = self.lines, self.left_out
            self.lines, self.left_out, self.size, self.runs = [], Counter(), 0, set()
        texts: dict[int, str] = {}
        for run_id, text in (
            *lines,
            *((run_id, LEFT_OUT.format(count=count)) for run_id, count in left_out.items()),
        ):
            texts[run_id] = run_logs.joined(texts.get(run_id, ""), text)
        return texts

    def put_back(self, texts: Mapping[int, str]) -> None:
        """These could not be written: they are still the first."""
        with self.lock:
            self.lines[:0] = texts.items()
            self.runs |= texts.keys()
            self.size += sum(len(text) + LINE_COSTS for text in texts.values())


class LogLines:
    """Written a few times in a second, and before what the node says of its runs otherwise."""

    def __init__(self, authz: Authorizer) -> None:
        self._authz = authz
        self._nodes: dict[str, _Node] = {}

    def start(self, background: Background) -> None:
        """Start the loop."""
        background.repeat(self.write_all, every_s=WRITE_EVERY_S)

    def add(self, seat: Seat, said: Any) -> None:
        """A line of an algorithm that a node runs. Raises Invalid."""
        if not isinstance(said, Mapping):
            raise Invalid("a line of a log must be in an object")
        run_id, text = said.get("run_id"), said.get("log")
        if isinstance(run_id, bool) or not isinstance(run_id, int) or not isinstance(text, str):
            raise Invalid("a line of a log needs a run_id and a log")
        if not 0 < run_id <= LARGEST_ID:
            raise Invalid(f"no run {run_id}")
        if text:
            node = self._nodes.setdefault(seat.sid, _Node(seat))
            node.add(run_id, names.storable(text))

    def write_all(self) -> None:
        """Write what waits of all nodes."""
        for sid, node in list(self._nodes.items()):
            self._write(node)
            if node.seat.gone and not node.lines:
                del self._nodes[sid]

    def write(self, sid: str) -> None:
        """Write what waits of one socket."""
        if (node := self._nodes.get(sid)) is not None:
            self._write(node)

    def _write(self, node: _Node) -> None:
        with node.writing:
            texts = node.take()
            try:
                for run_id in list(texts):
                    self._append(node, run_id, texts[run_id])
                    del texts[run_id]
            except BaseException:
                node.put_back(texts)
                raise

    def _append(self, node: _Node, run_id: int, text: str) -> None:
        try:
            with transaction():
                known = principals.load(node.seat.claims)
                self._authz.store.follow(known.policy_revision)
                run_logs.append(self._authz, known.principal, run_id, text)
        except _NOT_KEPT as error:
            account_id = node.seat.account_id
            log.warning("lines of run %d from node %d are not kept: %s", run_id, account_id, error)
