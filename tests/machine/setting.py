"""Gives an application virtual time, greenlets for threads, and turns at the database."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from greenlet import getcurrent
from sqlalchemy import delete, event, insert, update
from sqlalchemy.util import ScopedRegistry

from tests.machine.installation import Installation
from tests.machine.turns import Life, Lock, Turns
from tests.world import World
from v6srv.authz.revision import raise_revisions
from v6srv.db import is_writing, session, transaction
from v6srv.engine.gates import GatedPool
from v6srv.model import (
    Account,
    NodeConfig,
    Outbox,
    Permission,
    ServerProcess,
    SocketConnection,
)
from v6srv.realtime import (
    announcer,
    background,
    check_in,
    managers,
    revocation,
    seats,
    tasks_namespace,
    watchdog,
)
from v6srv.realtime.seats import Seat
from v6srv.realtime.server import Realtime
from v6srv.service import events, past_events, presence

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SHORTER = {
    announcer: {"MOST_WAITING": 6, "PUBLISH_AT_ONCE": 3, "DROP_EVERY_S": 20.0},
    managers: {"TOLD_IN_A_TURN": 2},
    events: {"KEEP_SENT_S": 60.0, "READ_WITHIN_S": 10.0},
    past_events: {"KEEP_SENT_S": 60.0, "READ_WITHIN_S": 10.0},
    presence: {"LATE_S": 10.0},
    watchdog: {"HEARTBEAT_S": 5.0, "OUT_OF_TOUCH_S": 10.0, "UNCONFIRMED_S": 20.0},
}
"""Limits that are met more often so, and waited for not so long; in the same order of size."""
TIMED = (announcer, background, managers, revocation, seats, tasks_namespace, watchdog, events)
WATCHDOG_S = 22.0
_NOW = re.compile(r"'now'|statement_timestamp\(\)")
_WRITES = "machine_writes"


class Setting:
    """One application, and one installation after the other on its database."""

    def __init__(self, app: Flask, world: World) -> None:
        self.app, self.world = app, world
        settings = app.config["SETTINGS"]
        app.config["SETTINGS"] = settings.model_copy(update={"watchdog_s": WATCHDOG_S})
        self.turns = Turns(self.become, session.remove)
        self.installation: Installation | None = None

    def begin(self, seed: int) -> Installation:
        """A new installation; nothing is left of the one before."""
        self.end()
        _reset(self.world)
        self.turns.chance.seed(seed)
        self.installation = Installation(self.app, self.world, self.turns)
        return self.installation

    def end(self) -> None:
        if self.installation is not None:
            for process in list(self.installation.processes):
                self.turns.kill(process.life)
            self.installation = None
        assert not self.turns.tasks

    def become(self, life: Life) -> None:
        assert self.installation is not None
        process = self.installation.by_life[life]
        events._process = life.name
        events._event_listeners, events._policy_listeners = process.listeners

    def now_of_database(self) -> datetime:
        ahead_s = self.installation.db_ahead_s if self.installation else 0.0
        return BEGAN + timedelta(seconds=self.turns.now + ahead_s)


@contextmanager
def virtual(app: Flask, world: World, patch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Everything of `app` runs in turns inside."""
    it = Setting(app, world)
    _give_time(it.turns, patch)
    with _database_in_turns(it, patch):
        yield it
        it.end()


def _give_time(turns: Turns, patch: pytest.MonkeyPatch) -> None:
    time = _clock(turns)
    for module in TIMED:
        patch.setattr(module, "time", time)
    for module in (announcer, check_in):
        patch.setattr(module, "threading", SimpleNamespace(Lock=lambda: Lock(turns)))

    def seat(sid: str, claims: Any) -> Seat:
        return Seat(sid, claims, heard_at=turns.now, came_at=turns.now)

    patch.setattr(tasks_namespace, "Seat", seat)
    patch.setattr(Realtime, "_follow_policy_files", lambda self: None)
    patch.setattr(Realtime, "_send_mails", lambda self: None)
    for module, limits in SHORTER.items():
        for name, value in limits.items():
            patch.setattr(module, name, value)
    note_sent = events.note_sent

    def note_when_possible(ids: Collection[int]) -> None:
        assert turns.at is not None
        life = turns.at.life
        turns.wait(lambda: turns.now >= life.notes_from, life.notes_from - turns.now)
        note_sent(ids)

    patch.setattr(events, "note_sent", note_when_possible)
    for name in ("_process", "_event_listeners", "_policy_listeners"):
        patch.setattr(events, name, getattr(events, name))


@contextmanager
def _database_in_turns(it: Setting, patch: pytest.MonkeyPatch) -> Iterator[None]:
    turns, engine = it.turns, session.get_bind()
    assert session.registry is not None
    session.remove()
    patch.setattr(session, "registry", ScopedRegistry(session.session_factory, getcurrent))
    pool: Any = engine.pool
    patch.setattr(pool, "gates", None)
    patch.setattr(pool, "_max_overflow", 200)
    connect = GatedPool._connect

    def in_turn(self: GatedPool) -> Any:
        if self is not pool:
            return connect(self)
        turns.give()
        connection = connect(self)
        if is_writing() and turns.at is not None:
            turns.at.writes += 1
            assert connection.record_info is not None
            connection.record_info[_WRITES] = turns.at
        return connection

    def back(_connection: Any, record: Any) -> None:
        task = record.record_info.pop(_WRITES, None)
        if task is not None:
            task.writes -= 1

    def statement(_c: Any, _cursor: Any, text: str, parameters: Any, _x: Any, _many: Any) -> Any:
        turns.step()
        if "now" in text or "timestamp" in text:
            moment = it.now_of_database()
            sqlite = f"'{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03}'"
            is_sqlite = engine.dialect.name == "sqlite"
            text = _NOW.sub(sqlite if is_sqlite else f"timestamptz '{moment.isoformat()}'", text)
        return text, parameters

    def commits(_connection: Any) -> None:
        turns.step()

    def committed(sess: Any) -> None:
        if it.installation is not None:
            it.installation.after_commit(sess.info)
            turns.count_step()

    patch.setattr(GatedPool, "_connect", in_turn)
    listeners = [
        (engine, "checkin", back, {}),
        (engine, "before_cursor_execute", statement, {"retval": True}),
        (engine, "commit", commits, {}),
        (session, "after_commit", committed, {"insert": True}),
    ]
    for target, name, listener, options in listeners:
        event.listen(target, name, listener, **options)
    try:
        yield
    finally:
        for target, name, listener, _ in listeners:
            event.remove(target, name, listener)
        session.remove()


def _reset(world: World) -> None:
    """As before: nobody is connected, nothing was sent."""
    with transaction() as sess:
        for table in (Outbox, SocketConnection, ServerProcess, NodeConfig):
            sess.execute(delete(table))
        sess.execute(update(Account).values(status="offline", last_seen=None))
        user_id = world.user.collab_admin
        sess.execute(delete(Permission).where(Permission.c.user_id == user_id))
        sess.execute(insert(Permission).values(user_id=user_id, role_id=world.role.collab_admin))
        raise_revisions(sess, {"members"})
    session.remove()


def _clock(turns: Turns) -> Any:
    """What a module takes for `time`."""
    return SimpleNamespace(monotonic=turns.monotonic, sleep=turns.sleep, time=turns.monotonic)
