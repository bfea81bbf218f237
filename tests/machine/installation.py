"""An installation of several processes, its people and nodes, and what must be true of it."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from flask import Flask
from sqlalchemy import delete, insert, select

from tests.machine.broker import Broker
from tests.machine.process import NODES, Line, Person, Process
from tests.machine.turns import NEVER, Life, Turns
from tests.support import Caller
from tests.world import World
from v6srv.authz.revision import raise_revisions
from v6srv.db import session, transaction
from v6srv.model import (
    Account,
    NodeConfig,
    Outbox,
    Permission,
    SocketConnection,
)
from v6srv.realtime.broadcast import NAMESPACE
from v6srv.service import events
from v6srv.service.events import rooms_concerned

REVOKED_WITHIN_S = 1.0
COLLABORATIONS = {"registry": "south", "trial": "south"}
MAY_LOSE = "collab_admin"
"""The user that loses and gains the right to hear `registry`."""
PEOPLE = (*NODES, "root", MAY_LOSE)
PING_EVERY_S = 7.0
EVENTS_SETTLE_S = 30.0
PRESENCE_SETTLES_S = 45.0
STEP_S = 5.0
"""While nothing happens: each process can say within `TAKE_OVER_AFTER_S` that it is there."""


@dataclass(frozen=True)
class Committed:
    """An event that must be told."""

    number: int
    order: int
    collaboration: str
    origin: str
    at: float


class Installation:
    """All of it, with the oracle."""

    def __init__(self, app: Flask, world: World, turns: Turns) -> None:
        self.app, self.world, self.turns = app, world, turns
        self.settings = app.config["SETTINGS"]
        self.broker = Broker(turns)
        self.by_life: dict[Life, Process] = {}
        self.committed: dict[int, Committed] = {}
        self.pending: dict[int, list[tuple[int, str]]] = {}
        self.number = 0
        self.names = 0
        self.db_ahead_s = 0.0
        self.may_since: float | None = 0.0
        self.lost_at = float("-inf")
        self.lines = 0
        self.why_wrong: list[str] = []
        turns.died = self._died
        caller = Caller(app)
        self.people = {
            name: Person(name, getattr(vars(world.node), name, 0) or self._account(name), "")
            for name in PEOPLE
        }
        for person in self.people.values():
            person.token = caller.token(person.name)
        session.remove()
        self.processes: list[Process] = []

    def _account(self, name: str) -> int:
        found = vars(self.world.node).get(name) or vars(self.world.user)[name]
        assert isinstance(found, int)
        return found

    # --- processes

    def begin(self) -> Process:
        self.names += 1
        process = Process(self, f"process {self.names}")
        self.processes.append(process)
        return process

    def _died(self, life: Life) -> None:
        process = self.by_life[life]
        if process in self.processes:
            self.processes.remove(process)
        self.broker.forget(life.name)
        for line in list(process.wires.sockets.values()):
            line.closed = True
            if line.who.line is line:
                line.who.line = None
        process.wires.sockets.clear()

    def stop(self, process: Process) -> None:
        """In order, as by SIGTERM."""
        process.ends = True

        def stop() -> None:
            process.realtime.hang_up()
            for line in list(process.wires.sockets.values()):  # as the HTTP server does
                self.hang_up(line)
            process.realtime.stop()
            process.life.dead = True
            self.turns.step()

        process.run(stop)

    # --- people

    def join(self, who: Person, process: Process) -> None:
        if who.line is None:
            self.lines += 1
            who.line = Line(who, process, f"line{self.lines}")
            process.join(who.line)

    def leave(self, who: Person) -> None:
        if who.line is not None:
            self.hang_up(who.line)

    def hang_up(self, line: Line) -> None:
        if not line.closed:
            line.closed = True
            if line.who.line is line:
                line.who.line = None
            line.process.end(line)

    def may(self, who: Person, collaboration: str) -> bool:
        """Whether somebody may hear it, in words of our own."""
        if who.name in NODES:
            return NODES[who.name] == collaboration
        if who.name == MAY_LOSE:
            return collaboration == "registry" and self.may_since is not None
        return True

    # --- what happens

    def commit(self, process: Process, collaboration: str, count: int, *, keep: bool) -> None:
        numbers = []
        for _ in range(count):
            self.number += 1
            numbers.append(self.number)
        org = getattr(self.world.org, COLLABORATIONS[collaboration])
        rooms = rooms_concerned(getattr(self.world.collab, collaboration), org)

        def request() -> None:
            try:
                with transaction(keep=keep) as sess:
                    sess.info["numbers"] = [(number, collaboration) for number in numbers]
                    for number in numbers:
                        events.emit("task_created", {"n": number, "c": collaboration}, rooms)
                    sess.flush()
            finally:
                session.remove()

        process.serve(request)

    def change_right(self, process: Process, *, give: bool) -> None:
        """A user gets or loses a role, in a transaction of a process."""
        user_id = self.people[MAY_LOSE].account_id
        role_id = self.world.role.collab_admin

        def request() -> None:
            with transaction() as sess:
                sess.info["right"] = give
                rows = delete(Permission).where(Permission.c.user_id == user_id)
                sess.execute(rows)
                if give:
                    sess.execute(insert(Permission).values(user_id=user_id, role_id=role_id))
                raise_revisions(sess, {"members"})
            session.remove()

        process.serve(request)

    def after_commit(self, info: dict[str, Any]) -> None:
        """Called right after a commit, before the server knows of it."""
        task = self.turns.at
        if task is None:
            return
        for number, collaboration in info.pop("numbers", ()):
            now = self.turns.now
            order, origin = len(self.committed), task.life.name
            self.committed[number] = Committed(number, order, collaboration, origin, now)
        right = info.pop("right", None)
        if right is not None:
            if right and self.may_since is None:
                self.may_since = self.turns.now
            elif not right and self.may_since is not None:
                self.may_since, self.lost_at = None, self.turns.now

    def arrived(self, line: Line, text: str) -> None:
        """A packet was sent on a connection."""
        if text.startswith(f"0{NAMESPACE}"):
            line.since, line.settled_at = len(self.committed), self.turns.now
        elif text.startswith((f"1{NAMESPACE}", f"4{NAMESPACE}")):
            if text[0] == "1":
                self.wrong(f"{line.who.name} was told to go: {text}")
            line.closed = True
            line.process.wires.sockets.pop(line.id, None)
            if line.who.line is line:
                line.who.line = None
        elif text.startswith(f"2{NAMESPACE}"):
            event, *data = json.loads(text[text.index("[") :])
            if event == "task_created":
                self._heard(line, data[0]["n"], data[0]["c"])

    def _heard(self, line: Line, number: int, collaboration: str) -> None:
        who, task = line.who, self.turns.at
        assert task is not None
        if number not in self.committed:
            self.wrong(f"{who.name} heard {number}, which is not committed")
        late = self.turns.now - max(self.lost_at, line.process.life.stalled_until)
        if not self.may(who, collaboration) and (
            who.name != MAY_LOSE or collaboration != "registry" or late > REVOKED_WITHIN_S
        ):
            self.wrong(f"{who.name} heard {number} of {collaboration}, and may not")
        if number in [n for n, _ in line.heard]:
            self.wrong(f"{who.name} heard {number} twice")
        line.heard.append((number, task.source))

    def wrong(self, what: str) -> None:
        self.why_wrong.append(what)

    # --- what must be true

    def tend(self) -> None:
        """Clients ping."""
        for person in self.people.values():
            line = person.line
            if line and line.since is not None and self.turns.now - person.pinged_at > PING_EVERY_S:
                person.pinged_at = self.turns.now
                line.process.ping(line)

    def go_on(self, seconds: float, at_once_s: float) -> None:
        """Time passes; while a right was lost just now in small pieces."""
        end = self.turns.now + seconds
        while self.turns.now < end:
            self.tend()
            is_fresh = self.turns.now - self.lost_at < 2 * REVOKED_WITHIN_S
            piece = min(at_once_s, 0.25 if is_fresh else NEVER, end - self.turns.now)
            self.turns.advance(piece, piece)

    def stall(self, process: Process, after: int, seconds: float) -> None:
        process.life.stalls_after, process.life.stall_s = after, seconds

    def settle_events(self) -> None:
        """Nothing fails for so long that all that was committed has been told."""
        self.broker.heal()
        for process in self.processes:
            process.life.dies_after = process.life.stalls_after = None
            process.life.notes_from = 0.0
            process.life.stalled_until = min(process.life.stalled_until, self.turns.now)
        while sum(not process.ends for process in self.processes) < 2:
            self.begin()
        self.go_on(REVOKED_WITHIN_S, 0.25)  # processes that stalled go on
        self.go_on(EVENTS_SETTLE_S, STEP_S)
        for collaboration in COLLABORATIONS:
            self.commit(self.processes[0], collaboration, 1, keep=True)
        self.go_on(STEP_S, STEP_S)
        self.check_events()

    def settle_presence(self) -> None:
        """After `settle_events`: so long that who is there is known."""
        self.go_on(PRESENCE_SETTLES_S, STEP_S)
        self.check_presence()

    def check_events(self) -> None:
        """After some time in which nothing failed."""
        for person in self.people.values():
            line = person.line
            if line is None or line.since is None:
                continue
            heard = {number for number, _ in line.heard}
            missed = [
                one
                for one in list(self.committed.values())[line.since :]
                if one.number not in heard and self._due(one, line)
            ]
            if missed:
                self.wrong(f"{person.name} at {line.process.life.name} never heard {missed}")
            self._check_order(line)

    def _due(self, one: Committed, line: Line) -> bool:
        who = line.who
        if not self.may(who, one.collaboration):
            return False
        if who.name != MAY_LOSE:
            return True
        assert self.may_since is not None
        known = max(self.may_since, line.process.life.stalled_until) + REVOKED_WITHIN_S
        return one.at > known

    def _check_order(self, line: Line) -> None:
        """What came from the process that committed it came in its order."""
        last: dict[tuple[str, str], int] = defaultdict(lambda: -1)
        for number, source in line.heard:
            one = self.committed.get(number)
            if one is None or one.origin != source:
                continue
            if one.order < last[source, one.collaboration]:
                self.wrong(f"{line.who.name} heard {number} late: {line.heard}")
            last[source, one.collaboration] = one.order

    def check_presence(self) -> None:
        """After some more time."""
        ids = {person.account_id: person for person in self.people.values()}
        statuses = session.execute(
            select(Account.id, Account.status).where(Account.id.in_(ids))
        ).all()
        rows: dict[int, set[tuple[str, Any, bool]]] = defaultdict(set)
        for row in session.scalars(select(NodeConfig)):
            rows[row.node_id].add((row.key, row.value, row.live))
        stored = session.scalars(select(SocketConnection.account_id)).all()
        unsent = session.scalars(select(Outbox.id).where(Outbox.sent_at.is_(None))).all()
        session.remove()
        for id, status in statuses:
            person = ids[id]
            is_here = person.line is not None and person.line.since is not None
            if (status == "online") != is_here:
                self.wrong(f"{person.name} is {status}, and its socket is {person.line}")
            if person.name in NODES and person.told:
                restriction = ("allowed_users", person.name, is_here)
                if restriction not in rows[id]:
                    self.wrong(f"{person.name} shares {rows[id]}; connected: {is_here}")
                if not is_here and any(live for _, _, live in rows[id]):
                    self.wrong(f"{person.name} is away and shares {rows[id]}")
        here = sorted(p.account_id for p in ids.values() if p.line and p.line.since is not None)
        if sorted(stored) != here:
            self.wrong(f"sockets in the database: {sorted(stored)}, alive: {here}")
        if unsent:
            self.wrong(f"never sent: {unsent}")
